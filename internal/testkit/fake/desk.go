package fake

import (
	"context"
	"fmt"
	"slices"

	"sidestream/mapping"
	"sidestream/replicator"
)

// Letter is an open dead letter.
type Letter struct {
	Generation int
	Position   int64
	MessageID  string
}

// Letters returns a source's open dead letters by generation and position.
func (s *Server) Letters(source string) []Letter {
	s.mu.Lock()
	defer s.mu.Unlock()
	var letters []Letter
	for p, item := range s.dead {
		if p.source == source {
			letters = append(letters, Letter{Generation: p.generation, Position: p.position, MessageID: item.MessageID})
		}
	}
	slices.SortFunc(letters, func(a, b Letter) int {
		if a.Generation != b.Generation {
			return a.Generation - b.Generation
		}
		return int(a.Position - b.Position)
	})
	return letters
}

// Tail returns the end of the ledger of the cursor's generation.
func (t *Target) Tail(context.Context) (replicator.Tail, error) {
	if err := t.down(); err != nil {
		return replicator.Tail{}, err
	}
	s := t.server
	s.mu.Lock()
	defer s.mu.Unlock()
	end, id := s.tail(t.source, s.cursors[t.source].Generation)
	return replicator.Tail{Position: end, ID: id}, nil
}

// Holds implements replicator.Table.
func (t *Target) Holds(_ context.Context, generation int, position int64, was mapping.Record) (bool, error) {
	if err := t.down(); err != nil {
		return false, err
	}
	s := t.server
	s.mu.Lock()
	defer s.mu.Unlock()
	id, ok := s.ledger[place{t.source, generation, position}]
	if !ok {
		return false, nil
	}
	i := s.guarded(id, was)
	return i >= 0 && (was.Message == "" || s.rows[i].Message == was.Message), nil
}

// Decide stores an operator's cursor in the place of the one that was expected,
// and makes the ledger and the dead letters fit it.
func (t *Target) Decide(_ context.Context, expect, next replicator.Cursor, taken []replicator.Taken, letters []replicator.Letter) error {
	if err := t.down(); err != nil {
		return err
	}
	s := t.server
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endZombies()
	found := s.cursors[t.source]
	if found.Known != expect.Known || found.Generation != expect.Generation || found.Position != expect.Position {
		return moved()
	}
	for p, id := range s.ledger {
		if p.source == t.source && p.generation == found.Generation && p.position <= next.Position {
			s.ledger[place{t.source, next.Generation, p.position}] = id
		}
	}
	for p := range s.ledger {
		if p.source == t.source && p.generation == next.Generation && p.position > next.Position {
			delete(s.ledger, p)
		}
	}
	for _, row := range taken {
		s.ledger[place{t.source, next.Generation, row.Position}] = row.ID
	}
	for _, l := range letters {
		delete(s.ledger, place{t.source, next.Generation, l.Position})
		s.dead[place{t.source, next.Generation, l.Position}] = replicator.Item{Position: l.Position, MessageID: l.MessageID, Op: replicator.OpPark, Code: l.Code, Reason: l.Reason}
	}
	delete(s.rewound, t.source)
	next.Known, next.AppliedTotal, next.UpdatedAt = true, found.AppliedTotal, s.now()
	s.cursors[t.source] = next
	return nil
}

// Retry applies a dead letter anew in one transaction that holds the cursor's
// row. compute says what becomes of the change.
func (t *Target) Retry(_ context.Context, letter Letter, compute func(replicator.Cursor) (replicator.Item, error)) (string, error) {
	if err := t.down(); err != nil {
		return "", err
	}
	s := t.server
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endZombies()
	cursor, at := s.cursors[t.source], place{t.source, letter.Generation, letter.Position}
	_, open := s.dead[at]
	switch {
	case !open:
		return "already_applied", nil
	case !cursor.Known || letter.Position > cursor.Position:
		return "later", nil
	}
	item, err := compute(cursor)
	if err != nil {
		return "", err
	}
	if item.MessageID != letter.MessageID {
		return "", &replicator.Failure{Class: replicator.Blocked, Reason: "dead_letter_differs"}
	}
	outcome, err := s.applyLetter(t.source, cursor, item)
	if f := replicator.AsFailure(err); err != nil && f.Class == replicator.Data {
		return "refused", err
	}
	if err == nil {
		delete(s.dead, at)
	}
	return outcome, err
}

func (s *Server) applyLetter(source string, cursor replicator.Cursor, item replicator.Item) (string, error) {
	switch item.Op {
	case replicator.OpPark:
		return "", &replicator.Failure{Class: replicator.Data, Reason: item.Reason, Code: item.Code}
	case replicator.OpPass:
		return "nothing_to_do", nil
	case replicator.OpInsert, replicator.OpUpdate, replicator.OpDelete:
	}
	if f := s.refuses(item); f != nil {
		return "", f
	}
	if item.Op != replicator.OpInsert {
		applied := replicator.Applied{Missed: map[string]int{}}
		s.change(item, place{source, cursor.Generation, item.MessagePosition}, applied)
		if len(applied.Missed) > 0 {
			return "nothing_to_do", nil
		}
		return "applied", nil
	}
	at := place{source, cursor.Generation, item.Position}
	if _, there := s.ledger[at]; there {
		return "already_applied", nil
	}
	if item.Pruned {
		return "pruned", nil
	}
	if s.rewound[source] {
		return "", rewound()
	}
	before := slices.Clone(s.rows)
	id := s.insert(item.Record)
	if s.reusedIDs(source, cursor.Generation, id, id) {
		s.rows = before
		return "", rewound()
	}
	s.ledger[at] = id
	return "applied", nil
}

// tail returns the last position in the ledger of a generation, and its id.
func (s *Server) tail(source string, generation int) (position, id int64) {
	for p, i := range s.ledger {
		if p.source == source && p.generation == generation && p.position > position {
			position, id = p.position, i
		}
	}
	return position, id
}

// reusedIDs reports whether new rows came out at or below the last ledgered id
// while that row is gone, and remembers it until an operator decides.
func (s *Server) reusedIDs(source string, generation int, first, last int64) bool {
	_, tail := s.tail(source, generation)
	if tail == 0 || first > tail {
		return false
	}
	there := slices.ContainsFunc(s.rows, func(r Row) bool { return r.ID == tail })
	if there && (tail < first || tail > last) {
		return false
	}
	s.rewound[source] = true
	return true
}

func rewound() *replicator.Failure {
	return &replicator.Failure{Class: replicator.Blocked, Reason: "target_rewound"}
}

func ledgerAhead(end, position int64) *replicator.Failure {
	return &replicator.Failure{Class: replicator.Blocked, Reason: "ledger_ahead", Detail: fmt.Sprintf("the cursor is at %d, the ledger ends at %d", position, end)}
}
