package fake

import (
	"context"
	"fmt"
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

// Append stores changes and gives them positions. As the writer does, it blanks
// what an unsend or erase takes back, whichever comes first.
func (s *Source) Append(changes ...mapping.Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range changes {
		c.Position = s.head() + 1
		s.log = append(s.log, c)
		s.blank(c)
	}
}

func (s *Source) blank(c mapping.Change) {
	unsent, erased := false, false
	of := func(row mapping.Change) bool { return row.AccountID == c.AccountID && row.MessageID == c.MessageID }
	for _, row := range s.log {
		unsent = unsent || of(row) && row.Kind == mapping.KindUnsend
		erased = erased || of(row) && row.Kind == mapping.KindErase
	}
	for i := range s.log {
		if row := &s.log[i]; of(*row) && (unsent || erased) {
			row.Text, row.Attachments = nil, nil
			if user := row.User().UserID; erased && row.SenderID == user {
				row.SenderID = mapping.ErasedText
			} else if erased {
				row.RecipientID = mapping.ErasedText
			}
		}
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

// Become makes the file that of another source: other rows under another id.
func (s *Source) Become(other *Source) {
	log := other.Log()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id, s.log = other.id, log
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
			chunk.Until = after.Position
			if limit > 0 {
				chunk.Until = chunk.Changes[limit-1].Position
			}
			break
		}
		chunk.Changes = append(chunk.Changes, c)
	}
	if n := len(chunk.Changes); n == 0 || chunk.Changes[n-1].Position < chunk.Until {
		chunk.Edge = s.at(chunk.Until)
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

// verify tells whether positions still mean the rows that the cursor counted,
// by the rules of the real source.
func (s *Source) verify(after replicator.Cursor) error {
	common, matching, differing := s.compare(after.Anchors)
	blocked := func(reason string) error {
		return &replicator.Failure{Class: replicator.Blocked, Reason: reason, Detail: fmt.Sprintf("cursor at %d, file ends at %d, common up to %d", after.Position, s.head(), common)}
	}
	switch {
	case after.SourceID != "" && after.SourceID != s.id, differing > 0 && matching == 0:
		return blocked("source_replaced")
	case differing > 0:
		return blocked("source_diverged")
	case after.Position > s.head():
		return blocked("source_rewound")
	}
	return nil
}

// compare counts the anchors whose rows are those that were applied, and those
// whose are not; common is the highest of the first.
func (s *Source) compare(anchors []replicator.Anchor) (common int64, matching, differing int) {
	byPosition := map[int64]string{}
	for _, c := range s.log {
		byPosition[c.Position] = replicator.AnchorHash(c)
	}
	for _, a := range anchors {
		switch hash, ok := byPosition[a.Position]; {
		case !ok:
		case hash == a.Hash:
			common, matching = max(common, a.Position), matching+1
		default:
			differing++
		}
	}
	return common, matching, differing
}

// at returns the row at a position, or none.
func (s *Source) at(position int64) mapping.Change {
	for _, c := range s.log {
		if c.Position == position {
			return c
		}
	}
	return mapping.Change{}
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
