package sqlite_test

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sidestream/replicator"
)

func isCanceled(err error) bool { return errors.Is(err, context.Canceled) }

// fileSizes are those of the database, -wal and -shm; -1 where one is absent.
func fileSizes(tb testing.TB, path string) (sizes [3]int64) {
	tb.Helper()
	for i, suffix := range []string{"", "-wal", "-shm"} {
		sizes[i] = -1
		if info, err := os.Lstat(path + suffix); err == nil {
			sizes[i] = info.Size()
		}
	}
	return sizes
}

func TestSource_does_not_let_the_wal_grow(t *testing.T) {
	// The same writes, with checkpoints every 20 pages, with and without a source
	// that polls between them.
	grow := func(polls bool) int64 {
		w := newWriter(t)
		w.exec("PRAGMA wal_autocheckpoint = 20")
		s := newSource(t, w.path)
		var after replicator.Cursor
		for range 600 {
			w.messages(1)
			if !polls {
				continue
			}
			after = apply(after, read(t, s, after, 10))
			if _, err := s.Pending(t.Context(), after.Position); err != nil {
				t.Fatal(err)
			}
		}
		if polls && after.Position != 600 {
			t.Errorf("read up to %d", after.Position)
		}
		return fileSizes(t, w.path)[1]
	}
	alone, polled := grow(false), grow(true)
	if polled > alone+alone/4 {
		t.Errorf("the WAL has %d bytes with a source, %d without", polled, alone)
	}
}

func TestSource_leaves_the_writer_its_truncating_checkpoint(t *testing.T) {
	w := newWriter(t)
	s := newSource(t, w.path)
	var after replicator.Cursor
	for range 20 {
		w.messages(5)
		after = apply(after, read(t, s, after, 100))
		// The first column tells whether somebody was in the way.
		var busy, log, done int
		if err := w.db.QueryRowContext(t.Context(), "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &log, &done); err != nil {
			t.Fatal(err)
		}
		if busy != 0 {
			t.Fatal("a reader was in the way of a checkpoint")
		}
		if size := fileSizes(t, w.path)[1]; size != 0 {
			t.Fatalf("the WAL keeps %d bytes", size)
		}
	}
}

func TestSource_reads_while_the_writer_writes(t *testing.T) {
	w := newWriter(t)
	w.exec("PRAGMA wal_autocheckpoint = 20")
	s := newSource(t, w.path)
	const total = 1500
	var group sync.WaitGroup
	stop := make(chan struct{})
	group.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := s.Pending(t.Context(), 0); err != nil {
				t.Error(err)
				return
			}
		}
	})
	group.Go(func() {
		for range total / 3 {
			w.messages(3)
		}
	})
	var after replicator.Cursor
	var got []int64
	for after.Position < total && t.Context().Err() == nil && !t.Failed() {
		chunk := read(t, s, after, 50)
		// What is compared and what is read are of one snapshot.
		if n := len(chunk.Changes); n < 50 && chunk.Until != chunk.Head {
			t.Fatalf("%d changes up to %d, and the head is at %d", n, chunk.Until, chunk.Head)
		}
		got = append(got, positions(chunk.Changes)...)
		after = apply(after, chunk)
	}
	close(stop)
	group.Wait()
	want := make([]int64, total)
	for i := range want {
		want[i] = int64(i) + 1
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
