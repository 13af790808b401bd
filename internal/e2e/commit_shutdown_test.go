package e2e_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"sidestream/internal/mysql"
	"sidestream/internal/testkit/mariadb"
	"sidestream/replicator"
)

// TestCommit_cancelled stops a loop at random moments without the patience that
// a shutdown normally has, which cancels statements and COMMITs in the middle,
// and goes on with a new loop, as after a restart.
func TestCommit_cancelled(t *testing.T) {
	const rounds = 150
	db, f := mariadb.Shared(t).Database(t), newFeed(t)
	random := rand.New(rand.NewPCG(6, 6))
	for range rounds {
		f.say(t, 20)
		l := newLoop(t, f.path, db, func(_ *mysql.Options, o *replicator.Options) {
			o.BatchRows = 1 + random.IntN(9)
			o.ShutdownTimeout = time.Nanosecond
			// Wakes nobody: what is there is applied at once.
			o.Wakeups = make(chan struct{})
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1000+random.IntN(25_000))*time.Microsecond)
		if err := l.Run(ctx); err != nil {
			t.Error(err)
		}
		cancel()
		_ = l.target.Close()
		_ = l.source.Close()
	}
	left := f.head() - newestPosition(t, db)
	last := newLoop(t, f.path, db)
	last.persist(t)
	sums := f.wantAll(t, db)
	t.Logf("%d loops cancelled, %d changes were left for the last one: %v", rounds, left, sums)
}

func newestPosition(t *testing.T, db mariadb.DB) int64 {
	t.Helper()
	return db.Int(t, "SELECT position FROM sidestream_cursor WHERE source = 'main'")
}
