package usernames_test

import (
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sidestream/internal/usernames"
)

func TestCache_leaves_a_user_without_a_name_alone(t *testing.T) {
	for outcome, rest := range map[usernames.Outcome]time.Duration{
		usernames.NoConsent: time.Hour, usernames.Gone: 24 * time.Hour, usernames.Temporary: 30 * time.Second,
		"invented": 30 * time.Second,
	} {
		t.Run(string(outcome), func(t *testing.T) {
			run(t, usernames.Options{}, func(b *bench) {
				b.api.say(outcome)
				b.wants(1, "", 1)
				b.pass(rest - time.Second)
				b.wants(1, "", 1)
				b.pass(time.Second)
				b.api.sayNames()
				b.wants(2, "name of 2", 2) // Others are not affected.
				b.wants(1, "name of 1", 3)
			})
		})
	}

	t.Run("an_empty_name_is_none", func(t *testing.T) {
		run(t, usernames.Options{}, func(b *bench) {
			b.api.say(usernames.OK)
			b.wants(1, "", 1)
			b.wants(1, "", 1)
			b.wantsMetric("username_lookups_total", "gone", 1)
			b.wantsMetric("username_lookups_total", "ok", 0)
		})
	})

	t.Run("temporary_failures_back_off_up_to_an_hour", func(t *testing.T) {
		run(t, usernames.Options{}, func(b *bench) {
			b.api.say(usernames.Temporary)
			lookups := 0
			for _, rest := range []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 4 * time.Minute} {
				lookups++
				b.wants(1, "", lookups)
				b.pass(rest - time.Second)
				b.wants(1, "", lookups)
				b.pass(time.Second)
			}
			for range 6 {
				b.pass(time.Hour)
				lookups++
				b.wants(1, "", lookups)
			}
			b.pass(time.Hour)
			b.api.sayNames()
			b.wants(1, "name of 1", lookups+1)
			b.pass(24 * time.Hour)
			b.api.say(usernames.Temporary)
			b.wants(1, "name of 1", lookups+2)
			b.pass(30 * time.Second) // A success in between begins anew.
			b.wants(1, "name of 1", lookups+3)
		})
	})

	t.Run("a_user_who_writes_has_consented", func(t *testing.T) {
		run(t, usernames.Options{}, func(b *bench) {
			b.api.say(usernames.NoConsent)
			b.wants(1, "", 1)
			b.cache.Wrote(user(1), user(2))
			b.api.say(usernames.Gone)
			b.wants(1, "", 2)
			b.cache.Wrote(user(1)) // Does not bring back who is gone.
			b.wants(1, "", 2)
		})
	})
}

func TestCache_keeps_a_known_name(t *testing.T) {
	for _, outcome := range []usernames.Outcome{
		usernames.NoConsent, usernames.Gone, usernames.Temporary, usernames.TokenDead, usernames.Permission,
		usernames.Config, usernames.Throttled, usernames.Off,
	} {
		t.Run("when_the_refresh_ends_"+string(outcome), func(t *testing.T) {
			run(t, usernames.Options{}, func(b *bench) {
				b.wants(1, "name of 1", 1)
				b.pass(24 * time.Hour)
				b.api.say(outcome)
				b.wants(1, "name of 1", 2)
				b.wants(1, "name of 1", 2)
			})
		})
	}

	t.Run("when_the_refresh_is_slow", func(t *testing.T) {
		run(t, usernames.Options{}, func(b *bench) {
			b.wants(1, "name of 1", 1)
			b.pass(24 * time.Hour)
			b.api.slow(time.Second)
			b.api.sayAnswer(usernames.Answer{Outcome: usernames.OK, Username: "renamed"})
			b.wants(1, "name of 1", 2)
			b.pass(time.Second)
			b.wants(1, "renamed", 2)
		})
	})

	t.Run("until_it_is_older_than_its_time_to_live", func(t *testing.T) {
		run(t, usernames.Options{TTL: time.Hour}, func(b *bench) {
			b.wants(1, "name of 1", 1)
			b.api.sayAnswer(usernames.Answer{Outcome: usernames.OK, Username: "renamed"})
			b.pass(time.Hour - time.Second)
			b.wants(1, "name of 1", 1)
			b.pass(time.Second)
			b.wants(1, "renamed", 2)
		})
	})
}

