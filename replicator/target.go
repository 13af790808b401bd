package replicator

import (
	"context"
	"time"

	"sidestream/mapping"
)

// Target is the CRM with the state beside it. Its errors are *Failure values.
// Apply and Load are called from one goroutine; Prepare may run beside Apply.
type Target interface {
	// Load reads the cursor as it stands in the target, creating the state
	// tables where they are missing and checking the CRM's table when the
	// connection is new. It is the one reload path: start, a missed
	// compare-and-set and a doubtful COMMIT all end here.
	Load(ctx context.Context) (Cursor, error)
	// Init stores the first cursor of a source. It fails with reason
	// "cursor_moved" where one exists by now.
	Init(ctx context.Context, first Cursor) error
	// Empty tells whether the CRM's table holds no row.
	Empty(ctx context.Context) (bool, error)
	// Prepare encodes a batch ahead of its turn; it needs no connection.
	Prepare(batch Batch) (Prepared, error)
	// Apply runs one transaction: the compare-and-set on the cursor first,
	// then the records, the ledger and the dead letters, then COMMIT.
	// attempt is the token that the cursor row carries afterwards. A failure
	// with Doubtful set means that COMMIT may have happened or may still
	// happen.
	Apply(ctx context.Context, prepared Prepared, attempt string) (Applied, error)
	// Recognise looks for rows of the log in the CRM, by user, direction and
	// time, and fails where the backups that they come from do not fit together.
	// behind are messages up to the cursor, newest first: where the ledger's ids
	// hold other rows, the reason is "target_rewound". ahead are the first of the
	// customers' messages behind the cursor, in position order: where the CRM holds
	// one of them above the last ledgered row already, it is "target_ahead". What
	// the CRM's people do to single rows (delete them, give them to another user)
	// is no evidence, nor is a row that any ledger knows.
	Recognise(ctx context.Context, cursor Cursor, behind, ahead []Landmark) error
	// Probe inserts the record and rolls back: nil means that the table takes
	// rows of this shape.
	Probe(ctx context.Context, record mapping.Record) error
}

// Applied tells what a committed transaction found beside what it was told.
type Applied struct {
	// Missed counts updates and deletes that found no CRM row to touch, by
	// reason: "not_in_ledger", "row_gone".
	Missed map[string]int
}

// Prepared is a batch in the form that its target sends. Only the target that
// made it can read it.
type Prepared interface {
	// Batch returns what was prepared.
	Batch() Batch
}

// Batch is consecutive changes that are applied in one target transaction.
type Batch struct {
	// From is the cursor that the compare-and-set expects: its generation, its
	// position, and the attempt that wrote it.
	From Cursor
	// To is the position that the cursor moves to; Anchors are its new anchors.
	To      int64
	Anchors []Anchor
	// SourceID is the file's at the time of reading.
	SourceID string
	// Items is in position order.
	Items []Item
}

// Op is what becomes of one change in the CRM.
type Op int

// The operations of an Item.
const (
	// OpInsert adds Record as a new CRM row and its id to the ledger.
	OpInsert Op = iota
	// OpUpdate makes the CRM row of MessagePosition equal to Record.
	OpUpdate
	// OpDelete removes the CRM row of MessagePosition.
	OpDelete
	// OpPark stores a dead letter.
	OpPark
	// OpPass moves the cursor over the change; there is nothing to do for it.
	OpPass
)

// Item is one change of a batch and what becomes of it.
type Item struct {
	Position  int64
	MessageID string
	Kind      mapping.Kind
	// CommittedAt is when the source committed the change.
	CommittedAt time.Time
	Op          Op
	// Record is set for OpInsert and OpUpdate.
	Record mapping.Record
	// Pruned is set on an OpInsert whose text the source does not keep any more.
	// A CRM that is filled anew gets the record, a dead letter's retry writes none.
	Pruned bool
	// MessagePosition is the position of the message row that OpUpdate and
	// OpDelete find through the ledger.
	MessagePosition int64
	// Was is the record whose user_id, direction and created_at the CRM row must
	// still have, so that OpUpdate and OpDelete never touch a stranger's row. An
	// empty UserID, of an erased message, is not compared.
	Was mapping.Record
	// Code and Reason describe a dead letter: the server's error number or
	// empty, and one of our own words.
	Code   string
	Reason string
}
