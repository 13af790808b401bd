package usernames_test

import (
	"context"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"sidestream/internal/usernames"
	"sidestream/mapping"
)

func TestCache_Usernames(t *testing.T) {
	t.Run("a_name_is_looked_up_once_and_then_known", func(t *testing.T) {
		run(t, usernames.Options{}, func(b *bench) {
			b.wants(1, "name of 1", 1)
			b.wants(1, "name of 1", 1)
			b.wantsMetric("username_lookups_total", "ok", 1)
		})
	})

	t.Run("a_batch_of_many_users_is_answered_as_a_whole", func(t *testing.T) {
		run(t, usernames.Options{}, func(b *bench) {
			b.api.slow(time.Millisecond)
			all := append(users(300), users(300)...)
			names := b.cache.Usernames(b.Context(), all)
			if len(names) != 300 || names[user(7)] != "name of 7" || b.api.lookups() != 300 {
				b.Errorf("%d names after %d lookups", len(names), b.api.lookups())
			}
			if b.api.most != 8 {
				b.Errorf("%d lookups ran at once, want 8", b.api.most)
			}
		})
	})

	t.Run("the_same_id_under_two_accounts_is_two_people", func(t *testing.T) {
		run(t, usernames.Options{}, func(b *bench) {
			one, two := mapping.User{AccountID: "a", UserID: "1"}, mapping.User{AccountID: "b", UserID: "1"}
			b.api.one = map[mapping.User]usernames.Answer{
				one: {Outcome: usernames.OK, Username: "anna"}, two: {Outcome: usernames.OK, Username: "boris"},
			}
			names := b.cache.Usernames(b.Context(), []mapping.User{one, two})
			if names[one] != "anna" || names[two] != "boris" {
				b.Errorf("got %v", names)
			}
		})
	})

	t.Run("a_batch_goes_on_at_the_deadline_and_the_next_one_benefits", func(t *testing.T) {
		run(t, usernames.Options{}, func(b *bench) {
			b.api.slow(2 * time.Second)
			start := time.Now()
			names := b.cache.Usernames(b.Context(), users(3))
			if took := time.Since(start); len(names) != 0 || took != 500*time.Millisecond {
				b.Errorf("%d names after %s", len(names), took)
			}
			b.wantsMetric("username_lookups_total", "deadline", 3)
			b.wantsMetric("usernames_pending", "", 3)
			b.pass(2 * time.Second)
			b.wants(2, "name of 2", 3)
			b.wantsMetric("usernames_pending", "", 0)
		})
	})

	t.Run("what_is_known_at_the_deadline_is_returned", func(t *testing.T) {
		run(t, usernames.Options{Concurrency: 1, MaxWait: 350 * time.Millisecond}, func(b *bench) {
			b.api.slow(100 * time.Millisecond)
			if names := b.cache.Usernames(b.Context(), users(5)); len(names) != 3 {
				b.Errorf("got %v, want three names", names)
			}
		})
	})

	t.Run("two_batches_share_one_lookup", func(t *testing.T) {
		run(t, usernames.Options{}, func(b *bench) {
			b.api.slow(100 * time.Millisecond)
			var both sync.WaitGroup
			for range 2 {
				both.Go(func() {
					if name := b.name(1); name != "name of 1" {
						b.Errorf("got %q", name)
					}
				})
			}
			both.Wait()
			b.wants(1, "name of 1", 1)
		})
	})

	t.Run("beyond_a_full_queue_users_are_answered_at_once", func(t *testing.T) {
		run(t, usernames.Options{Concurrency: 1, Queue: 2}, func(b *bench) {
			b.api.slow(time.Hour)
			b.name(0)
			b.name(1)
			b.name(2)
			start := time.Now()
			b.name(3)
			if took := time.Since(start); took != 0 {
				b.Errorf("waited %s", took)
			}
			b.wantsMetric("username_lookups_total", "saturated", 1)
			b.wantsMetric("usernames_pending", "", 3)
		})
	})

	t.Run("the_callers_context_ends_the_wait", func(t *testing.T) {
		run(t, usernames.Options{}, func(b *bench) {
			b.api.slow(time.Hour)
			ctx, cancel := context.WithCancel(b.Context())
			cancel()
			start := time.Now()
			if names := b.cache.Usernames(ctx, users(1)); len(names) != 0 || time.Since(start) != 0 {
				b.Errorf("got %v after %s", names, time.Since(start))
			}
			b.wantsMetric("username_lookups_total", "deadline", 0)
		})
	})

	t.Run("the_number_of_users_in_memory_is_bounded", func(t *testing.T) {
		run(t, usernames.Options{Size: 2}, func(b *bench) {
			b.wants(1, "name of 1", 1)
			b.wants(2, "name of 2", 2)
			b.wants(1, "name of 1", 2)
			b.wants(3, "name of 3", 3) // Pushes out 2, the least recently used.
			b.wants(1, "name of 1", 3)
			b.wants(2, "name of 2", 4)
		})
	})

	t.Run("without_a_lookup_nobody_waits", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			cache, err := usernames.New(usernames.Options{})
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			if names := cache.Usernames(t.Context(), users(3)); len(names) != 0 || time.Since(start) != 0 {
				t.Errorf("got %v after %s", names, time.Since(start))
			}
		})
	})
}

