package replicator

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"sidestream/internal/app/console"
	"sidestream/internal/mysql"
	"sidestream/replicator"
)

type cursorResumeCmd struct {
	DryRun bool `help:"Only say what would happen."`
}

// Run finds the last position at which the file's row and the CRM's row are
// both what was applied, and goes on behind it.
func (cmd cursorResumeCmd) Run(a *app) error {
	d, err := a.open()
	if err != nil {
		return err
	}
	defer func() { _ = d.close() }()
	if !d.now.Cursor.Known {
		return &console.HintError{Err: errors.New("there is no cursor to resume from"), Hint: replicator.HowToBegin}
	}
	decision, err := d.resume(a.ctx)
	if err != nil {
		return failure(err)
	}
	if cmd.DryRun {
		fmt.Fprintf(a.stdout, "would do: %s\nNothing was changed.\n", decision.Detail)
		return nil
	}
	if err := d.decide(a.ctx, decision); err != nil {
		return err
	}
	if len(decision.Letters) == 0 {
		return nil
	}
	if len(decision.Taken) > 0 {
		// Nobody knows why the CRM lacks them: they may have been refused.
		fmt.Fprintln(a.stdout, "next: replicator dead-letters list, and replicator dead-letters retry to send them")
		return nil
	}
	return d.retryReopened(a.ctx, decision.Letters)
}

// retryReopened tries the letters that a decision has opened again.
func (d *desk) retryReopened(ctx context.Context, reopened []replicator.Letter) error {
	open, err := d.target.ListDeadLetters(ctx, false)
	if err != nil {
		return failure(err)
	}
	return d.retryAll(ctx, slices.DeleteFunc(open, func(l mysql.DeadLetter) bool {
		return !slices.ContainsFunc(reopened, func(r replicator.Letter) bool { return r.Position == l.Position })
	}))
}

func (d *desk) resume(ctx context.Context) (mysql.Decision, error) {
	mapper, err := newMapper(d.config)
	if err != nil {
		return mysql.Decision{}, err
	}
	r, err := replicator.Resume(ctx, d.source, d.target, mapper, d.now.Cursor, d.now.Tail)
	return mysql.Decision{Action: replicator.ActionResume, Next: r.Next, Detail: r.Detail, Taken: r.Taken, Letters: r.Letters}, err
}
