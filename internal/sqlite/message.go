package sqlite

import (
	"context"
	"database/sql/driver"

	"sidestream/mapping"
	"sidestream/replicator"
)

// Message returns the change at a position and every row of its message up to
// the position of the cursor, in position order. It compares the file with the
// cursor in the same read transaction, as Read does. It is for a change that the
// cursor has passed already: where the position holds no row (any more), or lies
// behind the cursor, the failure's reason is "source_row_gone".
func (s *Source) Message(ctx context.Context, cursor replicator.Cursor, position int64) (change mapping.Change, history []mapping.Change, err error) {
	err = s.use(ctx, &s.reader, func(t *session) error {
		seen, err := t.sight(ctx, cursor.Anchors)
		if err != nil {
			return err
		}
		if failure := judge(cursor, seen); failure != nil {
			return failure
		}
		change, history, err = t.message(ctx, position, cursor.Position)
		return err
	})
	if err != nil {
		return mapping.Change{}, nil, err
	}
	return change, history, nil
}

// message reads a row and the others of its message. They are found by the key
// as it is stored, whatever its class.
func (s *session) message(ctx context.Context, position, upTo int64) (change mapping.Change, history []mapping.Change, err error) {
	var account, id driver.Value
	found := false
	args := make([]any, anchorSlots)
	args[0] = position
	if position <= upTo {
		err = s.atPositions.each(ctx, func(row []driver.Value) error {
			change, account, id, found = decode(row), row[4], row[1], true
			return nil
		}, args...)
	}
	if err != nil {
		return change, nil, err
	}
	if !found {
		return change, nil, blocked("source_row_gone", "replicator cursor show", "there is no row at position %d up to the cursor at %d", position, upTo)
	}
	err = s.history.each(ctx, func(row []driver.Value) error {
		history = append(history, decode(row))
		return nil
	}, account, id, upTo)
	return change, history, err
}