func TestCache_pauses(t *testing.T) {
	for _, outcome := range []usernames.Outcome{usernames.TokenDead, usernames.Permission, usernames.Config} {
		t.Run("for_a_quarter_of_an_hour_after_"+string(outcome), func(t *testing.T) {
			run(t, usernames.Options{}, func(b *bench) {
				b.api.say(outcome)
				b.wants(1, "", 1)
				b.wantsMetric("username_lookups_paused", string(outcome), 1)
				b.wantsMetric("username_lookups_total", string(outcome), 1)
				b.pass(15*time.Minute - time.Second)
				start := time.Now()
				b.wants(2, "", 1)
				if took := time.Since(start); took != 0 {
					b.Errorf("waited %s for a lookup that is paused", took)
				}
				b.pass(time.Second)
				// Nobody has tried, so nothing is known to be well.
				b.wantsMetric("username_lookups_paused", string(outcome), 1)
				b.wants(2, "", 2)
				b.pass(15 * time.Minute)
				b.api.sayNames()
				b.wants(1, "name of 1", 3) // The user was not to blame.
				b.wantsMetric("username_lookups_paused", string(outcome), 0)
				if n := strings.Count(b.log.String(), "\n"); n != 2 {
					b.Errorf("%d log lines, want two:\n%s", n, b.log)
				}
			})
		})
	}

	t.Run("and_lets_queued_lookups_go_unmade", func(t *testing.T) {
		run(t, usernames.Options{Concurrency: 1}, func(b *bench) {
			b.api.say(usernames.TokenDead)
			b.api.slow(100 * time.Millisecond)
			start := time.Now()
			b.cache.Usernames(b.Context(), users(100))
			if took := time.Since(start); took != 100*time.Millisecond || b.api.lookups() != 1 {
				b.Errorf("took %s and %d lookups", took, b.api.lookups())
			}
		})
	})

	t.Run("until_retry", func(t *testing.T) {
		run(t, usernames.Options{}, func(b *bench) {
			b.api.say(usernames.Gone)
			b.wants(2, "", 1)
			b.api.say(usernames.TokenDead)
			b.wants(1, "", 2)
			b.cache.Retry()
			b.wantsMetric("username_lookups_paused", "token_dead", 0)
			b.api.sayNames()
			b.wants(1, "name of 1", 3)
			b.wants(2, "name of 2", 4) // The new token may see whom the old one did not.
		})
	})

	t.Run("until_the_credential_changes", func(t *testing.T) {
		var credential atomic.Value
		credential.Store("old")
		opts := usernames.Options{Credential: func() string { return credential.Load().(string) }}
		run(t, opts, func(b *bench) {
			b.api.say(usernames.TokenDead)
			b.wants(1, "", 1)
			b.pass(time.Minute)
			b.wants(1, "", 1)
			credential.Store("new")
			b.api.sayNames()
			b.pass(5 * time.Second)
			b.wants(1, "name of 1", 2)
			if strings.Contains(b.log.String(), "old") || strings.Contains(b.log.String(), "=new") {
				b.Errorf("the log shows the credential:\n%s", b.log)
			}
		})
	})

	t.Run("but_not_for_a_refusal_that_a_change_has_overtaken", func(t *testing.T) {
		run(t, usernames.Options{}, func(b *bench) {
			b.api.say(usernames.TokenDead)
			b.api.slow(time.Second)
			b.wants(1, "", 1)
			b.cache.Retry()
			b.pass(time.Second)
			b.api.sayNames()
			b.api.slow(0)
			b.wants(1, "name of 1", 2)
		})
	})

	t.Run("silently_while_lookups_are_off", func(t *testing.T) {
		run(t, usernames.Options{}, func(b *bench) {
			b.api.say(usernames.Off)
			b.wants(1, "", 1)
			b.wants(2, "", 1)
			for _, reason := range []string{"token_dead", "permission", "config", "throttled", "temporary"} {
				b.wantsMetric("username_lookups_paused", reason, 0)
				b.wantsMetric("username_lookups_total", reason, 0)
			}
			if b.log.Len() != 0 {
				b.Errorf("log:\n%s", b.log)
			}
		})
	})

	for name, c := range map[string]struct{ asked, want time.Duration }{
		"as_long_as_throttling_asks":            {7 * time.Minute, 7 * time.Minute},
		"a_minute_where_throttling_says_naught": {0, time.Minute},
		"an_hour_at_most_for_throttling":        {24 * time.Hour, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, usernames.Options{}, func(b *bench) {
				b.api.sayAnswer(usernames.Answer{Outcome: usernames.Throttled, RetryAfter: c.asked})
				b.wants(1, "", 1)
				b.cache.Retry() // A new token does not lift it.
				b.wantsMetric("username_lookups_paused", "throttled", 1)
				b.pass(c.want - time.Second)
				b.wants(2, "", 1)
				b.pass(time.Second)
				b.api.sayNames()
				b.wants(1, "name of 1", 2)
				b.wantsMetric("username_lookups_paused", "throttled", 0)
			})
		})
	}

	t.Run("when_everything_fails", func(t *testing.T) {
		run(t, usernames.Options{}, func(b *bench) {
			b.api.say(usernames.Temporary)
			for n := range 7 {
				b.wants(n, "", n+1)
			}
			b.wantsMetric("username_lookups_paused", "temporary", 0)
			b.wants(7, "", 8)
			b.wantsMetric("username_lookups_paused", "temporary", 1)
			b.wants(8, "", 8)
			b.pass(5 * time.Second)
			b.wants(9, "", 9) // Still failing: twice as long.
			b.pass(5 * time.Second)
			b.wants(10, "", 9)
			b.pass(5 * time.Second)
			b.api.sayNames()
			b.wants(11, "name of 11", 10)
			b.wantsMetric("username_lookups_paused", "temporary", 0)
			b.api.say(usernames.Temporary)
			b.wants(12, "", 11)
			b.api.sayNames()
			b.wants(13, "name of 13", 12) // One failure is no outage.
		})
	})

	t.Run("once_for_lookups_that_fail_side_by_side", func(t *testing.T) {
		run(t, usernames.Options{Concurrency: 64}, func(b *bench) {
			b.api.say(usernames.Temporary)
			b.api.slow(100 * time.Millisecond)
			var batch sync.WaitGroup
			batch.Go(func() { b.cache.Usernames(b.Context(), users(64)) })
			batch.Wait()
			b.pass(5 * time.Second)
			b.api.sayNames()
			b.wants(99, "name of 99", 65)
		})
	})

	t.Run("past_an_answer_that_was_on_its_way", func(t *testing.T) {
		run(t, usernames.Options{}, func(b *bench) {
			b.api.slow(time.Second)
			b.wants(1, "", 1) // Will succeed in a second.
			b.api.slow(0)
			b.api.say(usernames.Throttled)
			b.wants(2, "", 2)
			b.pass(time.Second)
			b.wants(1, "name of 1", 2)
			b.wants(3, "", 2)
			b.wantsMetric("username_lookups_paused", "throttled", 1)
			synctest.Wait()
		})
	})
}
