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
	// The ledger can be ahead of a cursor whose row alone was restored.
	from, proven, err := d.bounds(ctx, min(max(now.Position, d.now.LedgerEnd), last))
	if err != nil {
		return replicator.Cursor{}, "", err
	}
	agreed, err := d.lastAgreed(ctx, from, proven)
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
		return next, fmt.Sprintf("resumes behind position %d: the CRM holds everything up to there; %d positions are applied again", agreed, max(0, now.Position-agreed)), nil
	} else if f := replicator.AsFailure(err); f.Class != replicator.Blocked {
		return replicator.Cursor{}, "", err
	}
	next.Generation++
	return next, fmt.Sprintf("the file's numbering starts anew: generation %d, behind position %d, the last one that the file and the CRM agree upon; %d positions of the file follow", next.Generation, agreed, last-agreed), nil
}

// bounds is what the anchors prove: up to proven the file's rows are those that
// were applied, and behind from they are not.
func (d *desk) bounds(ctx context.Context, from int64) (upTo, proven int64, err error) {
	proven, _, err = d.source.LastCommon(ctx, d.now.Cursor.Anchors)
	for _, a := range d.now.Cursor.Anchors {
		if a.Position > proven {
			return min(from, a.Position-1), proven, err
		}
	}
	return from, proven, err
}

// lastAgreed walks back from a position to the newest message whose CRM row is
// still there, with the user, direction and time that the file says. Where no
// anchor proves that the file's row is the one that was applied, the text must
// be the same too: another copy of the file may have had a message of the same
// person in the same second there.
func (d *desk) lastAgreed(ctx context.Context, from, proven int64) (int64, error) {
	const step = 500
	mapper, err := newMapper(d.config)
	if err != nil {
		return 0, err
	}
	now := d.now.Cursor
	first := min(now.StartPosition, from)
	if empty, err := d.target.Empty(ctx); err != nil || empty {
		return first, err
	}
	for top := from; top > first; top = max(first, top-step) {
		changes, altered, err := d.between(ctx, max(first, top-step), top)
		if err != nil {
			return 0, err
		}
		for _, c := range slices.Backward(changes) {
			if c.Kind != mapping.KindMessage {
				continue
			}
			was := mapper.Was(c)
			if outcome, err := mapper.Record([]mapping.Change{c}, nil); err == nil && c.Position > proven && !altered[keyOf(c)] {
				was.Message = outcome.Record.Message
			}
			held, err := d.target.Holds(ctx, now.Generation, c.Position, was)
			if err != nil {
				return 0, err
			}
			if held {
				return c.Position, nil
			}
		}
	}
	return first, nil
}

func keyOf(c mapping.Change) replicator.MessageKey {
	return replicator.MessageKey{AccountID: c.AccountID, MessageID: c.MessageID}
}

// between reads the changes behind one position up to another, and which
// messages among them were edited, unsent or erased. One read may return fewer
// than it is asked for; what it left out must not count as lost.
func (d *desk) between(ctx context.Context, after, upTo int64) ([]mapping.Change, map[replicator.MessageKey]bool, error) {
	var changes []mapping.Change
	altered := map[replicator.MessageKey]bool{}
	for after < upTo {
		// Without anchors the read checks nothing: what the file is now is what is asked.
		chunk, err := d.source.Read(ctx, replicator.Cursor{Position: after}, int(upTo-after))
		if err != nil {
			return nil, nil, err
		}
		for key := range chunk.Histories {
			altered[key] = true
		}
		for _, c := range chunk.Changes {
			if c.Position <= upTo {
				changes = append(changes, c)
			}
		}
		if chunk.Until <= after {
			break
		}
		after = chunk.Until
	}
	return changes, altered, nil
}
