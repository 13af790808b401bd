package store

import "sidestream/mapping"

// Delivery is what one webhook request brought. It is stored whole or not at
// all.
type Delivery struct {
	// Changes are stored in this order. Position and CommittedAt are the store's
	// to give and are ignored.
	Changes []mapping.Change
	// Undecoded is what could not be understood.
	Undecoded []Undecoded
	// Resolves are ids of undecoded rows that are deleted in the same
	// transaction, because Changes are what they were decoded to or because they
	// are dropped. Ids that are gone already are no error.
	Resolves []int64

	// erase and prune are the work of Erase and Prune.
	erase *erasing
	prune *pruning
}

// Undecoded is a signed delivery, or a part of one, that could not be understood.
type Undecoded struct {
	// Reason is one of a bounded set of words.
	Reason string
	Body   []byte
}

// Result counts what came of a delivery.
type Result struct {
	// Inserted is how many changes were new.
	Inserted int
	// Duplicates is how many were stored before, or came twice in the delivery.
	Duplicates int
	// Resolved is how many undecoded rows were deleted by Delivery.Resolves.
	Resolved int

	// erased counts messages, pruned and forgotten rows of messages and undecoded.
	erased, pruned, forgotten int
}

func (d Delivery) empty() bool {
	return len(d.Changes) == 0 && len(d.Undecoded) == 0 && len(d.Resolves) == 0 && d.erase == nil && d.prune == nil
}

// rows is what a delivery counts for in a batch.
func (d Delivery) rows() int {
	n := len(d.Changes) + len(d.Undecoded) + len(d.Resolves)
	if d.erase != nil {
		n += len(d.erase.messages)
	}
	if d.prune != nil {
		n += pruneWindow
	}
	return n
}

// bytes is about what a delivery holds in memory.
func (d Delivery) bytes() int64 {
	const perRow = 256
	n := int64(d.rows()) * perRow
	for i := range d.Changes {
		change := &d.Changes[i]
		n += int64(len(change.MessageID))
		if change.Text != nil {
			n += int64(len(*change.Text))
		}
		if change.Attachments != nil {
			n += int64(len(*change.Attachments))
		}
	}
	for i := range d.Undecoded {
		n += int64(len(d.Undecoded[i].Body))
	}
	return n
}
