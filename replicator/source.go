package replicator

import (
	"context"
	"time"

	"sidestream/mapping"
)

// Source is the log that is read. Its errors are *Failure values; a failure is
// transient (busy, not there yet) or blocked (replaced, rewound, not as
// expected), never data. Implementations are safe for concurrent use.
type Source interface {
	// Read returns the changes behind after.Position in position order, at most
	// limit of them, fewer where their texts add up to more than the
	// implementation's byte limit, at least one where there is one. It compares
	// after.SourceID and after.Anchors with the file in the same read
	// transaction, even when there is nothing to read, and closes the
	// transaction before it returns.
	Read(ctx context.Context, after Cursor, limit int) (Chunk, error)
	// Pending tells how far position is behind, at this moment.
	Pending(ctx context.Context, position int64) (Pending, error)
}

// Chunk is what one read transaction saw.
type Chunk struct {
	// SourceID is the file's; empty where a foreign source has none.
	SourceID string
	// Head is the highest position in the source.
	Head int64
	// Changes is in position order. Changes of kind test are left out; Until
	// covers them.
	Changes []mapping.Change
	// Until is the position up to which the read covers the source: that of the
	// last change, or beyond it where only rows follow that are never replicated.
	Until int64
	// Edge is the row at Until where it is none of Changes, a test delivery: it
	// becomes an anchor too, or another row in its place would go unnoticed. Its
	// position is 0 where there is none.
	Edge mapping.Change
	// Histories holds, for every message that an edit, an unsend or an erase in
	// Changes is about, and for every message in Changes that has such rows, all
	// its rows up to Until in position order.
	Histories map[MessageKey][]mapping.Change
}

// MessageKey identifies a message: a mid is unique within its account only.
type MessageKey struct {
	AccountID string
	MessageID string
}

// Pending is how far a position is behind its source.
type Pending struct {
	// Head is the highest position in the source.
	Head int64
	// Changes is Head minus the position, never below 0: an upper bound that
	// costs no scan, exact where the source has no gaps.
	Changes int64
	// Oldest is when the oldest pending change was committed; zero where there
	// is none.
	Oldest time.Time
}
