package fake

import (
	"context"
	"maps"
	"slices"

	"sidestream/mapping"
	"sidestream/replicator"
)

// Fault is what goes wrong with one transaction.
type Fault int

// The faults of a transaction.
const (
	// None lets the transaction commit and its answer arrive.
	None Fault = iota
	// Lost rolls back before COMMIT is sent: a transient failure.
	Lost
	// AnswerLost commits, and the answer never arrives.
	AnswerLost
	// CommitLost rolls back, and nobody learns of it.
	CommitLost
	// Zombie gets no answer now and commits just before the next
	// compare-and-set on the cursor's row.
	Zombie
	// Unknown fails with an error number that no table holds.
	Unknown
)

// String returns the fault's name.
func (f Fault) String() string {
	return [...]string{"none", "connection lost", "answer lost", "commit lost", "zombie commits later", "unknown error"}[f]
}

// Target is one client of a Server. It implements replicator.Target.
type Target struct {
	server *Server
	source string
	// Fault, if set, is asked once per Apply.
	Fault func() Fault
	// Down, if it returns true, makes every call fail as unreachable.
	Down func() bool
}

// Target returns a client for one source.
func (s *Server) Target(source string) *Target { return &Target{server: s, source: source} }

var _ replicator.Target = (*Target)(nil)

func (t *Target) down() error {
	if t.Down != nil && t.Down() {
		return &replicator.Failure{Class: replicator.Transient, Reason: "crm_unreachable"}
	}
	return nil
}

// Load implements replicator.Target.
func (t *Target) Load(context.Context) (replicator.Cursor, error) {
	if err := t.down(); err != nil {
		return replicator.Cursor{}, err
	}
	return t.server.Cursor(t.source), nil
}

// Init implements replicator.Target.
func (t *Target) Init(_ context.Context, first replicator.Cursor) error {
	if err := t.down(); err != nil {
		return err
	}
	s := t.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cursors[t.source].Known {
		return moved()
	}
	first.Known, first.UpdatedAt = true, s.now()
	s.cursors[t.source] = first
	return nil
}

// Empty implements replicator.Target.
func (t *Target) Empty(context.Context) (bool, error) {
	return len(t.server.Rows()) == 0, t.down()
}

type prepared struct{ batch replicator.Batch }

// Batch implements replicator.Prepared.
func (p prepared) Batch() replicator.Batch { return p.batch }

// Prepare implements replicator.Target.
func (t *Target) Prepare(b replicator.Batch) (replicator.Prepared, error) { return prepared{b}, nil }

// Probe implements replicator.Target.
func (t *Target) Probe(_ context.Context, r mapping.Record) error {
	if err := t.down(); err != nil {
		return err
	}
	s := t.server
	s.mu.Lock()
	defer s.mu.Unlock()
	s.nextID++
	if s.Refuse != nil {
		if f := s.Refuse(r); f != nil {
			return f
		}
	}
	return nil
}

// Apply implements replicator.Target.
func (t *Target) Apply(_ context.Context, p replicator.Prepared, attempt string) (replicator.Applied, error) {
	if err := t.down(); err != nil {
		return replicator.Applied{}, err
	}
	fault := None
	if t.Fault != nil {
		fault = t.Fault()
	}
	s := t.server
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endZombies()
	switch fault {
	case Lost:
		return replicator.Applied{}, &replicator.Failure{Class: replicator.Transient, Reason: "connection_lost"}
	case Unknown:
		return replicator.Applied{}, &replicator.Failure{Class: replicator.Transient, Reason: "unknown", Unknown: true}
	case CommitLost:
		return replicator.Applied{}, doubtful()
	case Zombie:
		s.zombies = append(s.zombies, func() { _, _ = s.transaction(t.source, p.Batch(), attempt) })
		return replicator.Applied{}, doubtful()
	case None, AnswerLost:
	}
	applied, err := s.transaction(t.source, p.Batch(), attempt)
	if err == nil && fault == AnswerLost {
		err = doubtful()
	}
	return applied, err
}

