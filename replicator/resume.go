package replicator

import (
	"context"
	"fmt"
	"slices"

	"sidestream/mapping"
)

// File is what a decision reads of the source, beside what the loop reads.
type File interface {
	Source
	// Bounds returns the lowest and the highest position and the file's id.
	Bounds(ctx context.Context) (first, last int64, sourceID string, err error)
	// Anchors computes the anchors of a cursor that is put at position.
	Anchors(ctx context.Context, position int64) (anchors []Anchor, sourceID string, err error)
	// LastCommon returns the highest anchor whose row is still the one that was
	// applied; ok is false where there is none.
	LastCommon(ctx context.Context, anchors []Anchor) (position int64, ok bool, err error)
	// Message returns the row at a position up to the cursor's, and all rows of
	// its message up to there.
	Message(ctx context.Context, cursor Cursor, position int64) (change mapping.Change, history []mapping.Change, err error)
}

// Table is what a decision asks the target.
type Table interface {
	// Empty tells whether the CRM's table holds no row.
	Empty(ctx context.Context) (bool, error)
	// Holds reports whether the CRM still has the row that the ledger names for
	// a position: one with this user, direction and time, and with this message
	// where was has one.
	Holds(ctx context.Context, generation int, position int64, was mapping.Record) (bool, error)
}

// Resume finds where to go on after a restore on either side: behind the last
// position at which the file's row and the CRM's row are both what was applied.
// ledgerEnd is the last position in the ledger of now's generation. It returns
// the cursor to store, still without the decision's token, and what it means in
// words.
func Resume(ctx context.Context, file File, table Table, mapper *mapping.Mapper, now Cursor, ledgerEnd int64) (Cursor, string, error) {
	_, last, id, err := file.Bounds(ctx)
	if err != nil {
		return Cursor{}, "", err
	}
	r := resumption{file: file, table: table, mapper: mapper, now: now, last: last}
	// The ledger can be ahead of a cursor whose row alone was restored.
	p, err := r.prove(ctx, id, min(max(now.Position, ledgerEnd), last))
	if err != nil {
		return Cursor{}, "", err
	}
	agreed, err := r.lastAgreed(ctx, p)
	if err != nil {
		return Cursor{}, "", err
	}
	anchors, sourceID, err := file.Anchors(ctx, agreed)
	if err != nil {
		return Cursor{}, "", err
	}
	next := Cursor{
		Generation: now.Generation, SourceID: sourceID, StartPosition: min(now.StartPosition, agreed), Position: agreed,
		Anchors: anchors, AppliedTotal: now.AppliedTotal,
	}
	// The file is the one that was applied where the read that the loop would do
	// finds nothing wrong with it.
	if _, err := file.Read(ctx, now, 1); err == nil {
		return next, fmt.Sprintf("resumes behind position %d: the CRM holds everything up to there; %d positions are applied again", agreed, max(0, now.Position-agreed)), nil
	} else if f := AsFailure(err); f.Class != Blocked {
		return Cursor{}, "", err
	}
	next.Generation++
	return next, fmt.Sprintf("the file's numbering starts anew: generation %d, behind position %d, the last one that the file and the CRM agree upon; %d positions of the file follow", next.Generation, agreed, last-agreed), nil
}

// resumption is what Resume works with.
type resumption struct {
	file   File
	table  Table
	mapper *mapping.Mapper
	now    Cursor
	last   int64 // of the file
}

// proof is what the anchors prove of the file.
type proof struct {
	// first is where what was never ours ends: those rows are not sent.
	first int64
	// upTo is where the file's rows can be those that were applied; up to proven
	// they are.
	upTo, proven int64
}

