package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

const (
	// attemptWait is how long an attempt may wait for readers. Commits wait with
	// it, so it is short.
	attemptWait = 50 * time.Millisecond
	// lastWait is the same for the attempt at shutdown.
	lastWait = 2 * time.Second
	// firstRetry and maxRetry bound the pause between attempts.
	firstRetry = 20 * time.Millisecond
	maxRetry   = time.Second
	// warnAfter is how long a text may wait before a log line says so.
	warnAfter = 30 * time.Second
)

var errReaders = errors.New("readers are in the way of a checkpoint")

// truncation removes unsent texts from the WAL. Blanking a row writes a new
// page behind the old one, and of all checkpoints only TRUNCATE removes the old
// one from the file. It needs a moment without readers, so it is tried again
// until it works.
type truncation struct {
	now    func() time.Time
	logger *slog.Logger
	// since is when the oldest unsend that waits was committed, in nanoseconds
	// since 1970; 0 where none waits. Metrics read it from other goroutines.
	since atomic.Int64
	// timer runs while an attempt waits for its time; who receives from it sets
	// elapsed. idle is true where the next quiet moment will do as well.
	timer   *time.Timer
	elapsed bool
	idle    bool
	pause   time.Duration
	warned  bool
}

func newTruncation(opts Options) *truncation {
	timer := time.NewTimer(maxRetry)
	timer.Stop()
	return &truncation{now: opts.Now, logger: opts.Logger, timer: timer}
}

// mark says that the WAL holds a text which should be gone.
func (t *truncation) mark() {
	if t.since.Load() != 0 {
		return
	}
	t.since.Store(t.now().UnixNano())
	t.idle, t.pause, t.warned = true, firstRetry, false
	// A writer that never rests still has to make a pause for this.
	t.after(maxRetry)
}

// due tells whether to make an attempt now.
func (t *truncation) due(idle bool) bool {
	if t.since.Load() == 0 {
		return false
	}
	select {
	case <-t.timer.C:
		t.elapsed = true
	default:
	}
	return t.elapsed || (idle && t.idle)
}

// attempt truncates the WAL, or sets the time for the next attempt.
func (t *truncation) attempt(ctx context.Context, conn *sql.Conn) {
	busy, err := truncate(ctx, conn, attemptWait)
	if err == nil && !busy {
		t.since.Store(0)
		t.timer.Stop()
		t.elapsed, t.idle = false, false
		return
	}
	t.idle = false
	t.after(t.pause)
	t.pause = min(2*t.pause, maxRetry)
	if waited := t.waited(); waited >= warnAfter && !t.warned {
		t.warned = true
		t.logger.Warn("an unsent text is still in the -wal file; it cannot be emptied yet", "waited", waited, "err", obstacle(err))
	}
}

// last makes the attempt at shutdown, marked or not: a copy of the database
// file alone should be complete.
func (t *truncation) last(ctx context.Context, conn *sql.Conn) {
	t.timer.Stop()
	busy, err := truncate(ctx, conn, lastWait)
	if err != nil || busy {
		t.logger.Warn("the -wal file could not be emptied at shutdown; keep it with the database",
			"unsent_text_in_wal", t.since.Load() != 0, "err", obstacle(err))
		return
	}
	t.since.Store(0)
}

// obstacle is what kept the WAL from being emptied.
func obstacle(err error) error {
	if err == nil {
		return errReaders
	}
	return err
}

// waited is how long the oldest unsend has been waiting, 0 where none is.
func (t *truncation) waited() time.Duration {
	since := t.since.Load()
	if since == 0 {
		return 0
	}
	return max(0, t.now().Sub(time.Unix(0, since)))
}

func (t *truncation) after(pause time.Duration) {
	t.elapsed = false
	t.timer.Reset(pause)
}

// truncate reports busy where the WAL could not be emptied within wait.
func truncate(ctx context.Context, conn *sql.Conn, wait time.Duration) (busy bool, err error) {
	const op = "truncate the wal"
	if err := setBusyTimeout(ctx, conn, wait); err != nil {
		return false, translate(op, err)
	}
	var state, frames, moved int
	err = conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&state, &frames, &moved)
	return state != 0, translate(op, errors.Join(err, setBusyTimeout(ctx, conn, busyTimeout)))
}

func setBusyTimeout(ctx context.Context, conn *sql.Conn, timeout time.Duration) error {
	_, err := conn.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", timeout.Milliseconds()))
	return err
}
