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
	rewound map[string]bool
}

// Dump copies the tables.
func (s *Server) Dump() *Dump {
	s.mu.Lock()
	defer s.mu.Unlock()
	return &Dump{
		nextID: s.nextID, rows: slices.Clone(s.rows), cursors: maps.Clone(s.cursors),
		ledger: maps.Clone(s.ledger), dead: maps.Clone(s.dead), rewound: maps.Clone(s.rewound),
	}
}

// Restore makes the tables what they were at the dump. Open transactions end
// with the server's restart.
func (s *Server) Restore(d *Dump) {
	s.RestoreTable(d)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cursors, s.ledger, s.dead, s.rewound = maps.Clone(d.cursors), maps.Clone(d.ledger), maps.Clone(d.dead), maps.Clone(d.rewound)
}

// RestoreTable restores the CRM's table without the state beside it.
func (s *Server) RestoreTable(d *Dump) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nextID, s.rows, s.zombies = d.nextID, slices.Clone(d.rows), nil
}

// RestoreCursor restores the row of the cursor alone.
func (s *Server) RestoreCursor(d *Dump) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endZombies()
	s.cursors = maps.Clone(d.cursors)
}

// Truncate empties the CRM's table; its ids begin anew.
func (s *Server) Truncate() {
	s.RestoreTable(&Dump{nextID: 1})
}

// DropState drops the state tables, as a restore into a new database does that
// holds the CRM's table alone.
func (s *Server) DropState() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endZombies()
	s.cursors, s.ledger, s.dead, s.rewound = map[string]replicator.Cursor{}, map[place]int64{}, map[place]replicator.Item{}, map[string]bool{}
}

// RestoreState makes the state tables, and not the CRM's, what they were at the
// dump.
func (s *Server) RestoreState(d *Dump) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endZombies()
	s.cursors, s.ledger, s.dead, s.rewound = maps.Clone(d.cursors), maps.Clone(d.ledger), maps.Clone(d.dead), maps.Clone(d.rewound)
}
