package sqlite

import (
	"context"
	"database/sql/driver"
	"slices"

	"sidestream/mapping"
	"sidestream/replicator"
)

// readHistories fills Histories. Where they grow beyond the byte limit the chunk
// ends before the change whose history is too much.
func (s *session) readHistories(ctx context.Context, chunk *replicator.Chunk, keys []wanted) error {
	if len(keys) == 0 {
		return nil
	}
	chunk.Histories = make(map[replicator.MessageKey][]mapping.Change, len(keys))
	bytes := 0
	for _, w := range keys {
		var rows []mapping.Change
		err := s.history.each(ctx, func(row []driver.Value) error {
			c := decode(row)
			rows = append(rows, c)
			bytes += size(c)
			return nil
		}, w.account, w.id, chunk.Until)
		if err != nil {
			return err
		}
		if bytes > s.opt.MaxChunkBytes && w.first > 0 {
			cut(chunk, w.first)
			break
		}
		chunk.Histories[w.key] = rows
	}
	// A message whose other rows come later has nothing to add to itself yet.
	for key, rows := range chunk.Histories {
		if !slices.ContainsFunc(rows, func(c mapping.Change) bool { return c.Kind != mapping.KindMessage }) {
			delete(chunk.Histories, key)
		}
	}
	return nil
}

// cut shortens the chunk to its first n changes.
func cut(chunk *replicator.Chunk, n int) {
	chunk.Changes = chunk.Changes[:n]
	chunk.Until = chunk.Changes[n-1].Position
	for key, rows := range chunk.Histories {
		for len(rows) > 0 && rows[len(rows)-1].Position > chunk.Until {
			rows = rows[:len(rows)-1]
		}
		chunk.Histories[key] = rows
	}
}
