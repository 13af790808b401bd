package replicator

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"sidestream/internal/app/console"
	"sidestream/mapping"
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
	now := d.now.Cursor
	_, last, _, err := d.source.Bounds(ctx)
	if err != nil {
		return replicator.Cursor{}, "", err
	}
	agreed, err := d.lastAgreed(ctx, min(now.Position, last))
	if err != nil {
		return replicator.Cursor{}, "", err
	}
	anchors, sourceID, err := d.source.Anchors(ctx, agreed)
	if err != nil {
		return replicator.Cursor{}, "", err
	}
	next := replicator.Cursor{
		Generation: now.Generation, SourceID: sourceID, StartPosition: min(now.StartPosition, agreed), Position: agreed,
		Anchors: anchors, AppliedTotal: now.AppliedTotal,
	}
	// The file is the one that was applied where the read that the loop would do
	// finds nothing wrong with it.
	if _, err := d.source.Read(ctx, now, 1); err == nil {
		return next, fmt.Sprintf("resumes behind position %d: the CRM holds everything up to there; %d positions are applied again", agreed, now.Position-agreed), nil
	} else if f := replicator.AsFailure(err); f.Class != replicator.Blocked {
		return replicator.Cursor{}, "", err
	}
	next.Generation++
	return next, fmt.Sprintf("the file's numbering starts anew: generation %d, behind position %d, the last one that the file and the CRM agree upon; %d positions of the file follow", next.Generation, agreed, last-agreed), nil
}

// lastAgreed walks back from a position to the newest message whose CRM row is
// still there, with the user, direction and time that the file says.
func (d *desk) lastAgreed(ctx context.Context, from int64) (int64, error) {
	const step = 500
	mapper, err := newMapper(d.config)
	if err != nil {
		return 0, err
	}
	now := d.now.Cursor
	for top := from; top > now.StartPosition; top = max(now.StartPosition, top-step) {
		// Without anchors the read checks nothing: what the file is now is what is asked.
		chunk, err := d.source.Read(ctx, replicator.Cursor{Position: max(now.StartPosition, top-step)}, step)
		if err != nil {
			return 0, err
		}
		for _, c := range slices.Backward(chunk.Changes) {

			if c.Position > top || c.Kind != mapping.KindMessage {
				continue
			}
			held, err := d.target.Holds(ctx, now.Generation, c.Position, mapper.Was(c))
			if err != nil {
				return 0, err
			}
			if held {
				return c.Position, nil
			}
		}
	}
	return min(now.StartPosition, from), nil
}
