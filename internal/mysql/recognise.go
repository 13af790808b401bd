package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"sidestream/mapping"
	"sidestream/replicator"
)

const (
	reasonAhead = "target_ahead"
	// aheadReach is how many ids above the last ledgered one are searched for rows
	// that should not be there yet: it bounds what a search costs.
	aheadReach = 100_000
)

// Recognise implements replicator.Target.
func (t *Target) Recognise(ctx context.Context, cursor replicator.Cursor, behind, ahead []replicator.Landmark) error {
	err := t.recognise(ctx, cursor, behind, ahead)
	if err == nil {
		return nil
	}
	f := classify(err)
	t.abandon(ctx, f)
	if f.Reason == reasonRewound {
		t.markRewound(ctx)
	}
	return f
}

func (t *Target) recognise(ctx context.Context, cursor replicator.Cursor, behind, ahead []replicator.Landmark) error {
	s, err := t.ready(ctx)
	if err != nil {
		return err
	}
	if err := t.recogniseBehind(ctx, s, cursor, behind); err != nil {
		return err
	}
	return t.recogniseAhead(ctx, s, cursor, ahead)
}

// recogniseBehind looks at the newest row that is still where the ledger says
// and whose time is the one that it was given, or is not: nobody gives a message
// another time, so a row with another time and another user is another row, and
// the table has given out its id twice.
func (t *Target) recogniseBehind(ctx context.Context, s *session, cursor replicator.Cursor, behind []replicator.Landmark) error {
	if len(behind) == 0 || t.timeMoves() {
		return nil
	}
	gone := 0
	for _, l := range behind {
		id, ok := t.tail.idOf(l.Position)
		if !ok {
			r, err := t.runAt(ctx, s, cursor.Generation, l.Position)
			if err != nil {
				return ofState(err)
			}
			if id, ok = r.idOf(l.Position); !ok {
				continue
			}
		}
		seen, err := t.rowAt(ctx, s, id, l.Record)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			gone++
		case err != nil:
			return ofNoRow(err)
		case seen.ours && seen.time:
			t.rebuilt = false
			return nil
		case !seen.ours && !seen.time:
			if altered, err := t.alters(ctx, s); altered || err != nil {
				return err
			}
			return t.unlessAccepted(ctx, s, cursor, l.Position, fmt.Sprintf("the row with id %d, which position %d became, is another one now: the table was emptied or restored, and its ids were given out again", id, l.Position))
		}
	}
	if gone > 0 && t.rebuilt && t.tail.length > 0 {
		// People delete rows, too. A table that was dropped and made anew with
		// higher ids has not one that is as old.
		var older int
		if err := s.conn.QueryRowContext(ctx, fmt.Sprintf("SELECT COUNT(*) FROM (SELECT 1 FROM %s WHERE %s <= %d LIMIT 1) AS x", t.names.target, t.names.id, t.tail.lastID())).Scan(&older); err != nil || older > 0 {
			return ofNoRow(err)
		}
		return t.unlessAccepted(ctx, s, cursor, behind[0].Position, "the CRM's table was made anew and lacks the last rows of this source")
	}
	return nil
}

// alters tells whether the table alters what is written into it: then a row that
// is not what it was proves nothing.
func (t *Target) alters(ctx context.Context, s *session) (bool, error) {
	missed, err := t.roundTrip(ctx, s)
	if _, failed := s.exec(ctx, "ROLLBACK"); failed != nil {
		return false, failed
	}
	if err != nil && classify(err).Class == replicator.Transient {
		return false, err
	}
	return missed != "", nil
}

// unlessAccepted is the failure of a table that was rewound, where no operator
// has decided since that the row of this position is what it is.
func (t *Target) unlessAccepted(ctx context.Context, s *session, cursor replicator.Cursor, position int64, detail string) error {
	accepted, err := t.accepted(ctx, s, cursor.Generation)
	if err != nil || position <= accepted {
		return err
	}
	return rewound(detail)
}

// timeMoves tells whether the CRM's time column changes by itself: then another
// time is no evidence.
func (t *Target) timeMoves() bool {
	found := t.table.Load()
	return found == nil || strings.Contains(lower(found.columns[lower(t.opt.Columns.CreatedAt)].extra), "on update")
}

// sameness is what a row has in common with what was written there.
type sameness struct {
	// ours is the same user and direction, time the same time.
	ours, time bool
}

// rowAt compares the row with an id, if there is one. Values that the CRM's
// people have set to NULL are not the same.
func (t *Target) rowAt(ctx context.Context, s *session, id int64, was mapping.Record) (sameness, error) {
	var seen sameness
	err := s.conn.QueryRowContext(ctx, fmt.Sprintf("SELECT %s, %s FROM %s WHERE %s = %d",
		t.whoIs(was), t.whenIs(was), t.names.target, t.names.id, id)).Scan(&seen.ours, &seen.time)
	return seen, err
}

