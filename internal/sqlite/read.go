package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"

	"sidestream/mapping"
	"sidestream/replicator"
)

// anchorSlots is how many positions one query looks up; a cursor has at most 71
// anchors.
const anchorSlots = 72

// Read implements replicator.Source. A limit below 1 only checks the file
// against the cursor.
func (s *Source) Read(ctx context.Context, after replicator.Cursor, limit int) (replicator.Chunk, error) {
	var chunk replicator.Chunk
	err := s.use(ctx, &s.reader, func(t *session) error {
		var err error
		chunk, err = t.read(ctx, after, limit)
		return err
	})
	if err != nil {
		return replicator.Chunk{}, missed(err, after)
	}
	return chunk, nil
}

// missed gives another next step where rows of a file that is missing were
// applied already: a writer that is started would begin a new one.
func missed(err error, after replicator.Cursor) error {
	f := replicator.AsFailure(err)
	if f.Reason == reasonMissing && after.Position > 0 {
		f.Hint = fmt.Sprintf("put the file back, of which positions up to %d are applied, or correct database.path; a writer that is started without it begins another file", after.Position)
	}
	return err
}

// read runs inside a transaction: what it compares and what it returns are of
// one snapshot.
func (s *session) read(ctx context.Context, after replicator.Cursor, limit int) (replicator.Chunk, error) {
	seen, err := s.sight(ctx, after.Anchors)
	if err != nil {
		return replicator.Chunk{}, err
	}
	if failure := judge(after, seen); failure != nil {
		return replicator.Chunk{}, failure
	}
	chunk := replicator.Chunk{SourceID: seen.sourceID, Head: seen.head, Until: after.Position}
	if limit < 1 || seen.head <= after.Position {
		return chunk, nil
	}
	keys, err := s.readChanges(ctx, &chunk, limit)
	if err != nil {
		return replicator.Chunk{}, err
	}
	if n := len(chunk.Changes); n == 0 || chunk.Changes[n-1].Position < chunk.Until {
		edge, err := s.rowsAt(ctx, []int64{chunk.Until})
		if err != nil {
			return replicator.Chunk{}, err
		}
		if len(edge) == 1 {
			chunk.Edge = edge[0]
		}
	}
	return chunk, s.readHistories(ctx, &chunk, keys)
}

// sight collects what judge needs.
func (s *session) sight(ctx context.Context, anchors []replicator.Anchor) (sighting, error) {
	var seen sighting
	var err error
	if seen.sourceID, err = s.id(ctx); err != nil {
		return seen, err
	}
	if _, seen.head, err = s.bounds(ctx); err != nil {
		return seen, err
	}
	seen.floor = seen.head
	if s.sequence != nil {
		value, err := s.sequence.one(ctx, s.layout.table)
		if err != nil {
			return seen, err
		}
		seen.floor = max(seen.floor, toInt(value))
	}
	positions := make([]int64, len(anchors))
	for i, anchor := range anchors {
		positions[i] = anchor.Position
	}
	changes, err := s.rowsAt(ctx, positions)
	for _, c := range changes {
		seen.rows = append(seen.rows, replicator.Anchor{Position: c.Position, Hash: replicator.AnchorHash(c)})
	}
	return seen, err
}

// id is the file's source id, empty where it has none.
func (s *session) id(ctx context.Context) (string, error) {
	if s.sourceID == nil {
		return "", nil
	}
	value, err := s.sourceID.one(ctx)
	return toText(value), err
}

// bounds are the lowest and the highest position, 0 and 0 of an empty table.
func (s *session) bounds(ctx context.Context) (first, last int64, err error) {
	err = s.ends.each(ctx, func(row []driver.Value) error {
		first, last = toInt(row[0]), toInt(row[1])
		return nil
	})
	return first, last, err
}

// rowsAt reads the rows that exist at the positions.
func (s *session) rowsAt(ctx context.Context, positions []int64) ([]mapping.Change, error) {
	var found []mapping.Change
	args := make([]any, anchorSlots)
	for len(positions) > 0 {
		n := min(len(positions), anchorSlots)
		clear(args)
		for i, position := range positions[:n] {
			args[i] = position
		}
		positions = positions[n:]
		err := s.atPositions.each(ctx, func(row []driver.Value) error {
			found = append(found, decode(row))
			return nil
		}, args...)
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// wanted is a message whose whole history the chunk needs.
type wanted struct {
	key replicator.MessageKey
	// account and id are the key as it is stored, which is how it is found.
	account, id driver.Value
	// first is the index of the first change that needs it.
	first int
}

// readChanges fills Changes and Until.
func (s *session) readChanges(ctx context.Context, chunk *replicator.Chunk, limit int) ([]wanted, error) {
	var keys []wanted
	known := map[replicator.MessageKey]bool{}
	from := chunk.Until
	chunk.Changes = make([]mapping.Change, 0, min(int64(limit), chunk.Head-from, 4096))
	bytes, rows := 0, 0
	exhausted := true
	err := s.rows.each(ctx, func(row []driver.Value) error {
		c := decode(row)
		if failure := checkJump(chunk.Until, c.Position); failure != nil {
			if rows == 0 {
				return failure
			}
			// What comes before the jump is as good as ever.
			exhausted = false
			return errStop
		}
		rows++
		chunk.Until = c.Position
		if c.Kind == mapping.KindTest {
			return nil // Only where the column keeps it as no text; covered by Until.
		}
		chunk.Changes = append(chunk.Changes, c)
		key := replicator.MessageKey{AccountID: c.AccountID, MessageID: c.MessageID}
		if (c.Kind != mapping.KindMessage || toInt(row[12]) != 0) && !known[key] {
			known[key] = true
			keys = append(keys, wanted{key: key, account: row[4], id: row[1], first: len(chunk.Changes) - 1})
		}
		if bytes += size(c); bytes >= s.opt.MaxChunkBytes || rows == limit {
			exhausted = false
			return errStop
		}
		return nil
	}, from, int64(limit))
	if err != nil || !exhausted {
		return keys, err
	}
	// Only test deliveries follow up to the head.
	if failure := checkJump(chunk.Until, chunk.Head); failure != nil {
		if rows == 0 {
			return nil, failure
		}
		return keys, nil
	}
	chunk.Until = chunk.Head
	return keys, nil
}
