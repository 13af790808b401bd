package replicator

import (
	"context"
	"strconv"
	"time"

	"sidestream/mapping"
)

// failures is what happened since the last batch that went through.
type failures struct {
	count int
	// position is that of the front item of the last failed batch.
	position int64
	// unknown counts failures in a row, at this position, that the table of
	// classes does not hold.
	unknown int
}

const (
	// persistent is after how many failures in a row, which with the backoff
	// between them take longer than a restart of a server, an unknown error is
	// taken for one of the row's content.
	persistent = 8
	// smallAfter is after how many failures in a row a batch holds one change
	// only, and afterDataRows how many after a row was refused for its content.
	smallAfter    = 2
	afterDataRows = 8
)

// refused decides what a failed batch means. A nil result means that it was
// dealt with and the next step goes on at once.
func (r *Replicator) refused(ctx context.Context, batch Batch, err error) error {
	f := AsFailure(err)
	r.noteFailure(batch, f)
	switch {
	case f.Class == Data:
		return r.isolate(ctx, batch, f)
	case f.Unknown && r.failures.unknown >= persistent && ofRow(batch):
		return r.isolate(ctx, batch, f)
	default:
		// Whatever it was: what the target holds is read again before anything
		// else, and the queue stays where the cursor turns out unchanged.
		r.loaded = false
		return f
	}
}

func (r *Replicator) noteFailure(batch Batch, f *Failure) {
	front := batch.To
	if len(batch.Items) > 0 {
		front = batch.Items[0].Position
	}
	if front != r.failures.position {
		r.failures = failures{position: front}
	}
	r.failures.count++
	if f.Unknown {
		r.failures.unknown++
	} else {
		r.failures.unknown = 0
	}
	if f.Reason == ReasonMoved {
		return
	}
	// A failing INSERT burns as many of the CRM's ids as it has rows. What is
	// refused for its content goes on in small statements, see isolate.
	if f.Class != Data && r.failures.count >= smallAfter {
		r.limit = 1
	}
	r.metrics.applyFailures.WithLabelValues(string(f.Class)).Inc()
}

// isolate narrows a data failure down to the row, and parks the row where a
// plain record of the same shape is accepted in its place: else it is the table
// that is wrong, not the row.
func (r *Replicator) isolate(ctx context.Context, batch Batch, f *Failure) error {
	if n := len(batch.Items); n > 1 {
		r.limit = n / 2
		if k := itemOfRow(batch, f.Row); k >= 0 {
			r.queue.suspect = batch.Items[k].Position
		}
		r.limit = min(r.limit, afterDataRows)
		return nil
	}
	// Whatever it turns out to be, a large statement would be refused as well.
	r.limit = 1
	if len(batch.Items) == 0 {
		r.loaded = false
		return f
	}
	item := batch.Items[0]
	if item.Op == OpPark || item.Op == OpPass {
		r.loaded = false
		return &Failure{
			Class: Blocked, Reason: "state_refused", Code: f.Code,
			Detail: "the state tables refuse a row (" + f.Reason + ")", Hint: "compare them with: replicator schema", Err: f,
		}
	}
	if err := r.opt.Target.Probe(ctx, canary(item)); err != nil {
		r.loaded = false
		probe := AsFailure(err)
		if probe.Class == Transient && !probe.Unknown {
			return probe
		}
		return &Failure{
			Class: Blocked, Reason: "target_refuses_all", Code: f.Code,
			Detail: "the CRM refuses a plain record too (" + f.Reason + "), so it is the table, not the row at position " + strconv.FormatInt(item.Position, 10),
			Hint:   "run: replicator check", Err: f,
		}
	}
	r.queue.park(f.Code, f.Reason)
	r.opt.Logger.Warn("a change is parked as a dead letter", "position", item.Position, "reason", f.Reason, "code", f.Code, "next", "replicator dead-letters list")
	return nil
}

// ofRow tells whether a batch is down to one change that writes to the CRM.
func ofRow(batch Batch) bool {
	return len(batch.Items) == 1 && batch.Items[0].Op != OpPark && batch.Items[0].Op != OpPass
}

// itemOfRow returns the index of the item that is the row-th insert, or -1.
func itemOfRow(batch Batch, row int) int {
	if row < 1 {
		return -1
	}
	for i := range batch.Items {
		if batch.Items[i].Op != OpInsert {
			continue
		}
		if row--; row == 0 {
			return i
		}
	}
	return -1
}

// canary is a record that nobody could refuse for what it contains.
func canary(item Item) mapping.Record {
	c := item.Record
	if item.Op == OpUpdate || item.Op == OpDelete {
		c = item.Was
	}
	return mapping.Record{
		UserID: "1", Username: "1", Direction: c.Direction, Message: "-",
		CreatedAt: time.Date(2020, time.January, 1, 0, 0, 0, 0, time.UTC),
		MessageID: "1", AccountID: "1", SenderID: "1", RecipientID: "1", Status: "sent",
	}
}
