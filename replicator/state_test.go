package replicator_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"

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
