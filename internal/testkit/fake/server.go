package fake

import (
	"slices"
	"sync"
	"time"

	"sidestream/mapping"
	"sidestream/replicator"
)

// Server is an in-memory CRM: a table without a unique key, with the state
// tables beside it. Several targets can share one. It is safe for concurrent
// use; the fields may be read and changed between calls.
type Server struct {
	// Refuse, if set, refuses a record for what it contains.
	Refuse func(mapping.Record) *replicator.Failure
	// Mute leaves out which row of a batch was refused, as some servers do.
	Mute bool

	mu      sync.Mutex
	nextID  int64
	rows    []Row
	cursors map[string]replicator.Cursor
	ledger  map[place]int64
	dead    map[place]replicator.Item
	// rewound remembers until a decision that the table gave out ids anew.
	rewound map[string]bool
	// zombies are transactions whose client is gone and which still hold the
	// cursor's row lock: they end before the next compare-and-set.
	zombies []func()
	now     func() time.Time
}

// Row is a row of the CRM's table.
type Row struct {
	ID int64
	mapping.Record
}

type place struct {
	source     string
	generation int
	position   int64
}

// NewServer returns an empty CRM. Nil for now means time.Now.
func NewServer(now func() time.Time) *Server {
	if now == nil {
		now = time.Now
	}
	return &Server{nextID: 1, cursors: map[string]replicator.Cursor{}, ledger: map[place]int64{}, dead: map[place]replicator.Item{}, rewound: map[string]bool{}, now: now}
}

// Rows returns a copy of the CRM's table in id order.
func (s *Server) Rows() []Row {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.rows)
}

// Insert adds a row as a stranger would and returns its id.
func (s *Server) Insert(r mapping.Record) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.insert(r)
}

func (s *Server) insert(r mapping.Record) int64 {
	id := s.nextID
	s.nextID++
	s.rows = append(s.rows, Row{ID: id, Record: r})
	return id
}

// Delete removes a row as a stranger would.
func (s *Server) Delete(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rows = slices.DeleteFunc(s.rows, func(r Row) bool { return r.ID == id })
}

// Change gives a row to another user, at another time, as a stranger would.
func (s *Server) Change(id int64, userID string, createdAt time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.index(id); i >= 0 {
		s.rows = slices.Clone(s.rows)
		s.rows[i].UserID, s.rows[i].CreatedAt = userID, createdAt
	}
}

// DeadLetters returns the positions of a source that are parked, in order.
func (s *Server) DeadLetters(source string) []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var positions []int64
	for p := range s.dead {
		if p.source == source {
			positions = append(positions, p.position)
		}
	}
	slices.Sort(positions)
	return positions
}

// Cursor returns a source's cursor row.
func (s *Server) Cursor(source string) replicator.Cursor {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cursors[source]
}

// SetCursor overwrites a source's cursor row, as a restore or an operator does.
func (s *Server) SetCursor(source string, c replicator.Cursor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cursors[source] = c
}

// Places returns the CRM rows that the ledger of a source's current generation
// names, by position.
func (s *Server) Places(source string) map[int64]Row {
	s.mu.Lock()
	defer s.mu.Unlock()
	byID := map[int64]Row{}
	for _, r := range s.rows {
		byID[r.ID] = r
	}
	found := map[int64]Row{}
	for p, id := range s.ledger {
		if r, ok := byID[id]; ok && p.source == source && p.generation == s.cursors[source].Generation {
			found[p.position] = r
		}
	}
	return found
}

// endZombies lets abandoned transactions finish, as the row lock makes the next
// compare-and-set wait for them.
func (s *Server) endZombies() {
	for _, end := range s.zombies {
		end()
	}
	s.zombies = nil
}
