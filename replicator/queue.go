package replicator

import (
	"context"
	"slices"

	"sidestream/mapping"
)

// queue is what one read returned, mapped and not applied yet.
type queue struct {
	// from is the position that the first item follows: only a cursor that
	// stands there may take from the queue.
	from    int64
	items   []Item
	changes []mapping.Change // of the items, by index
	// until is the position that the cursor reaches with the last item.
	until    int64
	edge     mapping.Change // the row at until where it is none of changes
	sourceID string
	// more is set where the source held more than was read.
	more bool
	// suspect is the position that the server named as the bad one, or 0: what
	// comes before it goes first, then it goes alone.
	suspect int64
	// prepared is the whole queue, encoded ahead of its turn.
	prepared Prepared
}

// empty reports whether nothing is left to do behind a position. A queue of no
// items can still have the cursor move over rows that are never replicated.
func (q *queue) empty(position int64) bool { return len(q.items) == 0 && q.until <= position }

// front is the batch of at most limit items that follows the cursor.
func (q *queue) front(from Cursor, limit int) Batch {
	n := min(max(limit, 1), len(q.items))
	for i := range q.items[:n] {
		if q.items[i].Position == q.suspect {
			n = max(i, 1)
			break
		}
	}
	to := q.until
	if n < len(q.items) {
		to = q.items[n-1].Position
	}
	applied := q.changes[:n]
	if to == q.edge.Position {
		applied = append(slices.Clip(applied), q.edge)
	}
	return Batch{From: from, To: to, Anchors: NextAnchors(from.Anchors, applied, to), SourceID: q.sourceID, Items: q.items[:n]}
}

// drop takes an applied batch off the front.
func (q *queue) drop(batch Batch) {
	q.from = batch.To
	q.items, q.changes, q.prepared = q.items[len(batch.Items):], q.changes[len(batch.Items):], nil
}

// park replaces the front item. What follows about the same message was planned
// with its row in mind, and is read again: the letter may be delivered before
// the cursor gets there.
func (q *queue) park(code, reason string) {
	front := &q.items[0]
	front.Op, front.Code, front.Reason = OpPark, code, reason
	q.prepared = nil
	for i, c := range q.changes[1:] {
		if c.MessageID == q.changes[0].MessageID && c.AccountID == q.changes[0].AccountID {
			q.items, q.changes = q.items[:i+1], q.changes[:i+1]
			q.until, q.edge, q.more = q.changes[i].Position, mapping.Change{}, true
			return
		}
	}
}

// filled is the outcome of reading ahead.
type filled struct {
	queue queue
	err   error
}

// fill reads and maps what follows a cursor into the queue.
func (r *Replicator) fill(ctx context.Context, from Cursor) error {
	next := r.read(ctx, from)
	if next.err != nil {
		return next.err
	}
	r.queue = next.queue
	return nil
}

// read returns what follows a cursor, mapped and encoded. It touches nothing of
// the Replicator that Step changes, so it may run beside Apply.
func (r *Replicator) read(ctx context.Context, from Cursor) filled {
	chunk, err := r.opt.Source.Read(ctx, from, r.opt.BatchRows)
	if err != nil {
		return filled{queue: queue{from: from.Position}, err: err}
	}
	q := queue{from: from.Position, until: chunk.Until, edge: chunk.Edge, sourceID: chunk.SourceID, more: chunk.Head > chunk.Until}
	var names map[mapping.User]string
	if r.opt.Usernames != nil {
		names = r.opt.Usernames.Usernames(ctx, users(chunk.Changes))
	}
	q.items, q.changes = plan(r.opt.Mapper, from, chunk, names), chunk.Changes
	if q.prepared, err = r.opt.Target.Prepare(q.front(from, len(q.items))); err != nil {
		// Apply's own Prepare meets it again, where a failure can be isolated.
		q.prepared = nil
	}
	return filled{queue: q}
}

// users returns whom the changes are about, each once.
func users(changes []mapping.Change) []mapping.User {
	seen := make(map[mapping.User]struct{}, len(changes))
	var list []mapping.User
	for _, c := range changes {
		if c.Kind != mapping.KindMessage {
			continue
		}
		u := c.User()
		if _, ok := seen[u]; !ok && u.UserID != "" && u.UserID != mapping.ErasedText {
			seen[u] = struct{}{}
			list = append(list, u)
		}
	}
	return list
}
