package replicator_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sidestream/internal/testkit/fake"
	"sidestream/mapping"
	"sidestream/replicator"
)

// once returns the given faults in turn, and None afterwards.
func once(faults ...fake.Fault) func() fake.Fault {
	return func() fake.Fault {
		if len(faults) == 0 {
			return fake.None
		}
		f := faults[0]
		faults = faults[1:]
		return f
	}
}

func counted(t *testing.T, registry prometheus.Gatherer, name, label string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && m.GetLabel()[0].GetValue() == label {
				return m.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no metric %s %s", name, label)
	return 0
}

func TestReplicator_doubtful_commit(t *testing.T) {
	for name, tc := range map[string]struct {
		faults     []fake.Fault
		resolution string
	}{
		"whose_answer_was_lost":            {[]fake.Fault{fake.AnswerLost}, "committed"},
		"that_never_happened":              {[]fake.Fault{fake.CommitLost}, "rolled_back"},
		"that_a_zombie_commits_later":      {[]fake.Fault{fake.Zombie}, "committed"},
		"twice_in_a_row_then_a_late_one":   {[]fake.Fault{fake.CommitLost, fake.Zombie}, "committed"},
		"after_a_zombie_that_lost_as_well": {[]fake.Fault{fake.Zombie, fake.AnswerLost}, "committed"},
	} {
		t.Run(name, func(t *testing.T) {
			registry := prometheus.NewPedanticRegistry()
			b := setup(t, func(o *replicator.Options) { o.Registerer, o.BatchRows = registry, 4 })
			b.target.Fault = once(tc.faults...)
			b.source.Append(sayMany(1, 10)...)
			b.persist(t, 60)
			want(t, b, texts(1, 10)...)
			if got := counted(t, registry, "sidestream_replicator_ambiguous_commits_total", tc.resolution); got < 1 {
				t.Errorf("no doubtful COMMIT was counted as %s", tc.resolution)
			}
			if got := counted(t, registry, "sidestream_replicator_changes_applied_total", "message"); got != 10 {
				t.Errorf("%v changes counted as applied, want 10", got)
			}
		})
	}
}

func TestReplicator_data(t *testing.T) {
	refuse := func(bad ...string) func(mapping.Record) *replicator.Failure {
		return func(r mapping.Record) *replicator.Failure {
			if slices.Contains(bad, r.Message) {
				return &replicator.Failure{Class: replicator.Data, Reason: "too_long", Code: "1406"}
			}
			return nil
		}
	}
	t.Run("only_the_bad_rows_are_parked", func(t *testing.T) {
		b := setup(t)
		b.server.Refuse = refuse("text 1", "text 17", "text 18", "text 40")
		b.source.Append(sayMany(1, 40)...)
		b.persist(t, 200)
		want(t, b, append(texts(2, 16), texts(19, 39)...)...)
		if got := b.server.DeadLetters("main"); !slices.Equal(got, []int64{1, 17, 18, 40}) {
			t.Errorf("dead letters: %v", got)
		}
	})
	t.Run("few_ids_are_burnt", func(t *testing.T) {
		b := setup(t)
		b.server.Refuse = refuse("text 500")
		b.source.Append(sayMany(1, 1000)...)
		b.persist(t, 400)
		// The first try burns a batch; afterwards statements are small.
		rows := b.server.Rows()
		if last := rows[len(rows)-1].ID; last > 999+1000+50 {
			t.Errorf("the last id is %d for 999 rows", last)
		}
	})
	t.Run("few_ids_are_burnt_where_the_row_is_not_named", func(t *testing.T) {
		b := setup(t)
		b.server.Mute = true
		b.server.Refuse = refuse("text 300", "text 600", "text 900")
		b.source.Append(sayMany(1, 1000)...)
		b.persist(t, 800)
		rows := b.server.Rows()
		if last := rows[len(rows)-1].ID; last > 997+1000+3*200 {
			t.Errorf("the last id is %d for 997 rows", last)
		}
	})
	t.Run("a_table_that_refuses_everything_is_blocked_not_parked", func(t *testing.T) {
		b := setup(t)
		b.source.Append(sayMany(1, 5)...)
		b.drain(t)
		b.server.Refuse = func(mapping.Record) *replicator.Failure {
			return &replicator.Failure{Class: replicator.Data, Reason: "bad_value", Code: "1364"}
		}
		b.source.Append(sayMany(6, 30)...)
		var err error
		for range 50 {
			_, err = b.Step(t.Context())
		}
		wantBlocked(t, err, "target_refuses_all")
		before := b.server.Insert(mapping.Record{Message: "a stranger's"})
		for range 10 {
			_, _ = b.Step(t.Context())
		}
		after := b.server.Insert(mapping.Record{Message: "a stranger's"})
		if burnt := after - before - 1; burnt > 10*3 {
			t.Errorf("ten attempts burnt %d ids", burnt)
		}
		if got := b.server.DeadLetters("main"); len(got) > 0 {
			t.Errorf("dead letters: %v", got)
		}
		b.server.Refuse = nil
		b.persist(t, 50)
		if got := len(b.server.Rows()); got != 32 {
			t.Errorf("%d rows, want 30 and two of a stranger", got)
		}
	})
	t.Run("an_unknown_error_that_persists_is_found_by_elimination", func(t *testing.T) {
		b := setup(t)
		b.server.Refuse = func(r mapping.Record) *replicator.Failure {
			if r.Message == "text 7" {
				return &replicator.Failure{Class: replicator.Transient, Reason: "unknown", Code: "31001", Unknown: true}
			}
			return nil
		}
		b.source.Append(sayMany(1, 20)...)
		b.persist(t, 200)
		want(t, b, append(texts(1, 6), texts(8, 20)...)...)
		if got := b.server.DeadLetters("main"); !slices.Equal(got, []int64{7}) {
			t.Errorf("dead letters: %v", got)
		}
	})
}

func TestReplicator_blocked(t *testing.T) {
	t.Run("a_cursor_that_went_back_needs_a_person", func(t *testing.T) {
		b := setup(t, func(o *replicator.Options) { o.BatchRows = 2 })
		b.source.Append(sayMany(1, 4)...)
		_, _ = b.Step(t.Context())
		dump := b.server.Cursor("main")
		b.drain(t)
		b.server.SetCursor("main", dump)
		b.source.Append(sayMany(5, 5)...)
		_, err := b.Step(t.Context()) // the compare-and-set misses
		if replicator.AsFailure(err).Reason != replicator.ReasonMoved {
			t.Fatalf("error: %v", err)
		}
		_, err = b.Step(t.Context())
		wantBlocked(t, err, "target_cursor_behind")
		want(t, b, texts(1, 4)...)

		next := dump
		next.Decision, next.Attempt = "a person's", "a person's"
		if err := b.target.Decide(t.Context(), dump, next, nil, nil); err != nil {
			t.Fatal(err)
		}
		b.drain(t)
		want(t, b, append(texts(1, 4), texts(3, 5)...)...)
	})
	t.Run("a_cursor_that_is_gone_is_never_made_anew", func(t *testing.T) {
		b := setup(t)
		b.source.Append(sayMany(1, 2)...)
		b.drain(t)
		b.server.SetCursor("main", replicator.Cursor{})
		b.source.Append(sayMany(3, 3)...)
		_, _ = b.Step(t.Context())
		_, err := b.Step(t.Context())
		wantBlocked(t, err, "target_cursor_lost")
		want(t, b, texts(1, 2)...)
	})
	t.Run("two_hosts_with_copies_of_one_file_diverge_visibly", func(t *testing.T) {
		b := setup(t)
		b.source.Append(sayMany(1, 3)...)
		b.drain(t)
		other := *b
		other.source = b.source.Copy()
		other.join(t)
		b.source.Append(say("here", "here"))
		other.source.Append(say("there", "there"), say("there too", "there too"))
		b.drain(t)
		_, _ = other.Step(t.Context())
		_, err := other.Step(t.Context())
		if f := replicator.AsFailure(err); f.Class != replicator.Blocked || f.Reason != "source_diverged" {
			t.Fatalf("error: %v", err)
		}
		want(t, b, "text 1", "text 2", "text 3", "here")
	})
}

func TestReplicator_two_at_once(t *testing.T) {
	b := setup(t, func(o *replicator.Options) { o.BatchRows = 3 })
	other := *b
	other.join(t, func(o *replicator.Options) { o.BatchRows = 5 })
	b.source.Append(sayMany(1, 100)...)
	for range 200 {
		_, _ = b.Step(t.Context())
		_, _ = other.Step(t.Context())
	}
	want(t, b, texts(1, 100)...)
}

func TestReplicator_Run(t *testing.T) {
	t.Run("waits_while_the_CRM_is_away_and_catches_up", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			wakeups := make(chan struct{}, 1)
			b := setup(t, func(o *replicator.Options) { o.Wakeups, o.MaxBackoff = wakeups, 30*time.Second })
			var down atomic.Bool
			var attempts atomic.Int64
			down.Store(true)
			b.target.Down = func() bool { attempts.Add(1); return down.Load() }
			b.source.Append(sayMany(1, 3)...)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- b.Run(ctx) }()
			elapse(10 * time.Minute)
			if s := b.State(); s.Phase != replicator.Waiting || s.Failure.Reason != "crm_unreachable" || s.TargetUp {
				t.Errorf("state: %+v", s)
			}
			if n := attempts.Load(); n < 20 || n > 200 {
				t.Errorf("%d attempts in ten minutes", n)
			}
			down.Store(false)
			elapse(time.Minute)
			want(t, b, texts(1, 3)...)
			if s := b.State(); s.Phase != replicator.Idle || !s.TargetUp {
				t.Errorf("state: %+v", s)
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("drains_what_is_pending_when_it_is_told_to_stop", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := setup(t, func(o *replicator.Options) { o.BatchRows = 2 })
			b.source.Append(sayMany(1, 20)...)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := b.Run(ctx); err != nil {
				t.Error(err)
			}
			want(t, b, texts(1, 20)...)
		})
	})
	t.Run("knocks_slowly_where_the_login_is_refused", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			retry := make(chan struct{}, 1)
			b := setup(t)
			slow := &slowTarget{Target: b.target}
			r := newReplicator(t, b.source, slow, func(o *replicator.Options) { o.Retry = retry })
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- r.Run(ctx) }()
			elapse(time.Hour)
			before := slow.attempts.Load()
			if before < 4 || before > 30 {
				t.Errorf("%d attempts in an hour", before)
			}
			retry <- struct{}{}
			synctest.Wait()
			if n := slow.attempts.Load() - before; n != 1 {
				t.Errorf("a changed secret caused %d attempts at once, want 1", n)
			}
			cancel()
			<-done
		})
	})
}

// slowTarget refuses every login.
type slowTarget struct {
	*fake.Target
	attempts atomic.Int64
}

// elapse lets time pass on the bubble's clock.
func elapse(d time.Duration) { <-time.After(d) }

func (s *slowTarget) Load(context.Context) (replicator.Cursor, error) {
	s.attempts.Add(1)
	return replicator.Cursor{}, &replicator.Failure{Class: replicator.Blocked, Reason: "login_refused", Slow: true, Hint: "check"}
}

func TestReplicator_keeps_texts_out_of_errors(t *testing.T) {
	b := setup(t)
	b.server.Refuse = func(r mapping.Record) *replicator.Failure {
		return &replicator.Failure{Class: replicator.Data, Reason: "too_long", Err: fmt.Errorf("quotes %s", r.Message)}
	}
	b.source.Append(say("a", "a secret"))
	_, err := b.Step(t.Context())
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("error: %v", err)
	}
}
