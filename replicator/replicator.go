package replicator

import (
	"context"
	"sync"
	"time"
)

// Replicator is the loop. Run, Drain and Step belong to one goroutine; State
// and the metrics may be read from any.
type Replicator struct {
	opt     Options
	metrics *metrics

	// Only touched by the goroutine that runs Step.

	// cursor is the last one known to be in the target; loaded is false where it
	// must be read again before anything is applied.
	cursor   Cursor
	loaded   bool
	loadedAt time.Time
	// own is true where this process has moved the cursor itself since it was
	// read from the target with a change that is not its own; recognised where
	// the CRM's rows around the cursor were compared with the log since then.
	own        bool
	recognised bool
	// answered is true where the target answered as it should in this step.
	answered bool
	// queue holds read and mapped changes behind the cursor, in order.
	queue queue
	// doubts are the attempts whose COMMIT got no answer and whose outcome is
	// not known yet.
	doubts []doubt
	// limit is how many changes the next batch may hold: 1 after repeated
	// failures, growing with each success, slowly, because a batch that is
	// refused burns as many of the CRM's ids as it has rows.
	limit    int
	failures failures
	loggedAt time.Time

	mu    sync.Mutex
	state State
}

// New returns a Replicator, or an error that names the bad option.
func New(opt Options) (*Replicator, error) {
	if err := opt.setDefaults(); err != nil {
		return nil, err
	}
	r := &Replicator{opt: opt, limit: opt.BatchRows}
	r.state = State{Phase: Starting, Since: opt.Now()}
	r.metrics = newMetrics(opt.Registerer, r)
	return r, nil
}

// Run replicates until ctx ends. Then it goes on with what is pending for at
// most ShutdownTimeout, and returns nil. A batch is finished or rolled back,
// never left in between.
func (r *Replicator) Run(ctx context.Context) error {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(r.opt.ShutdownTimeout, stop)
		context.AfterFunc(work, func() { timer.Stop() })
	})()
	for work.Err() == nil {
		progress, err := r.Step(work)
		switch {
		case err != nil:
			if ctx.Err() != nil || !r.waitToRetry(ctx, err) {
				return nil
			}
		case !progress:
			if ctx.Err() != nil || !r.waitForWork(ctx) {
				return nil
			}
		}
	}
	return nil
}

// Drain applies what is pending and returns when there is nothing left, or with
// the first failure that waiting does not mend within patience.
func (r *Replicator) Drain(ctx context.Context, patience time.Duration) error {
	deadline := r.opt.Now().Add(patience)
	for {
		progress, err := r.Step(ctx)
		switch {
		case err == nil && !progress:
			return nil
		case err == nil:
			continue
		case AsFailure(err).Class == Blocked || r.opt.Now().After(deadline):
			return err
		case !r.waitToRetry(ctx, err):
			return ctx.Err()
		}
	}
}

// Step does one step of the algorithm: it reads the cursor where that is not
// certain, reads changes where none are queued, and applies one batch while the
// next is read and mapped. It reports whether there was anything to do.
func (r *Replicator) Step(ctx context.Context) (progress bool, err error) {
	r.answered = false
	r.beginStep()
	defer func() { r.observe(progress, err) }()
	if !r.loaded {
		if err := r.reload(ctx); err != nil {
			return false, err
		}
	}
	if r.queue.from != r.cursor.Position || r.queue.empty(r.cursor.Position) {
		if err := r.fill(ctx, r.cursor); err != nil {
			r.loaded = false
			return false, err
		}
	}
	if !r.recognised {
		if err := r.recognise(ctx); err != nil {
			r.loaded = false
			return false, err
		}
		r.recognised = true
	}
	if r.queue.empty(r.cursor.Position) {
		return false, nil
	}
	return true, r.applyNext(ctx)
}

// applyNext applies the front of the queue. Where that empties the queue and
// the source has more, the next changes are read and mapped meanwhile.
func (r *Replicator) applyNext(ctx context.Context) error {
	batch := r.queue.front(r.cursor, r.limit)
	prepared := r.queue.prepared
	if prepared == nil || prepared.Batch().To != batch.To {
		var err error
		if prepared, err = r.opt.Target.Prepare(batch); err != nil {
			return r.refused(ctx, batch, err)
		}
	}

	attempt := r.opt.Token()
	var ahead chan filled
	if r.queue.more && len(batch.Items) == len(r.queue.items) {
		ahead = make(chan filled, 1)
		go func() { ahead <- r.read(ctx, after(batch, attempt)) }()
	}
	err := r.apply(ctx, batch, prepared, attempt)
	if ahead == nil {
		return err
	}
	// The goroutine is ours: it has ended before Step returns.
	next := <-ahead
	if err != nil || next.queue.from != r.cursor.Position {
		// The batch was refused and is dealt with in pieces: what was read ahead
		// does not follow the cursor.
		return err
	}
	if next.err != nil {
		r.loaded = false
		return next.err
	}
	r.queue = next.queue
	return nil
}

func (r *Replicator) apply(ctx context.Context, batch Batch, prepared Prepared, attempt string) error {
	started := r.opt.Now()
	applied, err := r.opt.Target.Apply(ctx, prepared, attempt)
	if err != nil {
		if AsFailure(err).Doubtful {
			r.remember(doubt{attempt: attempt, batch: batch})
		}
		return r.refused(ctx, batch, err)
	}
	now := r.opt.Now()
	r.metrics.applyDuration.Observe(now.Sub(started).Seconds())
	if took := now.Sub(started); took > slowApply {
		r.opt.Logger.Warn("the CRM is slow", "took", took.Round(time.Millisecond), "changes", len(batch.Items))
	}
	r.resolveDoubts("rolled_back")
	r.committed(batch, applied, attempt, now)
	return nil
}

// slowApply is from when on a transaction is worth a line in the log.
const slowApply = 5 * time.Second

// committed takes over what a transaction that is known to be committed did.
func (r *Replicator) committed(batch Batch, applied Applied, attempt string, now time.Time) {
	r.queue.drop(batch)
	r.cursor = after(batch, attempt)
	r.cursor.UpdatedAt = now
	r.loadedAt, r.answered, r.own = now, true, true
	r.limit = min(r.limit+afterDataRows, r.opt.BatchRows)
	r.failures = failures{}
	r.metrics.countBatch(batch, applied, now)
}

// after is the cursor that an attempt to apply a batch leaves behind.
func after(batch Batch, attempt string) Cursor {
	c := batch.From
	c.SourceID, c.Position, c.Anchors, c.Attempt = batch.SourceID, batch.To, batch.Anchors, attempt
	c.AppliedTotal += int64(len(batch.Items))
	return c
}
