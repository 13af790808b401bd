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
func (d *desk) retryReopened(ctx context.Context, reopened []mysql.DeadLetter) error {
	open, err := d.target.ListDeadLetters(ctx, false)
	if err != nil {
		return failure(err)
	}
	return d.retryAll(ctx, slices.DeleteFunc(open, func(l mysql.DeadLetter) bool {
		return !slices.ContainsFunc(reopened, func(r mysql.DeadLetter) bool { return r.Position == l.Position })
	}))
}

// resume asks the loop's own logic where both sides agree, and adds what is the
// ledger's business.
func (d *desk) resume(ctx context.Context) (mysql.Decision, error) {
	mapper, err := newMapper(d.config)
	if err != nil {
		return mysql.Decision{}, err
	}
	now := d.now.Cursor
	next, detail, err := replicator.Resume(ctx, d.source, d.target, mapper, now, d.now.LedgerEnd)
	decision := mysql.Decision{Action: "resume", Next: next, Detail: detail}
	if err != nil || next.Generation != now.Generation {
		return decision, err
	}
	t, err := d.takeOver(ctx, mapper, max(now.Position, d.now.LedgerEnd), d.now.LedgerLastID)
	if err != nil {
		return mysql.Decision{}, err
	}
	if n := len(t.rows); n > 0 {
		upTo := t.rows[n-1].Position
		decision.Next.Position, decision.Next.StartPosition = upTo, min(now.StartPosition, upTo)
		decision.Next.Anchors, decision.Next.SourceID, err = d.source.Anchors(ctx, upTo)
		decision.Taken, decision.Letters = t.rows, t.lacking
		decision.Detail = fmt.Sprintf("resumes behind position %d: the CRM holds %d messages behind position %d already, which are taken over; %d that it lacks among them become open dead letters", upTo, n, now.Position, len(t.lacking))
		return decision, err
	}
	if decision.Letters, err = d.lostRetries(ctx, mapper, next.Position); err != nil {
		return mysql.Decision{}, err
	}
	if n := len(decision.Letters); n > 0 {
		decision.Detail += fmt.Sprintf(", and %d dead letters that a retry had delivered are tried again", n)
	}
	return decision, nil
}
