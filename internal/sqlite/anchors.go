package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"

	"sidestream/mapping"
	"sidestream/replicator"
)

// Bounds returns the lowest and the highest position and the file's id: 0, 0
// where the table is empty.
func (s *Source) Bounds(ctx context.Context) (first, last int64, sourceID string, err error) {
	err = s.use(ctx, &s.reader, func(t *session) error {
		if sourceID, err = t.id(ctx); err != nil {
			return err
		}
		first, last, err = t.bounds(ctx)
		return err
	})
	if err != nil {
		return 0, 0, "", err
	}
	return first, last, sourceID, nil
}

// Anchors computes the anchors of a cursor that is put at position, and returns
// them with the file's id. Rows up to position count as applied.
func (s *Source) Anchors(ctx context.Context, position int64) ([]replicator.Anchor, string, error) {
	var anchors []replicator.Anchor
	var sourceID string
	err := s.use(ctx, &s.reader, func(t *session) error {
		var err error
		if sourceID, err = t.id(ctx); err != nil {
			return err
		}
		anchors, err = t.anchorsAt(ctx, position)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return anchors, sourceID, nil
}

// anchorsAt reads the newest eight rows and the oldest of each power of two of
// distance, and lets NextAnchors choose as it does for a running replicator. A
// test delivery counts where it is the last row.
func (s *session) anchorsAt(ctx context.Context, position int64) ([]replicator.Anchor, error) {
	first, _, err := s.bounds(ctx)
	if err != nil {
		return nil, err
	}
	var rows []mapping.Change
	collect := func(order string, limit int, above, upTo int64) error {
		query := fmt.Sprintf(`SELECT %s, %s, %s, %s, %s FROM %s WHERE %[1]s > ? AND %[1]s <= ? AND (%[4]s IS NOT 'test' OR %[1]s = ?) ORDER BY %[1]s %[7]s LIMIT ?`,
			"m."+quote(s.opt.Columns.Position), "+m."+quote(s.opt.Columns.AccountID), "+m."+quote(s.opt.Columns.MessageID),
			"m."+quote(s.opt.Columns.Kind), "+m."+quote(s.opt.Columns.Version), quote(s.layout.table)+" m", order)
		return s.conn.each(ctx, query, []any{above, upTo, position, int64(limit)}, func(row []driver.Value) error {
			rows = append(rows, mapping.Change{
				Position: toInt(row[0]), AccountID: toText(row[1]), MessageID: toText(row[2]),
				Kind: mapping.Kind(toText(row[3])), Version: toInt(row[4]),
			})
			return nil
		})
	}
	if err := collect("DESC", 8, 0, position); err != nil {
		return nil, err
	}
	for shift := 0; shift < 62 && position-int64(1)<<shift >= first; shift++ {
		if err := collect("ASC", 1, max(0, position-int64(2)<<shift), position-int64(1)<<shift); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(rows, func(a, b mapping.Change) int { return int(min(1, max(-1, a.Position-b.Position))) })
	rows = slices.CompactFunc(rows, func(a, b mapping.Change) bool { return a.Position == b.Position })
	return replicator.NextAnchors(nil, rows, position), nil
}

// LastCommon returns the highest anchor whose row is still the one that was
// applied; ok is false where there is none.
func (s *Source) LastCommon(ctx context.Context, anchors []replicator.Anchor) (position int64, ok bool, err error) {
	var c comparison
	err = s.use(ctx, &s.reader, func(t *session) error {
		seen, err := t.sight(ctx, anchors)
		c = compare(anchors, seen.rows)
		return err
	})
	if err != nil {
		return 0, false, err
	}
	return c.lastCommon, c.matching > 0, nil
}