func TestCache_Run(t *testing.T) {
	t.Run("the_end_cuts_lookups_short_and_lets_everybody_go", func(t *testing.T) {
		run(t, usernames.Options{Concurrency: 8, MaxWait: time.Hour}, func(b *bench) {
			b.api.untilEnd = true
			b.api.say(usernames.Temporary)
			start := time.Now()
			var batch sync.WaitGroup
			batch.Go(func() {
				if names := b.cache.Usernames(b.Context(), users(30)); len(names) != 0 {
					b.Errorf("got %v", names)
				}
			})
			synctest.Wait()
			b.stop()
			batch.Wait()
			b.name(99)
			if took := time.Since(start); took != 0 || b.api.lookups() != 8 {
				b.Errorf("took %s and %d lookups", took, b.api.lookups())
			}
			b.wantsMetric("username_lookups_total", "temporary", 0)
			b.wantsMetric("usernames_pending", "", 0)
		})
	})

	t.Run("many_batches_at_once_get_the_right_names", func(t *testing.T) {
		run(t, usernames.Options{Size: 50, Queue: 20, TTL: time.Second}, func(b *bench) {
			b.api.slow(10 * time.Millisecond)
			var batches sync.WaitGroup
			for seed := range uint64(20) {
				batches.Go(func() {
					rng := rand.New(rand.NewPCG(seed, 1))
					for range 50 {
						var batch []mapping.User
						for range 1 + rng.IntN(20) {
							batch = append(batch, user(rng.IntN(100)))
						}
						for u, name := range b.cache.Usernames(b.Context(), batch) {
							if name != "name of "+u.UserID {
								b.Errorf("user %s is %q", u.UserID, name)
							}
						}
						if rng.IntN(10) == 0 {
							b.cache.Retry()
							b.cache.Wrote(batch...)
						}
					}
				})
			}
			batches.Wait()
			if b.api.most > 8 {
				b.Errorf("%d lookups ran at once", b.api.most)
			}
		})
	})
}

func TestNew(t *testing.T) {
	for name, opts := range map[string]usernames.Options{
		"max_wait": {MaxWait: -1}, "ttl": {TTL: -1}, "size": {Size: -1}, "concurrency": {Concurrency: -1}, "queue": {Queue: -1},
	} {
		t.Run("a_negative_"+name+"_is_refused", func(t *testing.T) {
			if _, err := usernames.New(opts); err == nil {
				t.Error("no error")
			}
		})
	}

	t.Run("metrics_are_well_formed_and_start_at_zero", func(t *testing.T) {
		registry := prometheus.NewPedanticRegistry()
		if _, err := usernames.New(usernames.Options{Registerer: registry}); err != nil {
			t.Fatal(err)
		}
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		series := 0
		for _, family := range families {
			if !strings.HasPrefix(family.GetName(), "sidestream_replicator_username") {
				t.Errorf("unexpected metric %s", family.GetName())
			}
			series += len(family.GetMetric())
		}
		if series != 16 {
			t.Errorf("%d series, want 10 results, 5 reasons and the pending ones", series)
		}
		problems, err := promlint.NewWithMetricFamilies(families).Lint()
		if err != nil || len(problems) != 0 {
			t.Errorf("lint: %v, %v", problems, err)
		}
	})
}
