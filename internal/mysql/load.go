package mysql

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"sidestream/replicator"
)

// Load implements replicator.Target.
func (t *Target) Load(ctx context.Context) (replicator.Cursor, error) {
	cursor, err := t.load(ctx)
	if err != nil {
		f := classify(err)
		f.Answered = t.session != nil && heard(f) // without a session nobody could be asked
		t.abandon(ctx, f)
		return replicator.Cursor{}, f
	}
	return cursor, nil
}

func (t *Target) load(ctx context.Context) (replicator.Cursor, error) {
	s, err := t.ready(ctx)
	if err != nil {
		return replicator.Cursor{}, err
	}
	if err := t.ensureState(ctx, s); err != nil {
		return replicator.Cursor{}, err
	}
	found, err := t.inspect(ctx, s)
	if err != nil {
		return replicator.Cursor{}, err
	}
	before := t.table.Swap(found)
	cursor, err := t.readCursor(ctx, s, "")
	if err != nil || !cursor.Known {
		return cursor, err
	}
	t.rebuilt = t.rebuilt || before != nil && before.created != found.created
	// A table that was emptied is no reason not to read the cursor: Apply says it.
	if t.tail, err = t.runAt(ctx, s, cursor.Generation, math.MaxInt64); err != nil {
		return replicator.Cursor{}, ofState(err)
	}
	t.observeHeadroom(found)
	return cursor, t.countDeadLetters(ctx, s)
}

// readCursor reads the cursor's row; lock is "" or " FOR UPDATE".
func (t *Target) readCursor(ctx context.Context, s *session, lock string) (replicator.Cursor, error) {
	var c replicator.Cursor
	var anchors, updated string
	err := s.conn.QueryRowContext(ctx, "SELECT generation, source_id, start_position, position, anchors, attempt, decision, applied_total, updated_at FROM "+
		t.names.cursor+" WHERE source = ?"+lock, t.opt.Source).
		Scan(&c.Generation, &c.SourceID, &c.StartPosition, &c.Position, &anchors, &c.Attempt, &c.Decision, &c.AppliedTotal, &updated)
	if errors.Is(err, sql.ErrNoRows) {
		return replicator.Cursor{}, nil
	}
	if err != nil {
		return replicator.Cursor{}, err
	}
	if c.Anchors, err = decodeAnchors(anchors); err != nil {
		return replicator.Cursor{}, &replicator.Failure{
			Class: replicator.Blocked, Reason: "state_unreadable",
			Detail: "the anchors in " + tableCursor + " are not as this program writes them", Hint: "restore the row in " + tableCursor + ", or delete it and run: replicator cursor init --at POSITION", Err: err,
		}
	}
	c.Known = true
	c.UpdatedAt = parseTime(updated)
	return c, nil
}

// Init implements replicator.Target.
func (t *Target) Init(ctx context.Context, first replicator.Cursor) error {
	s, err := t.ready(ctx)
	if err != nil {
		return classify(err)
	}
	_, err = s.exec(ctx, "INSERT INTO "+t.names.cursor+" (source, generation, source_id, start_position, position, anchors, attempt, decision, applied_total) VALUES (?,?,?,?,?,?,?,?,?)",
		t.opt.Source, first.Generation, first.SourceID, first.StartPosition, first.Position, encodeAnchors(first.Anchors), first.Attempt, first.Decision, first.AppliedTotal)
	if isNumber(err, 1062) {
		return &replicator.Failure{Class: replicator.Transient, Reason: replicator.ReasonMoved, Detail: "a cursor exists by now", Err: err}
	}
	if err != nil {
		f := classify(err)
		t.abandon(ctx, f)
		return f
	}
	return nil
}

// Empty implements replicator.Target.
func (t *Target) Empty(ctx context.Context) (bool, error) {
	s, err := t.ready(ctx)
	if err != nil {
		return false, classify(err)
	}
	var one int
	err = s.conn.QueryRowContext(ctx, "SELECT 1 FROM "+t.names.target+" LIMIT 1").Scan(&one)
	if errors.Is(err, sql.ErrNoRows) {
		return true, nil
	}
	if err != nil {
		f := classify(err)
		t.abandon(ctx, f)
		return false, f
	}
	return false, nil
}

func (t *Target) countDeadLetters(ctx context.Context, s *session) error {
	var open int
	err := s.conn.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+t.names.deadLetters+" WHERE source = ? AND resolved_at IS NULL", t.opt.Source).Scan(&open)
	if err != nil {
		return err
	}
	t.metrics.deadLettersOpen.Set(float64(open))
	t.deadLettersOpen.Store(int64(open))
	return nil
}

func (t *Target) observeHeadroom(found *table) {
	if found.maxID > 0 && t.tail.length > 0 {
		t.metrics.headroom.Set(max(0, 1-float64(t.tail.lastID())/found.maxID))
	}
}

// Anchors are stored as a JSON array of [position, hash] pairs.
func encodeAnchors(anchors []replicator.Anchor) string {
	pairs := make([][2]any, 0, len(anchors))
	for _, a := range anchors {
		pairs = append(pairs, [2]any{a.Position, a.Hash})
	}
	text, _ := json.Marshal(pairs) // numbers and hex digits always marshal
	return string(text)
}

func decodeAnchors(text string) ([]replicator.Anchor, error) {
	var pairs [][2]json.RawMessage
	if err := json.Unmarshal([]byte(text), &pairs); err != nil {
		return nil, fmt.Errorf("anchors: %w", err)
	}
	anchors := make([]replicator.Anchor, 0, len(pairs))
	for _, p := range pairs {
		var a replicator.Anchor
		if err := json.Unmarshal(p[0], &a.Position); err != nil {
			return nil, fmt.Errorf("anchors: %w", err)
		}
		if err := json.Unmarshal(p[1], &a.Hash); err != nil {
			return nil, fmt.Errorf("anchors: %w", err)
		}
		anchors = append(anchors, a)
	}
	return anchors, nil
}
