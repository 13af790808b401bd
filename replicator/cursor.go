package replicator

import "time"

// Cursor is the high-water mark: the position up to which everything has been
// applied, with the proof that positions still mean the same rows.
type Cursor struct {
	// Known is false where the target holds no cursor for the source yet.
	Known bool
	// Generation counts the operator's decisions to start the numbering anew.
	Generation int
	// SourceID is the random id that the writer gave the database file; empty
	// where a foreign source has none.
	SourceID string
	// StartPosition is where replication began: rows up to it were never ours.
	StartPosition int64
	Position      int64
	// Anchors are in ascending position order.
	Anchors []Anchor
	// Attempt is the token of the transaction that wrote this cursor.
	Attempt string
	// Decision is the token of the last decision that a person made about the
	// cursor (cursor init, set, resume), and empty where there was none. It stays
	// while batches move on: a replicator that meets one it does not know takes
	// the row as it stands, even where that is behind what it had applied.
	Decision string
	// AppliedTotal counts the changes applied over all generations.
	AppliedTotal int64
	// UpdatedAt is when the target stored the cursor, by the target's clock.
	UpdatedAt time.Time
}

// Anchor proves that a position still means the row that was applied there.
type Anchor struct {
	Position int64
	// Hash is AnchorHash of the row.
	Hash string
}
