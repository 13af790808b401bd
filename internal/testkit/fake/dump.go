package fake

import (
	"maps"
	"slices"

	"sidestream/replicator"
)

// Dump is a copy of everything that a Server holds, as a backup is.
type Dump struct {
	nextID  int64
	rows    []Row
	cursors map[string]replicator.Cursor
	ledger  map[place]int64
	dead    map[place]replicator.Item
}

// Dump copies the tables.
func (s *Server) Dump() *Dump {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &Dump{nextID: s.nextID, rows: slices.Clone(s.rows), cursors: maps.Clone(s.cursors), ledger: maps.Clone(s.ledger), dead: maps.Clone(s.dead)}
}

// Restore makes the tables what they were at the dump. Open transactions end
// with the server's restart.
func (s *Server) Restore(d *Dump) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nextID, s.rows, s.cursors, s.ledger, s.dead = d.nextID, slices.Clone(d.rows), maps.Clone(d.cursors), maps.Clone(d.ledger), maps.Clone(d.dead)
	s.zombies = nil
}

// RestoreState makes the state tables, and not the CRM's, what they were at the
// dump.
func (s *Server) RestoreState(d *Dump) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cursors, s.ledger, s.dead = maps.Clone(d.cursors), maps.Clone(d.ledger), maps.Clone(d.dead)
	s.zombies = nil
}