// recogniseAhead looks for the records that are to be added among the rows above
// the last ledgered one that no ledger knows: a cursor from an older backup than
// the table would add them again. One message of a customer with its very text
// there is enough, or two whose text has changed since; some may be missing,
// because the CRM's people delete rows or the CRM had refused them. Of what the
// business itself wrote the CRM may have copies of its own.
func (t *Target) recogniseAhead(ctx context.Context, s *session, cursor replicator.Cursor, ahead []replicator.Landmark) error {
	if len(ahead) == 0 || t.tail.length == 0 {
		return nil
	}
	exact, alike, last := 0, map[int64]bool{}, int64(0)
	for _, l := range ahead {
		found, err := t.findAbove(ctx, s, t.tail.lastID(), l.Record, true)
		if err == nil && found.ID == 0 && l.Record.Status != mapping.StatusSent {
			was := l.Record
			if was.UserID == mapping.ErasedText {
				was.UserID = ""
			}
			if found, err = t.findAbove(ctx, s, t.tail.lastID(), was, false); found.ID > 0 {
				alike[found.ID] = true
			}
		} else if found.ID > 0 && l.Record.UserID == mapping.ErasedText {
			alike[found.ID] = true // every erased message has this text
		} else if found.ID > 0 {
			exact++
		}
		if err != nil {
			return ofNoRow(err)
		}
		last = max(last, found.ID)
	}
	if exact == 0 && len(alike) < 2 {
		return nil
	}
	// Another replicator, or a COMMIT of our own that nobody waits for any more,
	// may have added them meanwhile: then the cursor has moved with them.
	now, err := t.readCursor(ctx, s, "")
	if err != nil {
		return ofState(err)
	}
	if now.Generation != cursor.Generation || now.Position != cursor.Position {
		return &replicator.Failure{Class: replicator.Transient, Reason: replicator.ReasonMoved, Detail: fmt.Sprintf("the cursor is not at position %d", cursor.Position)}
	}
	return &replicator.Failure{
		Class: replicator.Blocked, Reason: reasonAhead,
		Detail: fmt.Sprintf("the cursor is at position %d, but the CRM holds messages behind it already, up to id %d at least: the state tables were restored from an older copy", cursor.Position, last),
		Hint:   "run: replicator cursor resume --dry-run, then replicator cursor resume (it takes over what the CRM holds)",
	}
}

// FindAbove implements replicator.Table.
func (t *Target) FindAbove(ctx context.Context, id int64, record mapping.Record, sameText bool) (replicator.Found, error) {
	s, err := t.ready(ctx)
	if err != nil {
		return replicator.Found{}, classify(err)
	}
	found, err := t.findAbove(ctx, s, id, record, sameText)
	if err != nil {
		f := classify(ofNoRow(err))
		t.abandon(ctx, f)
		return replicator.Found{}, f
	}
	return found, nil
}

func (t *Target) findAbove(ctx context.Context, s *session, id int64, record mapping.Record, sameText bool) (replicator.Found, error) {
	n := t.names
	where := t.whoIs(record) + " AND " + t.whenIs(record)
	if sameText {
		// Byte by byte, whatever the column's collation takes for equal.
		where += " AND CONVERT(" + n.message + " USING utf8mb4) COLLATE utf8mb4_bin = " + string(t.appendText(nil, record.Message, t.opt.Columns.Message, t.table.Load()))
	}
	for upTo := id + aheadReach; ; {
		var found replicator.Found
		err := s.conn.QueryRowContext(ctx, fmt.Sprintf("SELECT %s, COALESCE(%s = %s, 0) FROM %s WHERE %s > %d AND %s <= %d AND %s ORDER BY %s LIMIT 1",
			n.id, n.username, n.userID, n.target, n.id, id, n.id, upTo, where, n.id)).Scan(&found.ID, &found.Fallback)
		if errors.Is(err, sql.ErrNoRows) {
			return replicator.Found{}, nil
		}
		if err != nil {
			return replicator.Found{}, err
		}
		known, err := t.ledgered(ctx, s, found.ID)
		if err != nil || !known {
			return found, err
		}
		id = found.ID
	}
}

// ledgered tells whether any source's ledger knows a row. There is no index for
// it: it is asked only of a row that looks like one that should not be there.
func (t *Target) ledgered(ctx context.Context, s *session, id int64) (bool, error) {
	var count int
	err := s.conn.QueryRowContext(ctx, "SELECT COUNT(*) FROM (SELECT 1 FROM "+t.names.ledger+
		" WHERE first_crm_id <= ? AND first_crm_id + step * (length - 1) >= ? LIMIT 1) AS x", id, id).Scan(&count)
	return count > 0, ofState(err)
}

// Stands implements replicator.Table.
func (t *Target) Stands(ctx context.Context, generation int, position int64, was mapping.Record) (replicator.Standing, error) {
	standing, err := t.stands(ctx, generation, position, was)
	if err != nil {
		f := classify(err)
		t.abandon(ctx, f)
		return replicator.Unknown, f
	}
	return standing, nil
}

func (t *Target) stands(ctx context.Context, generation int, position int64, was mapping.Record) (replicator.Standing, error) {
	s, err := t.ready(ctx)
	if err != nil {
		return replicator.Unknown, err
	}
	r, err := t.runAt(ctx, s, generation, position)
	if err != nil {
		return replicator.Unknown, ofState(err)
	}
	id, ok := r.idOf(position)
	if !ok {
		return replicator.Unknown, nil
	}
	seen, err := t.rowAt(ctx, s, id, was)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return replicator.Gone, nil
	case err != nil:
		return replicator.Unknown, ofNoRow(err)
	case seen.ours || seen.time:
		return replicator.Kept, nil
	}
	return replicator.Replaced, nil
}

var _ replicator.Table = (*Target)(nil)
