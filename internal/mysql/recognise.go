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
			return t.unlessAccepted(ctx, s, cursor, l.Position, fmt.Sprintf("the row with id %d, which position %d became, is another one now: the table was emptied or restored, and its ids were given out again", id, l.Position))
		}
	}
	if gone > 0 && t.rebuilt {
		return t.unlessAccepted(ctx, s, cursor, behind[0].Position, "the CRM's table was made anew and lacks the last rows of this source")
	}
	return nil
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
// the last ledgered one: a cursor from an older backup than the table would add
// them again. One that is missing settles it. Beside the user, direction and
// time, which an edit leaves alone, one text must be the same to the letter: of a
// single message the CRM may have a copy of its own.
func (t *Target) recogniseAhead(ctx context.Context, s *session, cursor replicator.Cursor, ahead []replicator.Landmark) error {
	if len(ahead) == 0 || t.tail.length == 0 {
		return nil
	}
	last, exact := t.tail.lastID(), false
	for _, l := range ahead {
		found, err := t.findAbove(ctx, s, last, l.Record, false)
		if err != nil || found.ID == 0 {
			return ofNoRow(err)
		}
		last = found.ID
		exact = exact || found.SameText
	}
	if !exact {
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
		Detail: fmt.Sprintf("the cursor is at position %d, but the CRM holds the %d messages behind it already, up to id %d: the state tables were restored from an older copy", cursor.Position, len(ahead), last),
		Hint:   "run: replicator cursor resume --dry-run, then replicator cursor resume (it takes over what the CRM holds)",
	}
}

// Found is a row of the CRM that looks like a record of the source.
type Found struct {
	// ID is 0 where there is none.
	ID int64
	// SameText tells that the message is the record's to the letter.
	SameText bool
	// Fallback tells that the user id stands in for the username.
	Fallback bool
}

// FindAbove returns the first row above an id that has the record's user,
// direction and time, and where sameText is set its text.
func (t *Target) FindAbove(ctx context.Context, id int64, record mapping.Record, sameText bool) (Found, error) {
	s, err := t.ready(ctx)
	if err != nil {
		return Found{}, classify(err)
	}
	found, err := t.findAbove(ctx, s, id, record, sameText)
	if err != nil {
		f := classify(err)
		t.abandon(ctx, f)
		return Found{}, f
	}
	return found, nil
}

func (t *Target) findAbove(ctx context.Context, s *session, id int64, record mapping.Record, sameText bool) (Found, error) {
	n := t.names
	text := string(t.appendText(nil, record.Message, t.opt.Columns.Message, t.table.Load()))
	where := t.whoIs(record) + " AND " + t.whenIs(record)
	if sameText {
		where += " AND " + n.message + " = " + text
	}
	var found Found
	err := s.conn.QueryRowContext(ctx, fmt.Sprintf("SELECT %s, COALESCE(%s = %s, 0), COALESCE(%s = %s, 0) FROM %s WHERE %s > %d AND %s <= %d AND %s ORDER BY %s LIMIT 1",
		n.id, n.message, text, n.username, n.userID, n.target, n.id, id, n.id, id+aheadReach, where, n.id)).
		Scan(&found.ID, &found.SameText, &found.Fallback)
	if errors.Is(err, sql.ErrNoRows) {
		return Found{}, nil
	}
	return found, err
}
