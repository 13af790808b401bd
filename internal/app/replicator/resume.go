package replicator

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"sidestream/internal/app/console"
	"sidestream/internal/mysql"
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
	decision, err := d.resume(a.ctx)
	if err != nil {
		return failure(err)
	}
	if cmd.DryRun {
		fmt.Fprintln(a.stdout, "would do:", decision.Detail)
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

func (d *desk) resume(ctx context.Context) (mysql.Decision, error) {
	now := d.now.Cursor
	_, last, _, err := d.source.Bounds(ctx)
	if err != nil {
		return mysql.Decision{}, err
	}
	// The ledger can be ahead of a cursor whose row alone was restored.
	from, proven, err := d.bounds(ctx, min(max(now.Position, d.now.LedgerEnd), last))
	if err != nil {
		return mysql.Decision{}, err
	}
	agreed, id, err := d.lastAgreed(ctx, from, proven)
	if err != nil {
		return mysql.Decision{}, err
	}
	// The file is the one that was applied where the read that the loop would do
	// finds nothing wrong with it.
	_, err = d.source.Read(ctx, now, 1)
	if err == nil {
		return d.resumeIn(ctx, agreed, id)
	}
	if f := replicator.AsFailure(err); f.Class != replicator.Blocked {
		return mysql.Decision{}, err
	}
	next, err := d.behind(ctx, agreed)
	next.Generation++
	return mysql.Decision{
		Action: "resume", Next: next,
		Detail: fmt.Sprintf("the file's numbering starts anew: generation %d, behind position %d, the last one that the file and the CRM agree upon; %d positions of the file follow", next.Generation, agreed, last-agreed),
	}, err
}

// resumeIn decides for a file that is the one that was applied. agreed is the
// last position whose row the CRM still holds, id that row's, or 0.
func (d *desk) resumeIn(ctx context.Context, agreed, id int64) (mysql.Decision, error) {
	now := d.now.Cursor
	if t, err := d.takeOver(ctx, max(now.Position, d.now.LedgerEnd), d.now.LedgerLastID); err != nil || len(t.rows) > 0 {
		if err != nil {
			return mysql.Decision{}, err
		}
		upTo := t.rows[len(t.rows)-1].Position
		next, err := d.behind(ctx, upTo)
		return mysql.Decision{
			Action: "resume", Next: next, Taken: t.rows, Letters: t.lacking,
			Detail: fmt.Sprintf("resumes behind position %d: the CRM holds %d messages behind position %d already, which are taken over; %d that it lacks among them become open dead letters", upTo, len(t.rows), now.Position, len(t.lacking)),
		}, err
	}
	letters, err := d.lostRetries(ctx, agreed, id)
	if err != nil {
		return mysql.Decision{}, err
	}
	next, err := d.behind(ctx, agreed)
	decision := mysql.Decision{
		Action: "resume", Next: next, Letters: letters,
		Detail: fmt.Sprintf("resumes behind position %d: the CRM holds everything up to there; %d positions are applied again", agreed, max(0, now.Position-agreed)),
	}
	if n := len(letters); n > 0 {
		decision.Detail += fmt.Sprintf(", and %d dead letters that a retry had delivered are tried again", n)
	}
	return decision, err
}

// behind is the cursor of the current generation put at a position.
func (d *desk) behind(ctx context.Context, position int64) (replicator.Cursor, error) {
	anchors, sourceID, err := d.source.Anchors(ctx, position)
	now := d.now.Cursor
	return replicator.Cursor{
		Generation: now.Generation, SourceID: sourceID, StartPosition: min(now.StartPosition, position), Position: position,
		Anchors: anchors, AppliedTotal: now.AppliedTotal,
	}, err
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
// person in the same second there. With the position comes the row's id, 0 where
// no row is there.
func (d *desk) lastAgreed(ctx context.Context, from, proven int64) (position, id int64, err error) {
	const step = 500
	mapper, err := newMapper(d.config)
	if err != nil {
		return 0, 0, err
	}
	now := d.now.Cursor
	first := min(now.StartPosition, from)
	if empty, err := d.target.Empty(ctx); err != nil || empty {
		return first, 0, err
	}
	for top := from; top > first; top = max(first, top-step) {
		changes, altered, err := d.between(ctx, max(first, top-step), top)
		if err != nil {
			return 0, 0, err
		}
		for _, c := range slices.Backward(changes) {
			if c.Kind != mapping.KindMessage {
				continue
			}
			was := mapper.Was(c)
			if outcome, err := mapper.Record([]mapping.Change{c}, nil); err == nil && c.Position > proven && !altered[keyOf(c)] {
				was.Message = outcome.Record.Message
			}
			id, err := d.target.Holds(ctx, now.Generation, c.Position, was)
			if err != nil || id > 0 {
				return c.Position, id, err
			}
		}
	}
	return first, 0, nil
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
