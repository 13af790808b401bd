package store

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

// writer owns the connection that writes. Everything in it is touched by its
// goroutine only, apart from what says otherwise.
type writer struct {
	opts       Options
	db         *sql.DB
	conn       *sql.Conn
	statements *statements
	identity   *identity
	bell       *doorbell
	queue      *queue
	wal        *truncation
	metrics    *metrics
	// lastCommit is the highest created_at given so far: a clock that is set
	// back does not make later rows older.
	lastCommit int64
	// undecodedBytes is at least what the bodies in undecoded add up to. It is
	// only corrected downwards when the limit seems to be reached.
	undecodedBytes int64
	lastDropLog    time.Time
}

// run commits what comes until the queue is closed and empty, and closes the
// files then.
func (w *writer) run(ctx context.Context, reading *sql.DB) error {
	for {
		group := w.queue.take(w.opts.MaxBatch)
		if len(group) > 0 {
			w.commit(ctx, group)
		}
		empty, closed := w.queue.idle()
		if empty && closed {
			break
		}
		if w.wal.due(empty) {
			w.wal.attempt(ctx, w.conn)
		}
		if empty {
			select {
			case <-w.queue.wake:
			case <-w.wal.timer.C:
				w.wal.elapsed = true
			}
		}
	}
	// The other connections go first: the last one to close removes the WAL.
	err := reading.Close()
	w.wal.last(ctx, w.conn)
	return errors.Join(err, w.closeFiles())
}

// commit stores a group in one transaction where that works, and otherwise one
// by one, so that only those fail that fail by themselves.
func (w *writer) commit(ctx context.Context, group []*request) {
	results, err := w.transact(ctx, group)
	if err != nil && len(group) > 1 && mayBeOne(err) {
		for i := range group {
			w.commit(ctx, group[i:i+1])
		}
		return
	}
	for i, r := range group {
		if r.err = err; err == nil {
			r.result = results[i]
		}
		close(r.done)
	}
}

// transact runs one transaction. After an error nothing of it is in the file,
// with one exception: where the disk failed while COMMIT was being written, a
// crash may bring it back. Its senders were told that it failed and deliver
// again, which is then a duplicate.
func (w *writer) transact(ctx context.Context, group []*request) ([]Result, error) {
	began := time.Now()
	if _, err := w.statements.begin.ExecContext(ctx); err != nil {
		return nil, translate("begin", err)
	}
	t := w.newTransaction()
	results, err := t.store(ctx, group)
	if err == nil {
		_, err = w.statements.commit.ExecContext(ctx)
		err = translate("commit", err)
	}
	if err != nil {
		// It fails where SQLite has rolled back already.
		_, _ = w.statements.rollback.ExecContext(ctx)
		return nil, err
	}
	if t.inserted > 0 {
		w.bell.ring()
	}
	w.committed(t, time.Since(began))
	return results, w.identity.check()
}

// committed takes over what the transaction changed.
func (w *writer) committed(t *transaction, took time.Duration) {
	w.lastCommit, w.undecodedBytes = t.at, t.undecodedBytes
	w.metrics.duration.Observe(took.Seconds())
	w.metrics.rows.Observe(float64(t.inserted))
	w.metrics.pruned.Add(float64(t.pruned))
	for kind, n := range t.kinds {
		w.metrics.changes.WithLabelValues(string(kind)).Add(float64(n))
	}
	if t.tombstones {
		w.wal.mark()
	}
	if t.unsent > 0 {
		w.opts.Logger.Info("undecoded deliveries deleted or not kept, because they quote an unsent or erased message", "count", t.unsent)
	}
	if t.dropped > 0 {
		w.metrics.dropped.Add(float64(t.dropped))
		if now := w.opts.Now(); now.Sub(w.lastDropLog) >= time.Minute {
			w.lastDropLog = now
			w.opts.Logger.Warn("undecoded deliveries reached their limit; the oldest were deleted",
				"count", t.dropped, "max_bytes", w.opts.UndecodedMaxBytes)
		}
	}
}

func (w *writer) closeFiles() error {
	w.bell.close()
	w.statements.close()
	return translate("close", errors.Join(w.conn.Close(), w.db.Close()))
}
