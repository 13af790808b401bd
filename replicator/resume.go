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
	// Stands tells what has become of the row that the ledger names for a position.
	Stands(ctx context.Context, generation int, position int64, was mapping.Record) (Standing, error)
	// FindAbove returns the first row above an id that has the record's user,
	// unless that is empty, direction and time, that no ledger knows, and where
	// sameText is set that has its text.
	FindAbove(ctx context.Context, id int64, record mapping.Record, sameText bool) (Found, error)
	// RetriedUpTo returns the positions up to one whose rows a dead letter's retry
	// has put behind their turn.
	RetriedUpTo(ctx context.Context, generation int, upTo int64) ([]int64, error)
}

// Standing is what has become of a row that was applied.
type Standing int

// The standings of a row.
const (
	// Unknown is a position that the ledger does not hold.
	Unknown Standing = iota
	// Gone is a row that is not there any more.
	Gone
	// Kept is a row that has the user and direction that it was given, or the
	// time: the CRM's people may have changed the other.
	Kept
	// Replaced is a row that has neither: another one.
	Replaced
)

// Found is a row of the CRM that looks like a record of the source.
type Found struct {
	// ID is 0 where there is none.
	ID int64
	// Fallback tells that the user id stands in for the username.
	Fallback bool
}

// Tail is where the ledger of a generation ends; 0, 0 where it is empty.
type Tail struct {
	// Position is the last one, ID the CRM id of its row.
	Position, ID int64
}

// Resumption is where to go on, and what the state must learn for it.
type Resumption struct {
	// Next is the cursor to store, still without the decision's token.
	Next Cursor
	// Detail says in words what it means.
	Detail string
	// Taken are rows that the CRM holds already and the ledger does not know.
	Taken []Taken
	// Letters are messages up to Next.Position that the CRM lacks: they become
	// open dead letters.
	Letters []Letter
}

// Taken is a change whose row the CRM holds already.
type Taken struct {
	Position, ID int64
	Fallback     bool
}

// Letter is a change that becomes an open dead letter by an operator's decision.
type Letter struct {
	Position  int64
	MessageID string
	// Code and Reason are those of an Item.
	Code, Reason string
}

// ReasonRowGone is the reason of a Letter whose message the CRM should hold and
// does not.
const ReasonRowGone = "row_gone"

// Resume finds where to go on after a restore on either side: behind the last
// position at which the file's row and the CRM's row are both what was applied,
// or behind what a CRM that is newer than the cursor holds already. tail is the
// end of the ledger of now's generation.
func Resume(ctx context.Context, file File, table Table, mapper *mapping.Mapper, now Cursor, tail Tail) (Resumption, error) {
	_, last, id, err := file.Bounds(ctx)
	if err != nil {
		return Resumption{}, err
	}
	r := resumption{file: file, table: table, mapper: mapper, now: now, last: last}
	// The ledger can be ahead of a cursor whose row alone was restored.
	p, err := r.prove(ctx, id, min(max(now.Position, tail.Position), last))
	if err != nil {
		return Resumption{}, err
	}
	agreed, err := r.lastAgreed(ctx, p)
	if err != nil {
		return Resumption{}, err
	}
	// The file is the one that was applied where the read that the loop would do
	// finds nothing wrong with it.
	_, err = file.Read(ctx, now, 1)
	if err == nil {
		return r.sameFile(ctx, agreed, tail)
	}
	if f := AsFailure(err); f.Class != Blocked {
		return Resumption{}, err
	}
	next, err := r.at(ctx, agreed.position)
	next.Generation++
	detail := fmt.Sprintf("the file's numbering starts anew: generation %d, behind position %d, the last one that the file and the CRM agree upon; %d positions of the file follow",
		next.Generation, agreed.position, last-agreed.position)
	if agreed.position < now.StartPosition && agreed.position < last {
		detail += fmt.Sprintf("; replication had begun behind position %d, and nothing tells which of those before it are new: they are sent too (cursor set chooses another place)", now.StartPosition)
	}
	return Resumption{Next: next, Detail: detail}, err
}

