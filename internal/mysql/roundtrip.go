package mysql

import (
	"context"
	"fmt"
	"math"
	"time"

	"sidestream/mapping"
	"sidestream/replicator"
)

// checkRoundTrip adds a plain row, finds it again as an unsend would, changes it
// and rolls back. A column's type or a trigger of the CRM's may alter what was
// written; then rows arrive, but no edit or unsend would ever reach them.
func (t *Target) checkRoundTrip(ctx context.Context, s *session) Finding {
	const name = "round trip"
	missed, err := t.roundTrip(ctx, s)
	if _, failed := s.exec(ctx, "ROLLBACK"); failed != nil && err == nil {
		err = failed
	}
	switch {
	case err != nil:
		f := classify(err)
		return Finding{name, "fail", "a plain row is refused: " + f.Error(), orText(f.Hint, "look at the table's columns and triggers")}
	case missed != "":
		return Finding{name, "fail", missed + ": a column's type or a trigger alters what is written, so edits and unsends will not arrive", "look at the table's columns and triggers"}
	}
	return Finding{name, "ok", "a row can be added, found again and changed", ""}
}

// roundTrip returns what went wrong with a row that the server took.
func (t *Target) roundTrip(ctx context.Context, s *session) (missed string, err error) {
	if _, err := s.exec(ctx, "START TRANSACTION"); err != nil {
		return "", err
	}
	was := mapping.Record{
		UserID: replicator.PlainID, Username: replicator.PlainID, Direction: "in", Message: "-",
		CreatedAt: time.Date(2020, time.January, 2, 3, 4, 5, 0, time.UTC),
		MessageID: "1", AccountID: replicator.PlainID, SenderID: replicator.PlainID, RecipientID: replicator.PlainID, Status: "sent",
	}
	id, err := t.addPlain(ctx, s, was)
	if err != nil {
		return "", err
	}
	item := replicator.Item{Op: replicator.OpUpdate, Record: was, Was: was}
	item.Record.Message = "changed"
	found, err := t.changeRecord(ctx, s, &item, id)
	if err != nil || !found {
		return "a row that was just added is not found by its user, direction and time", err
	}
	var same bool
	text := t.appendText(nil, item.Record.Message, t.opt.Columns.Message, t.table.Load())
	if err := s.conn.QueryRowContext(ctx, fmt.Sprintf("SELECT COALESCE(%s = %s, 0) FROM %s WHERE %s = %d", t.names.message, text, t.names.target, t.names.id, id)).Scan(&same); err != nil {
		return "", err
	}
	if !same {
		return "a changed text is not what was written", nil
	}
	return "", nil
}

// addPlain adds a row and returns its id, which a trigger may have chosen. An id
// below zero uses up none of those that the CRM's rows get; a table that takes
// no such id (partitions by id, a trigger) gives the row one of its own.
func (t *Target) addPlain(ctx context.Context, s *session, record mapping.Record) (int64, error) {
	found, n := t.table.Load(), t.names
	var highest, id int64
	if err := s.conn.QueryRowContext(ctx, "SELECT COALESCE(MAX("+n.id+"), 0) FROM "+n.target).Scan(&highest); err != nil {
		return 0, err
	}
	lowest := -int64(min(found.maxID, math.MaxInt32))
	row := string(t.appendRow(nil, &record, found))
	refused := !found.signedID
	if found.signedID {
		_, err := s.exec(ctx, fmt.Sprintf("INSERT INTO %s (%s,%s) SELECT %d,%s", n.target, n.id, t.insertColumns(), lowest, row[1:len(row)-1]))
		if refused = err != nil; refused {
			if f := classify(err); f.Class == replicator.Transient && !f.Unknown {
				return 0, err
			}
		}
	}
	if refused {
		// Anew, because a refusal may have ended the transaction.
		for _, statement := range []string{"ROLLBACK", "START TRANSACTION", t.insertHead() + row} {
			if _, err := s.exec(ctx, statement); err != nil {
				return 0, err
			}
		}
	}
	err := s.conn.QueryRowContext(ctx, fmt.Sprintf("SELECT COALESCE(MAX(%s), 0) FROM %s WHERE %s = %d OR %s > %d", n.id, n.target, n.id, lowest, n.id, highest)).Scan(&id)
	return id, err
}
