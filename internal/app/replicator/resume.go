package replicator

import (
	"context"
	"errors"
	"fmt"

	"sidestream/internal/app/console"
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
		return &console.HintError{Err: errors.New("there is no cursor to resume from"), Hint: "replicator cursor init --at beginning|end|POSITION"}
	}
	next, detail, err := d.resume(a.ctx)
	if err != nil {
		return failure(err)
	}
	if cmd.DryRun {
		fmt.Fprintln(a.stdout, "would do:", detail)
		return nil
	}
	return d.decide(a.ctx, "resume", next, detail)
}

func (d *desk) resume(ctx context.Context) (replicator.Cursor, string, error) {
	mapper, err := newMapper(d.config)
	if err != nil {
		return replicator.Cursor{}, "", err
	}
	return replicator.Resume(ctx, d.source, d.target, mapper, d.now.Cursor, d.now.LedgerEnd)
}
