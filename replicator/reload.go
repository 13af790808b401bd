package replicator

import (
	"context"
	"fmt"
	"slices"
)

// doubt is an attempt whose COMMIT got no answer.
type doubt struct {
	attempt string
	batch   Batch
}

// maxDoubts is how many doubts are remembered: a CRM may leave COMMITs without
// an answer for days.
const maxDoubts = 100

// remember adds a doubt. The oldest of too many counts as rolled back: the
// compare-and-sets of all later attempts matched, so it holds no lock any more.
func (r *Replicator) remember(d doubt) {
	if len(r.doubts) == maxDoubts {
		r.metrics.ambiguous.WithLabelValues("rolled_back").Inc()
		r.doubts = slices.Delete(r.doubts, 0, 1)
	}
	r.doubts = append(r.doubts, d)
}

// reload is the one path that makes the cursor certain: at start, after a
// missed compare-and-set, after a doubtful COMMIT, after any failure, and now
// and then while idle. What it finds is compared with what this process knows.
func (r *Replicator) reload(ctx context.Context) error {
	found, err := r.opt.Target.Load(ctx)
	if err != nil {
		return err
	}
	r.answered = true
	if !found.Known {
		if r.cursor.Known {
			return &Failure{
				Class: Blocked, Reason: "target_cursor_lost",
				Detail: fmt.Sprintf("the target has no cursor any more; this process had applied up to position %d", r.cursor.Position),
				Hint:   fmt.Sprintf("restore the state tables; without them look up the newest message that the CRM still holds, and run: replicator cursor init --at ITS_POSITION (%d where it has lost none)", r.cursor.Position),
			}
		}
		if found, err = r.begin(ctx); err != nil {
			return err
		}
	}
	if err := r.reconcile(found); err != nil {
		return err
	}
	if found.Generation != r.cursor.Generation || found.Position != r.cursor.Position || found.Attempt != r.cursor.Attempt || !r.cursor.Known {
		// Whoever wrote this row, at the same position too, may have read another
		// file.
		r.queue, r.own, r.failures = queue{}, false, failures{}
	}
	r.cursor, r.loaded, r.loadedAt, r.recognised = found, true, r.opt.Now(), false
	return nil
}

// reconcile settles doubts by the attempt token and refuses a cursor that went
// back by itself.
func (r *Replicator) reconcile(found Cursor) error {
	for i, d := range r.doubts {
		if d.attempt == found.Attempt {
			r.metrics.ambiguous.WithLabelValues("committed").Inc()
			r.opt.Logger.Info("a COMMIT without an answer was found committed", "position", d.batch.To)
			r.metrics.countBatch(d.batch, Applied{}, r.opt.Now())
			r.doubts = append(r.doubts[:i], r.doubts[i+1:]...)
			// At most one attempt can follow a cursor: the others from the same
			// position can not commit any more.
			r.resolveDoubts("rolled_back")
			return nil
		}
	}
	switch {
	case !r.cursor.Known || found.Decision != r.cursor.Decision || found.Generation > r.cursor.Generation:
		r.resolveDoubts("superseded")
		return nil
	case found.Position < r.cursor.Position || found.Generation < r.cursor.Generation:
		return &Failure{
			Class: Blocked, Reason: "target_cursor_behind",
			Detail: fmt.Sprintf("the target's cursor is at position %d, but this process has applied up to %d: the CRM was restored from an older copy, or this server is a replica that lags", found.Position, r.cursor.Position),
			Hint:   "if the CRM was restored, run: replicator cursor resume (it sends again what was lost); else correct crm.addresses",
		}
	case found.Position > r.cursor.Position:
		// Another replicator of the same source is ahead. Its anchors are checked
		// against the own file by the next read.
		r.resolveDoubts("superseded")
	}
	return nil
}

// resolveDoubts counts how the attempts that were still open ended.
func (r *Replicator) resolveDoubts(resolution string) {
	for range r.doubts {
		r.metrics.ambiguous.WithLabelValues(resolution).Inc()
	}
	r.doubts = nil
}

// begin starts replication at the beginning, where nobody has to decide.
func (r *Replicator) begin(ctx context.Context) (Cursor, error) {
	chunk, err := Begin(ctx, r.opt.Source, r.opt.Target)
	if err != nil {
		return Cursor{}, err
	}
	first := Cursor{Known: true, Generation: 1, SourceID: chunk.SourceID, Attempt: r.opt.Token()}
	if err := r.opt.Target.Init(ctx, first); err != nil {
		return Cursor{}, err
	}
	r.opt.Logger.Info("replication begins at the beginning", "source_id", chunk.SourceID, "head", chunk.Head)
	return first, nil
}
