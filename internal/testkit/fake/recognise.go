package fake

import (
	"context"
	"slices"

	"sidestream/mapping"
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

// taken fails where the CRM holds what is to be added, and no ledger knows it.
// The caller holds the lock.
func (s *Server) taken(source string, cursor replicator.Cursor, ahead []replicator.Landmark) error {
	_, last := s.tail(source, cursor.Generation)
	if last == 0 {
		return nil
	}
	exact, alike := 0, map[int64]bool{}
	for _, l := range ahead {
		if found := s.findAbove(last, l.Record, true); found.ID > 0 {
			if l.Record.UserID == mapping.ErasedText {
				alike[found.ID] = true
			} else {
				exact++
			}
			continue
		}
		was := l.Record
		if was.UserID == mapping.ErasedText {
			was.UserID = ""
		}
		if found := s.findAbove(last, was, false); found.ID > 0 && was.Status != mapping.StatusSent {
			alike[found.ID] = true
		}
	}
	if exact == 0 && len(alike) < 2 {
		return nil
	}
	return &replicator.Failure{Class: replicator.Blocked, Reason: "target_ahead"}
}

// index returns where a row stands in the table, or -1.
func (s *Server) index(id int64) int {
	return slices.IndexFunc(s.rows, func(r Row) bool { return r.ID == id })
}
