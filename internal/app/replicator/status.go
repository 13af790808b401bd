package replicator

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"sidestream/internal/app/console"
	"sidestream/internal/config"
	"sidestream/internal/ops"
	"sidestream/internal/statuspage"
	"sidestream/replicator"
)

// status is what the running replicator says of itself.
func (d *daemon) status(ctx context.Context, version string) statuspage.Status {
	state := d.loop.State()
	s := statuspage.Status{
		At: time.Now(), Version: version, Source: d.config.Source.Name, Database: d.headline(),
		State: phase(state.Phase), Since: state.Since, NextAttempt: state.NextAttempt, StepSince: state.StepSince,
		CursorKnown: state.Cursor.Known, Generation: state.Cursor.Generation, Position: state.Cursor.Position, AppliedTotal: state.Cursor.AppliedTotal,
		LastApplied: state.Cursor.UpdatedAt, LastSuccess: state.LastSuccess, CRMUp: state.TargetUp, Enabled: d.config.CRM.Enabled, DeadLettersOpen: d.target.DeadLettersOpen(),
		Deaf: d.watcher.Deaf(), Wakeups: map[string]int64{},
	}
	for cause, n := range d.woken {
		s.Wakeups[cause] = n.Load()
	}
	if !s.Enabled {
		s.State, s.Reason, s.Hint = statuspage.Idle, disabled, enableHint(d.config)
	}
	if s.Hint == "" && s.DeadLettersOpen > 0 {
		s.Hint = "replicator dead-letters list"
	}
	addFailure(&s, state.Failure)
	addLag(ctx, &s, d.source, state)
	return s
}

// disabled is the reason where replication is switched off.
const disabled = "crm_disabled"

func addFailure(s *statuspage.Status, f *replicator.Failure) {
	if f != nil {
		s.Class, s.Reason, s.Code, s.Detail, s.Hint = string(f.Class), f.Reason, f.Code, f.Detail, f.Hint
	}
}

// phase translates the loop's phase: what the loop calls idle is a replicator
// that runs and has nothing to do.
func phase(p replicator.Phase) statuspage.State {
	switch p {
	case replicator.Starting:
		return statuspage.Starting
	case replicator.Waiting:
		return statuspage.Waiting
	case replicator.Stuck:
		return statuspage.Blocked
	case replicator.Running, replicator.Idle:
	}
	return statuspage.Running
}

// addLag reads how far the cursor is behind, at this moment.
func addLag(ctx context.Context, s *statuspage.Status, source replicator.Source, state replicator.State) {
	pending, err := source.Pending(ctx, s.Position)
	if err != nil {
		return
	}
	s.Head = &pending.Head
	if !state.LagKnown() {
		return
	}
	s.LagChanges, s.LagSeconds = &pending.Changes, new(0.0)
	if !pending.Oldest.IsZero() {
		*s.LagSeconds = max(0, s.At.Sub(pending.Oldest).Seconds())
	}
}

type statusCmd struct {
	JSON   bool             `help:"Print JSON."`
	MaxLag console.Duration `placeholder:"5m" help:"Exit 3 where the lag is longer or not known, or replication is blocked."`
}

// Run asks the running replicator, and reads both sides itself where none
// answers.
func (cmd statusCmd) Run(a *app) error {
	c, logger, err := a.load()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(a.ctx, 15*time.Second)
	defer cancel()
	from := "the running replicator at " + c.Replicator.Listen
	s, err := statuspage.Fetch(ctx, ops.Get, c.Replicator.Listen)
	if err != nil {
		from = "both databases, read directly (no replicator answers at " + c.Replicator.Listen + ")"
		if s, err = readStatus(ctx, c, logger, a.version); err != nil {
			return failure(err)
		}
	}
	if cmd.JSON {
		encoder := json.NewEncoder(a.stdout)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(s)
	} else {
		fmt.Fprintln(a.stdout, "from", from)
		err = s.Text(a.stdout)
	}
	if err != nil {
		return err
	}
	return cmd.judge(s)
}

func (cmd statusCmd) judge(s statuspage.Status) error {
	if cmd.MaxLag <= 0 {
		return nil
	}
	if s.Class == string(replicator.Blocked) {
		return &console.ExitError{Code: console.Drift, Err: fmt.Errorf("replication is blocked: %s", s.Reason)}
	}
	if s.LagSeconds == nil {
		return &console.ExitError{Code: console.Drift, Err: fmt.Errorf("the lag is not known")}
	}
	if lag := time.Duration(*s.LagSeconds * float64(time.Second)); lag > time.Duration(cmd.MaxLag) {
		return &console.ExitError{Code: console.Drift, Err: fmt.Errorf("the lag is %s, more than %s", lag.Round(time.Second), cmd.MaxLag)}
	}
	return nil
}

// readStatus makes a status without a running replicator.
func readStatus(ctx context.Context, c *config.Config, logger *slog.Logger, version string) (statuspage.Status, error) {
	s := statuspage.Status{At: time.Now(), Version: version, Source: c.Source.Name, Database: c.Database.Path, State: "stopped", Enabled: c.CRM.Enabled}
	source, err := newSource(c, logger)
	if err != nil {
		return s, err
	}
	defer func() { _ = source.Close() }()
	var state replicator.State
	look := func(ctx context.Context) error {
		_, err := source.Read(ctx, state.Cursor, 0)
		return err
	}
	if !c.CRM.Enabled {
		s.Reason, s.Hint = disabled, enableHint(c)
	} else {
		target, err := newTarget(c, logger, nil)
		if err != nil {
			return s, err
		}
		defer func() { _ = target.Close() }()
		overview, err := target.Overview(ctx)
		if err != nil {
			return s, err
		}
		state.Cursor = overview.Cursor
		s.CRMUp, s.DeadLettersOpen = true, int64(overview.DeadLettersOpen)
		s.CursorKnown, s.Generation, s.Position, s.AppliedTotal = overview.Cursor.Known, overview.Cursor.Generation, overview.Cursor.Position, overview.Cursor.AppliedTotal
		s.LastApplied = overview.Cursor.UpdatedAt
		state.Failure, state.TargetStrange = overview.Rewound, overview.Rewound != nil
		if overview.StateMissing {
			s.Hint = "start the replicator: it makes the state tables that are missing, or says who has to"
		}
		if !state.Cursor.Known {
			look = func(ctx context.Context) error {
				_, err := replicator.Begin(ctx, source, target)
				return err
			}
		}
	}
	if err := look(ctx); err != nil {
		f := replicator.AsFailure(err)
		state.SourceStrange = f.Class == replicator.Blocked
		if state.Failure == nil || state.SourceStrange {
			state.Failure = f
		}
	}
	addFailure(&s, state.Failure)
	addLag(ctx, &s, source, state)
	return s, nil
}
