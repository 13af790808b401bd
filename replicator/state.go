package replicator

import (
	"strings"
	"time"
)

// sourcePrefix begins every reason that a Source gives.
const sourcePrefix = "source_"

// Phase is what the loop is doing, in one word.
type Phase string

// The phases.
const (
	Starting Phase = "starting"
	Running  Phase = "running"
	Idle     Phase = "idle"
	Waiting  Phase = "waiting"
	Stuck    Phase = "blocked"
)

// State is what the loop knows of itself. It is a copy.
type State struct {
	Phase Phase
	// Since is when the phase, or the reason of the failure, last changed.
	Since time.Time
	// Cursor is the last one known to be in the target.
	Cursor Cursor
	// Failure is why the loop waits or is blocked; nil otherwise.
	Failure *Failure
	// Failures counts the failures in a row.
	Failures    int
	NextAttempt time.Time
	// LastSuccess is when the target last answered as it should, whether there was
	// anything to apply or not. When the cursor last moved is Cursor.UpdatedAt.
	LastSuccess time.Time
	// LastProgress is when the cursor last moved, or when there was nothing to do.
	LastProgress time.Time
	// StepSince is when the step in progress began; zero between steps. One that
	// takes long waits for an answer of the target.
	StepSince time.Time
	// SourceStrange is true from when the file turned out not to be the one that
	// the cursor belongs to until it was read without complaint.
	SourceStrange bool
	// TargetStrange is true from when the target turned out to hold something else
	// than the cursor says until a step went well.
	TargetStrange bool
	// TargetUp is false while the last attempt failed because the target could not
	// be reached or logged in to.
	TargetUp bool
}

// LagKnown tells whether the distance between cursor and source means anything:
// not before the cursor was read, and not while the file, or what the target
// holds, is another one than the cursor belongs to: that could show no lag where
// everything is missing.
func (s State) LagKnown() bool {
	return s.Cursor.Known && !s.SourceStrange && !s.TargetStrange
}

// ofStrangeTarget tells whether a failure says that the target lacks rows that
// the cursor counts as applied, or holds rows beyond it.
func ofStrangeTarget(f *Failure) bool {
	if f == nil || f.Class != Blocked {
		return false
	}
	switch f.Reason {
	case "target_cursor_behind", "target_cursor_lost", "target_rewound", "target_ahead", "ledger_ahead":
		return true
	}
	return false
}

// State returns the loop's current state; safe for concurrent use.
func (r *Replicator) State() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

func (r *Replicator) consecutive() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state.Failures
}

func (r *Replicator) setNextAttempt(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.NextAttempt = at
}

// beginStep notes that a step has begun.
func (r *Replicator) beginStep() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.state.StepSince = r.opt.Now()
}

// observe records the outcome of a step, and logs where it differs from the
// last one: a failure that repeats gets a line a minute.
func (r *Replicator) observe(progress bool, err error) {
	now := r.opt.Now()
	r.mu.Lock()
	before := r.state
	s := &r.state
	s.Cursor = r.cursor
	s.Failure, s.NextAttempt, s.StepSince = nil, time.Time{}, time.Time{}
	switch {
	case err == nil && progress:
		s.Phase = Running
	case err == nil:
		s.Phase = Idle
	default:
		s.Failure = AsFailure(err)
		s.Phase = Waiting
		if s.Failure.Class == Blocked {
			s.Phase = Stuck
		}
	}
	if ofSource := s.Failure != nil && strings.HasPrefix(s.Failure.Reason, sourcePrefix); err == nil || ofSource {
		s.SourceStrange = ofSource && s.Failure.Class == Blocked
	}
	s.TargetStrange = err != nil && (s.TargetStrange || ofStrangeTarget(s.Failure))
	if err == nil {
		s.Failures = 0
		s.LastProgress, s.TargetUp = now, true
	} else if s.Failure.Reason != ReasonMoved {
		s.Failures++
		// A failure of the source, or of what was found in the target, says nothing
		// against a target that has just answered.
		s.TargetUp = r.answered || s.Failure.Answered || s.TargetUp && strings.HasPrefix(s.Failure.Reason, sourcePrefix)
	}
	if r.answered {
		s.LastSuccess = now
	}
	changed := before.Phase != s.Phase || reason(before.Failure) != reason(s.Failure)
	if changed {
		s.Since = now
	}
	after := *s
	r.mu.Unlock()
	r.report(before, after, changed, now)
}

func reason(f *Failure) string {
	if f == nil {
		return ""
	}
	return f.Reason + f.Code
}

// repeatLog is how often a failure that goes on is logged again.
const repeatLog = time.Minute

// report logs a change of state, and now and then a failure that goes on.
func (r *Replicator) report(before, after State, changed bool, now time.Time) {
	f := after.Failure
	if f == nil {
		if before.Failure != nil && before.Failure.Reason != ReasonMoved {
			r.opt.Logger.Info("applying again", "after", before.Failure.Reason, "failures", before.Failures, "position", after.Cursor.Position)
		}
		return
	}
	if f.Reason == ReasonMoved {
		// With a second replicator this is the normal course of things.
		if now.Sub(r.loggedAt) < repeatLog {
			return
		}
		r.loggedAt = now
		r.opt.Logger.Info("the cursor was moved by somebody else; reading it again", "position", after.Cursor.Position)
		return
	}
	if !changed && now.Sub(r.loggedAt) < repeatLog {
		return
	}
	r.loggedAt = now
	fields := []any{"class", f.Class, "reason", f.Reason}
	for _, field := range [][2]string{{"code", f.Code}, {"detail", f.Detail}, {"next", f.Hint}} {
		if field[1] != "" {
			fields = append(fields, field[0], field[1])
		}
	}
	r.opt.Logger.Warn("not applying", append(fields, "failures", after.Failures)...)
}
