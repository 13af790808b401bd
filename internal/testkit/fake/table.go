package fake

import (
	"context"
	"slices"

	"sidestream/mapping"
	"sidestream/replicator"
)

var _ replicator.Table = (*Target)(nil)

// Stands implements replicator.Table.
func (t *Target) Stands(_ context.Context, generation int, position int64, was mapping.Record) (replicator.Standing, error) {
	if err := t.down(); err != nil {
		return replicator.Unknown, err
	}
	s := t.server
	s.mu.Lock()
	defer s.mu.Unlock()
	id, ok := s.ledger[place{t.source, generation, position}]
	if !ok {
		return replicator.Unknown, nil
	}
	i := s.index(id)
	switch {
	case i < 0:
		return replicator.Gone, nil
	case s.rows[i].CreatedAt.Equal(was.CreatedAt), whoIs(s.rows[i], was):
		return replicator.Kept, nil
	}
	return replicator.Replaced, nil
}

// FindAbove implements replicator.Table.
func (t *Target) FindAbove(_ context.Context, id int64, record mapping.Record, sameText bool) (replicator.Found, error) {
	if err := t.down(); err != nil {
		return replicator.Found{}, err
	}
	s := t.server
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.findAbove(id, record, sameText), nil
}

func (s *Server) findAbove(id int64, record mapping.Record, sameText bool) replicator.Found {
	for _, r := range s.rows {
		if r.ID <= id || !whoIs(r, record) || !r.CreatedAt.Equal(record.CreatedAt) || sameText && r.Message != record.Message || s.ledgered(r.ID) {
			continue
		}
		return replicator.Found{ID: r.ID, Fallback: r.Username == r.UserID}
	}
	return replicator.Found{}
}

// whoIs compares a row's user, unless that is not known any more, and direction.
func whoIs(r Row, was mapping.Record) bool {
	return r.Direction == was.Direction && (was.UserID == "" || r.UserID == was.UserID)
}

// ledgered tells whether any ledger knows a row.
func (s *Server) ledgered(id int64) bool {
	for _, known := range s.ledger {
		if known == id {
			return true
		}
	}
	return false
}

// RetriedUpTo implements replicator.Table.
func (t *Target) RetriedUpTo(_ context.Context, generation int, upTo int64) ([]int64, error) {
	if err := t.down(); err != nil {
		return nil, err
	}
	s := t.server
	s.mu.Lock()
	defer s.mu.Unlock()
	last, position := int64(0), int64(0)
	for p, id := range s.ledger {
		if p.source == t.source && p.generation == generation && p.position <= upTo && p.position > position {
			last, position = id, p.position
		}
	}
	var behind []int64
	for p, id := range s.ledger {
		if p.source == t.source && p.generation == generation && p.position <= upTo && id > last {
			behind = append(behind, p.position)
		}
	}
	slices.Sort(behind)
	return behind, nil
}