// sameFile decides for a file that is the one that was applied.
func (r *resumption) sameFile(ctx context.Context, agreed agreement, tail Tail) (Resumption, error) {
	// A table that has given out ids twice was restored: it holds nothing that is
	// newer than the cursor, whatever looks like it. And a person may have meant
	// that what is there is sent again.
	if !agreed.replaced && !r.now.SendsAgain() {
		t, err := r.takeOver(ctx, max(r.now.Position, tail.Position), tail)
		if err != nil {
			return Resumption{}, err
		}
		if n := len(t.rows); n > 0 {
			upTo := t.rows[n-1].Position
			next, err := r.at(ctx, upTo)
			return Resumption{
				Next: next, Taken: t.rows, Letters: t.lacking,
				Detail: fmt.Sprintf("resumes behind position %d: the CRM holds %d messages behind position %d already, which are taken over; %d that it lacks among them become open dead letters", upTo, n, r.now.Position, len(t.lacking)),
			}, err
		}
	}
	lost, err := r.lostRetries(ctx, agreed.position)
	if err != nil {
		return Resumption{}, err
	}
	next, err := r.at(ctx, agreed.position)
	found := "the CRM holds everything up to there"
	if !agreed.held {
		found = "the CRM holds nothing of what was applied since"
	}
	detail := fmt.Sprintf("resumes behind position %d: %s; %d positions are applied again", agreed.position, found, max(0, r.now.Position-agreed.position))
	if n := len(lost); n > 0 {
		detail += fmt.Sprintf(", and %d dead letters that a retry had delivered are tried again", n)
	}
	return Resumption{Next: next, Detail: detail, Letters: lost}, err
}

// at is the cursor of the current generation put at a position.
func (r *resumption) at(ctx context.Context, position int64) (Cursor, error) {
	anchors, sourceID, err := r.file.Anchors(ctx, position)
	return Cursor{
		Generation: r.now.Generation, SourceID: sourceID, StartPosition: min(r.now.StartPosition, position), Position: position,
		Anchors: anchors, AppliedTotal: r.now.AppliedTotal,
	}, err
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
			// From here on other rows follow.
			missing = a.Position
			break
		}
		p.proven, missing = a.Position, 0
	}
	if missing > 0 {
		p.upTo = min(p.upTo, missing-1)
	}
	if missing > 0 && missing <= r.now.StartPosition || r.last < r.now.StartPosition {
		// The file is one from before the beginning: what lies behind the last row
		// that is proven may be new. To send an old message once more is better than
		// to send a new one never.
		p.first = min(p.first, p.proven)
	}
	p.first = min(p.first, p.upTo)
	return p, nil
}

// lastAgreed walks back from a position to the newest message whose CRM row is
// still there, with the user, direction and time that the file says. Where no
// anchor proves that the file's row is the one that was applied, the text must
// be the same too: another copy of the file may have had a message of the same
// person in the same second there.
func (r *resumption) lastAgreed(ctx context.Context, p proof) (agreement, error) {
	const step = 500
	agreed := agreement{position: p.first}
	if empty, err := r.table.Empty(ctx); err != nil || empty {
		return agreed, err
	}
	for top := p.upTo; top > p.first; top = max(p.first, top-step) {
		changes, err := r.between(ctx, max(p.first, top-step), top)
		if err != nil {
			return agreed, err
		}
		for _, c := range slices.Backward(changes) {
			if c.Kind != mapping.KindMessage {
				continue
			}
			standing, err := r.stands(ctx, c, c.Position <= p.proven)
			if err != nil {
				return agreed, err
			}
			agreed.replaced = agreed.replaced || standing == Replaced
			if standing == Kept {
				agreed.position, agreed.held = c.Position, true
				return agreed, nil
			}
		}
	}
	return agreed, nil
}

// agreement is where both sides agree.
type agreement struct {
	position int64
	// held tells that a row of the CRM says so, and not just that there is none.
	held bool
	// replaced tells that behind it another row had the id of one that was applied.
	replaced bool
}

// stands tells what has become of the row of a message. Where an anchor proves
// that the file's row is the one that was applied, its CRM row may have been
// changed by the CRM's people.
func (r *resumption) stands(ctx context.Context, c mapping.Change, proven bool) (Standing, error) {
	if proven {
		return r.table.Stands(ctx, r.now.Generation, c.Position, r.mapper.Was(c))
	}
	held, err := r.holds(ctx, c)
	if held {
		return Kept, err
	}
	return Unknown, err
}

// holds tells whether the CRM has the row of a message that no anchor proves.
func (r *resumption) holds(ctx context.Context, c mapping.Change) (bool, error) {
	was := r.mapper.Was(c)
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
