package store

import (
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// clock is a time that a test sets.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now }

func (c *clock) advance(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.now = c.now.Add(d) }

func TestTruncation_waits_for_readers_and_says_so(t *testing.T) {
	const pending = "sidestream_writer_unsend_checkpoint_pending_seconds"
	now, registry, lines := &clock{now: time.Now()}, prometheus.NewRegistry(), &logs{}
	s := openStore(t, func(o *Options) { o.Now, o.Registerer, o.Logger = now.Now, registry, lines.logger() })
	commit(t, s, delivery(message("m", secret(1))))
	settled(t, s)

	reader := otherConn(t, s.path())

	run(t, reader, "BEGIN")
	var n int
	if err := reader.QueryRowContext(t.Context(), "SELECT count(*) FROM messages").Scan(&n); err != nil {
		t.Fatal(err)
	}
	commit(t, s, delivery(unsend("m")))
	now.advance(time.Minute)
	commit(t, s, delivery(message("n", "the writer goes on"), unsend("o")))
	eventually(t, "a log line says who is in the way", func() bool { return lines.count("readers are in the way") == 1 })
	if got := metric(t, registry, pending); got != 60 {
		t.Errorf("pending for %v s, want 60: the oldest counts", got)
	}
	if !secrets(t, s.path())[secret(1)] {
		t.Error("the text is gone already: the reader would not see its snapshot")
	}
	run(t, reader, "COMMIT")
	settled(t, s)
	if got := metric(t, registry, pending); got != 0 {
		t.Errorf("pending for %v s", got)
	}
	if found := secrets(t, s.path()); len(found) != 0 {
		t.Errorf("%v left", found)
	}
	if info := fileSize(s.path() + "-wal"); info != 0 {
		t.Errorf("the wal has %v bytes", info)
	}
}

func TestTruncation_due(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wal := newTruncation(Options{Now: time.Now})
		if wal.due(true) {
			t.Error("due with nothing to remove")
		}
		wal.mark()
		if wal.due(false) || !wal.due(true) {
			t.Error("a quiet moment is not awaited, or not taken")
		}
		<-time.After(maxRetry / 2)
		wal.mark()
		<-time.After(maxRetry / 2)
		if !wal.due(false) {
			t.Error("a writer that never rests never makes an attempt")
		}
		wal.after(firstRetry)
		wal.idle = false
		if wal.due(true) {
			t.Error("no pause after an attempt that failed")
		}
		<-time.After(firstRetry)
		if !wal.due(true) {
			t.Error("no second attempt")
		}
		if got := wal.waited(); got != maxRetry+firstRetry {
			t.Errorf("waited %v", got)
		}
	})
}

func TestTruncation_at_start_removes_what_a_killed_writer_left(t *testing.T) {
	path := filepath.Join(t.TempDir(), "messages.db")
	s := openAt(t, path, nil)
	defer closeStore(t, s)
	settled(t, s)
	// A second connection does what a writer does that is killed before its
	// checkpoint.
	other := otherConn(t, path)
	run(t, other, "INSERT INTO undecoded (received_at, reason, body) VALUES (1, 'a', '"+secret(1)+"')")
	run(t, other, "PRAGMA secure_delete = ON")
	run(t, other, "DELETE FROM undecoded")
	if !secrets(t, path)[secret(1)] {
		t.Fatal("the text is not in the wal to begin with")
	}
	next := openAt(t, path, nil)
	defer closeStore(t, next)
	settled(t, next)
	if found := secrets(t, path); len(found) != 0 {
		t.Errorf("%v left", found)
	}
}

func TestTruncation_at_close(t *testing.T) {
	s := openAt(t, filepath.Join(t.TempDir(), "messages.db"), nil)
	commit(t, s, delivery(message("m", secret(1))))
	commit(t, s, delivery(unsend("m")))
	closeStore(t, s)
	if found := secrets(t, s.path()); len(found) != 0 {
		t.Errorf("%v left", found)
	}
}
