package fake

import (
	"context"
	"sync"
	"time"

	"sidestream/mapping"
	"sidestream/replicator"
)

// Source is an in-memory log. It implements replicator.Source and is safe for
// concurrent use.
type Source struct {
	// Fail, if set, is asked before each Read.
	Fail func() error
	// MaxChanges bounds a chunk below what Read is asked for; 0 means no bound.
	MaxChanges int

	mu  sync.Mutex
	id  string
	log []mapping.Change
}

// NewSource returns an empty log.
func NewSource(id string) *Source { return &Source{id: id} }

var _ replicator.Source = (*Source)(nil)

// Append stores changes and gives them positions.
func (s *Source) Append(changes ...mapping.Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range changes {
		c.Position = s.head() + 1
		s.log = append(s.log, c)
	}
}

// Log returns a copy of everything stored.
func (s *Source) Log() []mapping.Change {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]mapping.Change(nil), s.log...)
}

// Copy returns a source with the same rows, as cp of the file would.
func (s *Source) Copy() *Source {
	return &Source{id: s.id, log: s.Log()}
}

// Truncate drops everything behind a position, as restoring an older copy does.
func (s *Source) Truncate(position int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.log) > 0 && s.head() > position {
		s.log = s.log[:len(s.log)-1]
	}
}

func (s *Source) head() int64 {
	if len(s.log) == 0 {
		return 0
	}
	return s.log[len(s.log)-1].Position
}

// Read implements replicator.Source.
func (s *Source) Read(_ context.Context, after replicator.Cursor, limit int) (replicator.Chunk, error) {
	if s.Fail != nil {
		if err := s.Fail(); err != nil {
			return replicator.Chunk{}, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.verify(after); err != nil {
		return replicator.Chunk{}, err
	}
	if s.MaxChanges > 0 {
		limit = min(limit, s.MaxChanges)
	}
	chunk := replicator.Chunk{SourceID: s.id, Head: s.head(), Until: max(after.Position, s.head()), Histories: map[replicator.MessageKey][]mapping.Change{}}
	for _, c := range s.log {
		if c.Position <= after.Position || c.Kind == mapping.KindTest {
			continue
		}
		if len(chunk.Changes) == limit {
			chunk.Until = chunk.Changes[limit-1].Position
			break
		}
		chunk.Changes = append(chunk.Changes, c)
	}
	for _, c := range chunk.Changes {
		key := replicator.MessageKey{AccountID: c.AccountID, MessageID: c.MessageID}
		if _, done := chunk.Histories[key]; done {
			continue
		}
		var rows []mapping.Change
		for _, l := range s.log {
			if l.AccountID == c.AccountID && l.MessageID == c.MessageID && l.Position <= chunk.Until && l.Kind != mapping.KindTest {
				rows = append(rows, l)
			}
		}
		if len(rows) > 1 || c.Kind != mapping.KindMessage {
			chunk.Histories[key] = rows
		}
	}
	return chunk, nil
}

func (s *Source) verify(after replicator.Cursor) error {
	byPosition := map[int64]string{}
	for _, c := range s.log {
		byPosition[c.Position] = replicator.AnchorHash(c)
	}
	for _, a := range after.Anchors {
		if hash, ok := byPosition[a.Position]; ok && hash != a.Hash {
			return &replicator.Failure{Class: replicator.Blocked, Reason: "source_diverged"}
		}
	}
	if after.Position > s.head() {
		return &replicator.Failure{Class: replicator.Blocked, Reason: "source_rewound"}
	}
	return nil
}

// Pending implements replicator.Source.
func (s *Source) Pending(_ context.Context, position int64) (replicator.Pending, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := replicator.Pending{Head: s.head(), Changes: max(0, s.head()-position)}
	for _, c := range s.log {
		if c.Position > position {
			p.Oldest = time.UnixMilli(c.CommittedAt)
			break
		}
	}
	return p, nil
}
