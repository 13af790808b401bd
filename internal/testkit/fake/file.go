package fake

import (
	"context"

	"sidestream/mapping"
	"sidestream/replicator"
)

var _ replicator.File = (*Source)(nil)

// Bounds implements replicator.File.
func (s *Source) Bounds(context.Context) (first, last int64, sourceID string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.log) > 0 {
		first = s.log[0].Position
	}
	return first, s.head(), s.id, nil
}

// Anchors implements replicator.File.
func (s *Source) Anchors(_ context.Context, position int64) ([]replicator.Anchor, string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var rows []mapping.Change
	for _, c := range s.log {
		if c.Position <= position && (c.Kind != mapping.KindTest || c.Position == position) {
			rows = append(rows, c)
		}
	}
	return replicator.NextAnchors(nil, rows, position), s.id, nil
}

// LastCommon implements replicator.File.
func (s *Source) LastCommon(_ context.Context, anchors []replicator.Anchor) (int64, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	common, matching, _ := s.compare(anchors)
	return common, matching > 0, nil
}

// Message returns the row at a position that the cursor has passed, with all
// rows of its message up to the cursor.
func (s *Source) Message(_ context.Context, cursor replicator.Cursor, position int64) (change mapping.Change, history []mapping.Change, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.verify(cursor); err != nil {
		return change, nil, err
	}
	found := false
	for _, c := range s.log {
		if c.Position == position && position <= cursor.Position {
			change, found = c, true
		}
	}
	if !found {
		return change, nil, &replicator.Failure{Class: replicator.Blocked, Reason: "source_row_gone"}
	}
	for _, c := range s.log {
		if c.AccountID == change.AccountID && c.MessageID == change.MessageID && c.Position <= cursor.Position && c.Kind != mapping.KindTest {
			history = append(history, c)
		}
	}
	return change, history, nil
}
