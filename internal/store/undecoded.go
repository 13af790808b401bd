package store

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// StoredUndecoded is one row of undecoded without its body.
type StoredUndecoded struct {
	ID         int64
	ReceivedAt time.Time
	Reason     string
	// Bytes is the body's length.
	Bytes int64
}

// ListUndecoded returns at most limit rows with an id above after, in the order
// of their ids.
func (s *Store) ListUndecoded(ctx context.Context, after int64, limit int) ([]StoredUndecoded, error) {
	rows, err := s.reading.QueryContext(ctx,
		"SELECT id, received_at, reason, length(body) FROM undecoded WHERE id > ?1 ORDER BY id LIMIT ?2", after, limit)
	if err != nil {
		return nil, translate("list undecoded", err)
	}
	defer rows.Close()
	var list []StoredUndecoded
	for rows.Next() {
		var one StoredUndecoded
		var at int64
		if err := rows.Scan(&one.ID, &at, &one.Reason, &one.Bytes); err != nil {
			return nil, translate("list undecoded", err)
		}
		one.ReceivedAt = time.UnixMilli(at).UTC()
		list = append(list, one)
	}
	return list, translate("list undecoded", rows.Err())
}

// LastUndecoded returns the id of the newest row, or 0. Ids are not used again.
func (s *Store) LastUndecoded(ctx context.Context) (int64, error) {
	var id int64
	err := s.reading.QueryRowContext(ctx, "SELECT coalesce(max(id), 0) FROM undecoded").Scan(&id)
	return id, translate("read undecoded", err)
}

// UndecodedBody returns the body of one row, or ErrNotFound. To replay it,
// decode it and Commit the changes with Delivery.Resolves set to its id.
func (s *Store) UndecodedBody(ctx context.Context, id int64) ([]byte, error) {
	var body []byte
	err := s.reading.QueryRowContext(ctx, "SELECT body FROM undecoded WHERE id = ?1", id).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	return body, translate("read undecoded", err)
}

// countUndecoded is for a metric: other processes delete rows too.
func (s *Store) countUndecoded(ctx context.Context) (int, error) {
	var n int
	err := s.reading.QueryRowContext(ctx, "SELECT count(*) FROM undecoded").Scan(&n)
	return n, translate("count undecoded", err)
}

func undecodedBytes(ctx context.Context, s *statements) (int64, error) {
	var n int64
	err := s.undecodedSum.QueryRowContext(ctx).Scan(&n)
	return n, translate("add up undecoded", err)
}

// keepUndecoded stores a body unless it quotes a message that is unsent already.
func (t *transaction) keepUndecoded(ctx context.Context, u Undecoded) error {
	quotes, err := t.quotesUnsent(ctx, u.Body)
	if err != nil {
		return err
	}
	if quotes {
		t.unsent++
		return nil
	}
	body := u.Body
	if body == nil {
		body = []byte{} // nil would be NULL
	}
	if _, err := affect(ctx, t.w.statements.insertUndecoded, "insert into undecoded", t.at, u.Reason, body); err != nil {
		return err
	}
	t.undecodedBytes += int64(len(body))
	return nil
}

// limitUndecoded deletes the oldest bodies until the rest fits, and never the
// newest.
func (t *transaction) limitUndecoded(ctx context.Context) (err error) {
	limit := t.w.opts.UndecodedMaxBytes
	if t.undecodedBytes <= limit {
		return nil
	}
	if t.undecodedBytes, err = undecodedBytes(ctx, t.w.statements); err != nil || t.undecodedBytes <= limit {
		return err
	}
	last, err := t.oldest(ctx, t.undecodedBytes-limit)
	if err != nil {
		return err
	}
	if t.dropped, err = affect(ctx, t.w.statements.deleteUndecodedTo, "delete from undecoded", last); err != nil {
		return err
	}
	if err := t.setLoose(ctx, true); err != nil {
		return err
	}
	t.undecodedBytes, err = undecodedBytes(ctx, t.w.statements)
	return err
}

// oldest returns the id up to which rows have to go to free this many bytes. It
// lags one row behind, so that it never is the newest.
func (t *transaction) oldest(ctx context.Context, bytes int64) (last int64, err error) {
	rows, err := t.w.statements.undecodedSizes.QueryContext(ctx)
	if err != nil {
		return 0, translate("read undecoded", err)
	}
	defer rows.Close()
	var previous int64
	for rows.Next() {
		var id, size int64
		if err := rows.Scan(&id, &size); err != nil {
			return 0, translate("read undecoded", err)
		}
		if last = previous; bytes <= 0 {
			break
		}
		bytes -= size
		previous = id
	}
	return last, translate("read undecoded", rows.Err())
}
