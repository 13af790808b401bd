package replicator

import (
	"context"

	"sidestream/mapping"
)

const (
	// takeAtMost is how many rows one decision takes over; where there are more,
	// the replicator stops again and the command is run again.
	takeAtMost = 100_000
	// lackAtMost is after how many messages in a row that the CRM lacks the search
	// ends: what follows was hardly applied.
	lackAtMost = 1000
)

// taking is what the CRM holds of the changes behind a cursor that is older than
// its table.
type taking struct {
	rows []Taken
	// lacking are the messages between them that the CRM does not hold.
	lacking []Letter

	// frontier is the id behind which the next row is looked for first; before is
	// where it stood before it last jumped over ids.
	frontier, before int64
	taken            map[int64]bool
}

// takeOver walks forward from a position and looks for each message's row behind
// the ledger's tail: in the order of the ids, but for those that a dead letter's
// retry had put behind their turn.
func (r *resumption) takeOver(ctx context.Context, from int64, tail Tail) (taking, error) {
	t := taking{frontier: tail.ID, before: tail.ID, taken: map[int64]bool{}}
	if tail.ID == 0 || from >= r.last {
		return t, nil
	}
	var lacking []Letter
	exactly, alike := 0, 0 // of the customers' messages
	for len(t.rows) < takeAtMost && len(lacking) < lackAtMost {
		chunk, err := r.file.Read(ctx, Cursor{Position: from}, 500)
		if err != nil {
			return taking{}, err
		}
		for _, c := range chunk.Changes {
			if c.Kind != mapping.KindMessage {
				continue
			}
			history := chunk.Histories[MessageKey{AccountID: c.AccountID, MessageID: c.MessageID}]
			if history == nil {
				history = []mapping.Change{c}
			}
			item := planMessage(r.mapper, c, history, nil)
			if item.Op == OpPass {
				continue
			}
			row, exact, err := r.written(ctx, &t, item, c, chunk)
			if err != nil {
				return taking{}, err
			}
			if row.ID == 0 {
				lacking = append(lacking, letterOf(item))
				continue
			}
			t.take(row.ID)
			switch {
			case c.Direction != mapping.Inbound:
				// Of what the business wrote itself the CRM may have copies of its own.
			case exact:
				exactly++
			default:
				alike++
			}
			t.rows = append(t.rows, Taken{Position: c.Position, ID: row.ID, Fallback: row.Fallback})
			t.lacking, lacking = append(t.lacking, lacking...), nil
		}
		if chunk.Until <= from || chunk.Until >= chunk.Head {
			break
		}
		from = chunk.Until
	}
	if exactly == 0 && alike < 2 {
		return taking{}, nil
	}
	return t, nil
}

// written looks for the row of a message. The text has to be the same, or
// anybody's row of that second would do, unless the message has changed since:
// then the CRM may hold what it was before. exact tells that user and text are
// the same.
func (r *resumption) written(ctx context.Context, t *taking, item Item, c mapping.Change, chunk Chunk) (row Found, exact bool, err error) {
	if item.Op != OpInsert {
		return Found{}, false, nil
	}
	if row, err = r.find(ctx, t, item.Record, true); err != nil || row.ID > 0 {
		return row, item.Record.UserID != mapping.ErasedText, err
	}
	if item.Record.Status != mapping.StatusSent {
		was := r.mapper.Was(c)
		if row, err = r.find(ctx, t, was, false); err != nil || row.ID == 0 {
			return row, false, err
		}
		claimed, err := r.claimed(ctx, row.ID, was, c, chunk)
		if claimed || err != nil {
			return Found{}, false, err
		}
		return row, false, nil
	}
	// The CRM's people may have given the row to another user.
	anybody := item.Record
	anybody.UserID = ""
	row, err = r.find(ctx, t, anybody, true)
	return row, false, err
}

// find looks above the frontier, and then where it stood before its last jump.
func (r *resumption) find(ctx context.Context, t *taking, record mapping.Record, sameText bool) (Found, error) {
	for _, from := range []int64{t.frontier, t.before} {
		row, err := r.table.FindAbove(ctx, from, record, sameText)
		for err == nil && t.taken[row.ID] {
			row, err = r.table.FindAbove(ctx, row.ID, record, sameText)
		}
		if err != nil {
			return Found{}, err
		}
		if row.ID > 0 {
			return row, nil
		}
	}
	return Found{}, nil
}

// take moves the frontier to a row.
func (t *taking) take(id int64) {
	if id > t.frontier+1 {
		t.before = t.frontier
	}
	t.frontier = id
	t.taken[id] = true
}

// claimed tells whether a row holds the very text of another message of the same
// person and second, which has not changed since.
func (r *resumption) claimed(ctx context.Context, id int64, was mapping.Record, c mapping.Change, chunk Chunk) (bool, error) {
	for i, other := range chunk.Changes {
		_, changed := chunk.Histories[MessageKey{AccountID: other.AccountID, MessageID: other.MessageID}]
		if other.Kind != mapping.KindMessage || other.Position == c.Position || changed {
			continue
		}
		if w := r.mapper.Was(other); w.UserID != was.UserID || w.Direction != was.Direction || !w.CreatedAt.Equal(was.CreatedAt) {
			continue
		}
		item := planMessage(r.mapper, other, chunk.Changes[i:i+1], nil)
		row, err := r.table.FindAbove(ctx, id-1, item.Record, true)
		if err != nil || row.ID == id {
			return row.ID == id, err
		}
	}
	return false, nil
}

// letterOf is the dead letter of a message that the CRM does not hold.
func letterOf(item Item) Letter {
	reason := item.Reason
	if item.Op != OpPark {
		reason = ReasonRowGone
	}
	return Letter{Position: item.Position, MessageID: item.MessageID, Code: item.Code, Reason: reason}
}

// lostRetries are the messages up to a position that a retry had delivered behind
// their turn and that the CRM does not hold any more: a restored table has lost
// them together with what came after it.
func (r *resumption) lostRetries(ctx context.Context, upTo int64) ([]Letter, error) {
	positions, err := r.table.RetriedUpTo(ctx, r.now.Generation, upTo)
	if err != nil {
		return nil, err
	}
	var lost []Letter
	for _, position := range positions {
		change, _, err := r.file.Message(ctx, Cursor{Position: r.last}, position)
		if err != nil {
			return nil, err
		}
		standing, err := r.table.Stands(ctx, r.now.Generation, position, r.mapper.Was(change))
		if err != nil {
			return nil, err
		}
		if standing == Gone || standing == Replaced {
			lost = append(lost, Letter{Position: position, MessageID: change.MessageID, Reason: ReasonRowGone})
		}
	}
	return lost, nil
}
