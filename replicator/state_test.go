package replicator_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"sidestream/replicator"
)

// refusing is a target that cannot be loaded for a reason.
type refusing struct {
	replicator.Target
	failure replicator.Failure
}

func (r refusing) Load(context.Context) (replicator.Cursor, error) {
	f := r.failure
	return replicator.Cursor{}, &f
}

func TestReplicator_State_takes_an_answer_for_a_target_that_is_up(t *testing.T) {
	for name, tt := range map[string]struct {
		failure replicator.Failure
		up      bool
	}{
		"a_table_that_cannot_be_used": {replicator.Failure{Class: replicator.Blocked, Reason: "target_engine", Answered: true}, true},
		"nobody_there":                {replicator.Failure{Class: replicator.Transient, Reason: "crm_unreachable"}, false},
		"a_login_refused":             {replicator.Failure{Class: replicator.Blocked, Reason: "login_refused"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			var log strings.Builder
			b := setup(t, func(o *replicator.Options) {
				o.Target, o.Logger = refusing{o.Target, tt.failure}, slog.New(slog.NewTextHandler(&log, nil))
			})
			if _, err := b.Step(t.Context()); err == nil {
				t.Fatal("it was loaded")
			}
			if s := b.State(); s.TargetUp != tt.up || s.Failure.Reason != tt.failure.Reason {
				t.Errorf("up %v, want %v", s.TargetUp, tt.up)
			}
			if !strings.Contains(log.String(), "reason="+tt.failure.Reason) || strings.Contains(log.String(), `=""`) {
				t.Errorf("the line says nothing, or holds fields that say nothing:\n%s", log.String())
			}
		})
	}
}

func TestReplicator_State_tells_how_long_a_step_takes(t *testing.T) {
	b := setup(t)
	asked, answer := make(chan struct{}), make(chan struct{})
	first := true
	b.target.Down = func() bool {
		if first {
			first = false
			close(asked)
			<-answer
		}
		return false
	}
	done := make(chan error, 1)
	go func() {
		_, err := b.Step(t.Context())
		done <- err
	}()
	<-asked
	if b.State().StepSince.IsZero() {
		t.Error("no step in progress while the target is silent")
	}
	close(answer)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if since := b.State().StepSince; !since.IsZero() {
		t.Errorf("a step in progress since %v after it has ended", since)
	}
}

// TestReplicator_lag_of_another_target: where the target lacks what the cursor
// counts as applied, no lag would be a lie; where it is mended there is one.
func TestReplicator_lag_of_another_target(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	lags := func() (n int) {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if strings.Contains(f.GetName(), "_lag_") {
				n++
			}
		}
		return n
	}
	b := setup(t, func(o *replicator.Options) { o.Registerer, o.BatchRows = registry, 2 })
	b.source.Append(sayMany(1, 4)...)
	_, _ = b.Step(t.Context())
	dump := b.server.Cursor("main")
	b.drain(t)
	if n := lags(); n != 2 {
		t.Fatalf("%d series of the lag before, want 2", n)
	}
	b.server.SetCursor("main", dump)
	b.source.Append(sayMany(5, 5)...)
	_, _ = b.Step(t.Context()) // the compare-and-set misses
	_, err := b.Step(t.Context())
	wantBlocked(t, err, "target_cursor_behind")
	if n := lags(); n != 0 || b.State().LagKnown() {
		t.Errorf("%d series of the lag while the target lacks rows", n)
	}
	// That the server is away meanwhile says nothing about its rows.
	b.target.Down = func() bool { return true }
	if _, err := b.Step(t.Context()); err == nil || lags() != 0 {
		t.Errorf("%d series of the lag after %v", lags(), err)
	}
	b.target.Down = nil
	next := dump
	next.Decision, next.Attempt = "a person's", "a person's"
	if err := b.target.Decide(t.Context(), dump, next, nil, nil); err != nil {
		t.Fatal(err)
	}
	b.drain(t)
	if n := lags(); n != 2 {
		t.Errorf("%d series of the lag after the decision, want 2", n)
	}
}
