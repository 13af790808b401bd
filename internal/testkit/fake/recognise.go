package fake

import (
	"context"
	"slices"

	"sidestream/replicator"
)

// Recognise implements replicator.Target.
func (t *Target) Recognise(_ context.Context, cursor replicator.Cursor, behind, ahead []replicator.Landmark) error {
	if err := t.down(); err != nil {
		return err
	}
	s := t.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.cursors[t.source]; c.Generation != cursor.Generation || c.Position != cursor.Position {
		return moved()
	}
	for _, l := range behind {
		id, ok := s.ledger[place{t.source, cursor.Generation, l.Position}]
		if i := s.index(id); ok && i >= 0 {
			row := s.rows[i]
			switch same := row.CreatedAt.Equal(l.Record.CreatedAt); {
			case same && row.UserID == l.Record.UserID && row.Direction == l.Record.Direction:
				return s.taken(t.source, cursor, ahead)
			case !same && (row.UserID != l.Record.UserID || row.Direction != l.Record.Direction):
				s.rewound[t.source] = true
				return rewound()
			}
		}
	}
	return s.taken(t.source, cursor, ahead)
}

// taken fails where all the records stand above the last ledgered row already.
// The caller holds the lock.
func (s *Server) taken(source string, cursor replicator.Cursor, ahead []replicator.Landmark) error {
	_, last := s.tail(source, cursor.Generation)
	if last == 0 || len(ahead) == 0 {
		return nil
	}
	exact := false
	for _, l := range ahead {
		i := slices.IndexFunc(s.rows, func(r Row) bool {
			return r.ID > last && r.UserID == l.Record.UserID && r.Direction == l.Record.Direction && r.CreatedAt.Equal(l.Record.CreatedAt)
		})
		if i < 0 {
			return nil
		}
		last = s.rows[i].ID
		exact = exact || s.rows[i].Message == l.Record.Message
	}
	if !exact {
		return nil
	}
	return &replicator.Failure{Class: replicator.Blocked, Reason: "target_ahead"}
}

// index returns where a row stands in the table, or -1.
func (s *Server) index(id int64) int {
	return slices.IndexFunc(s.rows, func(r Row) bool { return r.ID == id })
}