// prove compares the file with the anchors, from the oldest on; nothing beyond
// from is of interest.
func (r *resumption) prove(ctx context.Context, id string, from int64) (proof, error) {
	_, common, err := r.file.LastCommon(ctx, r.now.Anchors)
	if err != nil {
		return proof{}, err
	}
	p := proof{first: r.now.StartPosition, upTo: from}
	if !common && id != r.now.SourceID {
		// Another database: what it holds at the old positions is new.
		p.first = 0
	}
	missing := int64(0) // the first anchor without a row, behind the last proven one
	for _, a := range r.now.Anchors {
		row, _, err := r.file.Message(ctx, Cursor{Position: r.last}, a.Position)
		if err != nil && AsFailure(err).Class == Transient {
			return proof{}, err
		}
		if err != nil && missing == 0 {
			missing = a.Position
		}
		if err != nil {
			continue
		}
		if AnchorHash(row) != a.Hash {
			// From here on other rows follow, and none of them was there when
			// replication began.
			p.upTo, p.first = min(p.upTo, a.Position-1), min(p.first, a.Position-1)
			break
		}
		p.proven, missing = a.Position, 0
	}
	if missing > 0 {
		p.upTo = min(p.upTo, missing-1)
	}
	p.first = min(p.first, p.upTo)
	return p, nil
}

// lastAgreed walks back from a position to the newest message whose CRM row is
// still there, with the user, direction and time that the file says. Where no
// anchor proves that the file's row is the one that was applied, the text must
// be the same too: another copy of the file may have had a message of the same
// person in the same second there.
func (r *resumption) lastAgreed(ctx context.Context, p proof) (int64, error) {
	const step = 500
	first := p.first
	if empty, err := r.table.Empty(ctx); err != nil || empty {
		return first, err
	}
	for top := p.upTo; top > first; top = max(first, top-step) {
		changes, err := r.between(ctx, max(first, top-step), top)
		if err != nil {
			return 0, err
		}
		for _, c := range slices.Backward(changes) {
			if c.Kind != mapping.KindMessage {
				continue
			}
			if held, err := r.holds(ctx, c, c.Position <= p.proven); err != nil || held {
				return c.Position, err
			}
		}
	}
	return first, nil
}

// holds tells whether the CRM has the row of a message.
func (r *resumption) holds(ctx context.Context, c mapping.Change, proven bool) (bool, error) {
	was := r.mapper.Was(c)
	if proven {
		if held, err := r.table.Holds(ctx, r.now.Generation, c.Position, was); err != nil || held {
			return held, err
		}
	}
	// An unsend or an erase that an older copy of the file has forgotten took the
	// text, or the user too, out of the CRM's row, or out of the file before the
	// row was written.
	blank := c
	blank.Text, blank.Attachments = nil, nil
	for _, history := range [][]mapping.Change{{c}, {blank}, {c, {Kind: mapping.KindUnsend}}, {c, {Kind: mapping.KindErase}}} {
		outcome, err := r.mapper.Record(history, nil)
		if err != nil || outcome.State == mapping.Deleted || outcome.State == mapping.LeftOut {
			continue
		}
		look := was
		look.Message = outcome.Record.Message
		if outcome.State == mapping.Erased {
			look.UserID = outcome.Record.UserID
		}
		if held, err := r.table.Holds(ctx, r.now.Generation, c.Position, look); err != nil || held {
			return held, err
		}
	}
	// A message that was edited, unsent or erased, wherever in the file, may say
	// something else in the CRM by now.
	_, history, err := r.file.Message(ctx, Cursor{Position: r.last}, c.Position)
	if err != nil || len(history) < 2 {
		return false, err
	}
	return r.table.Holds(ctx, r.now.Generation, c.Position, was)
}

// between reads the changes behind one position up to another. One read may
// return fewer than it is asked for; what it left out must not count as lost.
func (r *resumption) between(ctx context.Context, after, upTo int64) ([]mapping.Change, error) {
	var changes []mapping.Change
	for after < upTo {
		// Without anchors the read checks nothing: what the file is now is what is asked.
		chunk, err := r.file.Read(ctx, Cursor{Position: after}, int(upTo-after))
		if err != nil {
			return nil, err
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
	return changes, nil
}