// transaction either does all of a batch or nothing. The caller holds the lock.
func (s *Server) transaction(source string, b replicator.Batch, attempt string) (replicator.Applied, error) {
	applied := replicator.Applied{Missed: map[string]int{}}
	c := s.cursors[source]
	if !c.Known || c.Generation != b.From.Generation || c.Position != b.From.Position || c.Attempt != b.From.Attempt {
		return applied, moved()
	}
	if s.rewound[source] {
		return applied, rewound()
	}
	if end, _ := s.tail(source, b.From.Generation); end > b.From.Position {
		return applied, ledgerAhead(end, b.From.Position)
	}
	rows, ledger, dead := slices.Clone(s.rows), maps.Clone(s.ledger), maps.Clone(s.dead)
	row, first := 0, s.nextID
	places := map[place]int64{}
	s.resolve(source, b)
	for i, item := range b.Items {
		at := place{source, b.From.Generation, item.Position}
		if item.Op == replicator.OpInsert {
			row++
		}
		if f := s.refuses(item); f != nil {
			s.rows, s.ledger, s.dead = rows, ledger, dead
			// A server gives out the ids of a whole statement at once, and they
			// stay burnt.
			s.nextID += inserts(b.Items[i:])
			if item.Op == replicator.OpInsert && !s.Mute {
				f.Row = row
			}
			return applied, f
		}
		switch item.Op {
		case replicator.OpInsert:
			places[at] = s.insert(item.Record)
		case replicator.OpUpdate, replicator.OpDelete:
			s.change(item, place{source, b.From.Generation, item.MessagePosition}, applied)
		case replicator.OpPark:
			s.dead[at] = item
		case replicator.OpPass:
		}
	}
	if len(places) > 0 && s.reusedIDs(source, b.From.Generation, first, s.nextID-1) {
		s.rows, s.dead = rows, dead
		return applied, rewound()
	}
	maps.Copy(s.ledger, places)
	c.Position, c.Anchors, c.SourceID, c.Attempt = b.To, b.Anchors, b.SourceID, attempt
	c.AppliedTotal += int64(len(b.Items))
	c.UpdatedAt = s.now()
	s.cursors[source] = c
	return applied, nil
}

// resolve closes the dead letters that the batch passes again.
func (s *Server) resolve(source string, b replicator.Batch) {
	for p := range s.dead {
		if p.source == source && p.generation == b.From.Generation && p.position > b.From.Position && p.position <= b.To {
			delete(s.dead, p)
		}
	}
}

func inserts(items []replicator.Item) (n int64) {
	for _, item := range items {
		if item.Op == replicator.OpInsert {
			n++
		}
	}
	return n
}

func (s *Server) refuses(item replicator.Item) *replicator.Failure {
	if s.Refuse == nil || (item.Op != replicator.OpInsert && item.Op != replicator.OpUpdate) {
		return nil
	}
	f := s.Refuse(item.Record)
	if f == nil {
		return nil
	}
	c := *f
	return &c
}

func (s *Server) change(item replicator.Item, at place, applied replicator.Applied) {
	id, ok := s.ledger[at]
	if !ok {
		applied.Missed["not_in_ledger"]++
		return
	}
	i := s.guarded(id, item.Was)
	if i < 0 {
		applied.Missed["row_gone"]++
		return
	}
	s.rows = slices.Clone(s.rows)
	if item.Op == replicator.OpDelete {
		s.rows = slices.Delete(s.rows, i, i+1)
		return
	}
	s.rows[i].Message, s.rows[i].Status = item.Record.Message, item.Record.Status
	if item.Record.UserID != item.Was.UserID {
		s.rows[i].UserID, s.rows[i].Username = item.Record.UserID, item.Record.Username
	}
}

// guarded returns the index of the row that still is the one that was written,
// or -1.
func (s *Server) guarded(id int64, was mapping.Record) int {
	return slices.IndexFunc(s.rows, func(r Row) bool {
		return r.ID == id && (was.UserID == "" || r.UserID == was.UserID) && r.Direction == was.Direction && r.CreatedAt.Equal(was.CreatedAt)
	})
}

func moved() *replicator.Failure {
	return &replicator.Failure{Class: replicator.Transient, Reason: replicator.ReasonMoved}
}

func doubtful() *replicator.Failure {
	return &replicator.Failure{Class: replicator.Transient, Reason: "commit_unanswered", Doubtful: true}
}
