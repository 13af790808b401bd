package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	sqlite3 "github.com/mattn/go-sqlite3"
	"github.com/prometheus/client_golang/prometheus"

	"sidestream/mapping"
)

func TestStore_stores_every_column(t *testing.T) {
	now := time.Date(2026, 11, 23, 10, 0, 0, 123_456_789, time.UTC)
	s := openStore(t, func(o *Options) { o.Now = func() time.Time { return now } })
	text, attachments := "héllo 👋\x00 after NUL", `[{"type":"image"}]`
	want := mapping.Change{
		Position: 1, MessageID: strings.Repeat("aWdf", 41), Kind: mapping.KindEdit, Version: 3, AccountID: "1", SenderID: "2",
		RecipientID: "3", Direction: mapping.Outbound, Text: &text, Attachments: &attachments, Timestamp: 1_790_000_000_001,
		CommittedAt: now.UnixMilli(),
	}
	given := want
	given.Position, given.CommittedAt = 99, 99
	commit(t, s, delivery(given))

	var got mapping.Change
	scan(t, s, `SELECT seq, id, kind, version, account_id, sender_id, recipient_id, direction, message_text, attachments, timestamp, created_at
		FROM messages`, &got.Position, &got.MessageID, &got.Kind, &got.Version, &got.AccountID, &got.SenderID, &got.RecipientID,
		&got.Direction, &got.Text, &got.Attachments, &got.Timestamp, &got.CommittedAt)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestStore_created_at_never_goes_back(t *testing.T) {
	var mu sync.Mutex
	now := time.UnixMilli(1_790_000_000_000)
	set := func(to time.Time) { mu.Lock(); defer mu.Unlock(); now = to }
	s := openStore(t, func(o *Options) { o.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now } })
	commit(t, s, delivery(message("1", "a")))
	set(now.Add(-time.Hour))
	commit(t, s, delivery(message("2", "b")))
	if n := count(t, s, "SELECT count(DISTINCT created_at) FROM messages"); n != 1 {
		t.Error("the clock went back, and created_at with it")
	}
}

func TestStore_settings_are_durable_and_thorough(t *testing.T) {
	s := openStore(t, nil)
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "synchronous": "2", "secure_delete": "1", "temp_store": "2", "busy_timeout": "5000",
		"page_size": "4096", "wal_autocheckpoint": "1000",
	} {
		settled(t, s) // an attempt at a checkpoint changes the timeout for its time
		var got string
		if err := s.writer.conn.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %q, %v; want %q", pragma, got, err, want)
		}
	}
	if _, err := s.reading.ExecContext(t.Context(), "DELETE FROM messages"); err == nil {
		t.Error("the reading connection writes")
	}
}

func TestStore_Commit_of_nothing(t *testing.T) {
	s := openStore(t, nil)
	if r := commit(t, s, Delivery{}); r != (Result{}) {
		t.Errorf("%+v", r)
	}
}

func TestStore_Commit_from_many_goroutines(t *testing.T) {
	s := openStore(t, func(o *Options) { o.MaxBatch = 16 })
	const goroutines, each = 64, 20
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range each {
				result, err := s.Commit(t.Context(), delivery(message(fmt.Sprintf("%d-%d", g, i), "text")))
				if err != nil || result.Inserted != 1 {
					t.Errorf("%+v, %v", result, err)
				}
			}
		})
	}
	wg.Wait()
	if n := count(t, s, "SELECT count(*) FROM messages WHERE seq <= 1280"); n != goroutines*each {
		t.Errorf("%d rows", n)
	}
}

// hold keeps the writer waiting for a lock until release is called, so that
// deliveries pile up behind it.
func hold(t *testing.T, s *Store) (release func()) {
	t.Helper()
	settled(t, s)
	other := otherConn(t, s.path())
	run(t, other, "BEGIN IMMEDIATE")
	first := &request{delivery: delivery(message("held", "first")), done: make(chan struct{})}
	if !s.queue.add(first) {
		t.Fatal("no room for the delivery in front")
	}
	eventually(t, "the writer waits for the lock", func() bool { return s.queue.len() == 0 })
	return func() {
		t.Helper()
		run(t, other, "ROLLBACK")
		if <-first.done; first.err != nil {
			t.Errorf("the delivery in front: %v", first.err)
		}
	}
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting)
}

func TestStore_Commit_in_a_group(t *testing.T) {
	bad := map[string]mapping.Change{
		"an_unknown_kind":      change("like", "bad", "x"),
		"an_unknown_direction": func() mapping.Change { c := message("bad", "x"); c.Direction = "sideways"; return c }(),
	}
	for name, change := range bad {
		t.Run("isolates_"+name, func(t *testing.T) {
			s := openStore(t, nil)
			release := hold(t, s)
			const members = 9
			results, errs := make([]Result, members), make([]error, members)
			var wg sync.WaitGroup
			for i := range members {
				d := delivery(message(fmt.Sprint("good-", i), "text"))
				if i == 4 {
					d = delivery(message("with-bad", "text"), change)
				}
				wg.Go(func() { results[i], errs[i] = s.Commit(t.Context(), d) })
				eventually(t, "it waits", func() bool { return s.queue.len() == i+1 })
			}
			release()
			wg.Wait()
			for i := range members {
				switch {
				case i != 4 && (errs[i] != nil || results[i].Inserted != 1):
					t.Errorf("a neighbour: %+v, %v", results[i], errs[i])
				case i == 4 && (!errors.Is(errs[i], ErrRefused) || !errors.Is(errs[i], ErrStore) || results[i] != Result{}):
					t.Errorf("the culprit: %+v, %v", results[i], errs[i])
				}
			}
			if n := count(t, s, "SELECT count(*) FROM messages WHERE id LIKE 'good-%'"); n != members-1 {
				t.Errorf("%d good rows", n)
			}
			if n := count(t, s, "SELECT count(*) FROM messages WHERE id LIKE '%bad'"); n != 0 {
				t.Error("a part of the bad delivery is stored")
			}
			if n := count(t, s, "SELECT max(seq) FROM messages"); n != members {
				t.Errorf("highest number %d: the bad delivery used some up", n)
			}
		})
	}
	t.Run("shares_one_transaction", func(t *testing.T) {
		registry := prometheus.NewRegistry()
		s := openStore(t, func(o *Options) { o.Registerer = registry })
		release := hold(t, s)
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() { commit(t, s, delivery(message(fmt.Sprint(i), "text"))) })
		}
		eventually(t, "all wait", func() bool { return s.queue.len() == 20 })
		release()
		wg.Wait()
		if n := metric(t, registry, "sidestream_writer_commit_duration_seconds"); n != 2 {
			t.Errorf("%v transactions for the first and 20 others", n)
		}
	})
}

func TestStore_Commit_when_overloaded(t *testing.T) {
	t.Run("answers_at_once_when_the_queue_is_full", func(t *testing.T) {
		s := openStore(t, func(o *Options) { o.MaxPending = 2 })
		release := hold(t, s)
		var wg sync.WaitGroup
		for i := range 2 {
			wg.Go(func() { commit(t, s, delivery(message(fmt.Sprint(i), "text"))) })
		}
		eventually(t, "both wait", func() bool { return s.queue.len() == 2 })
		if _, err := s.Commit(t.Context(), delivery(message("late", "text"))); !errors.Is(err, ErrOverloaded) {
			t.Errorf("got %v", err)
		}
		release()
		wg.Wait()
		commit(t, s, delivery(message("late", "text")))
		if n := count(t, s, "SELECT count(*) FROM messages"); n != 4 {
			t.Errorf("%d rows", n)
		}
	})
	t.Run("bounds_the_bytes_that_wait", func(t *testing.T) {
		s := openStore(t, func(o *Options) { o.MaxPendingBytes = 10_000 })
		release := hold(t, s)
		large := strings.Repeat("x", 20_000)
		var wg sync.WaitGroup
		wg.Go(func() { commit(t, s, delivery(message("large", large))) })
		eventually(t, "it waits", func() bool { return s.queue.len() == 1 })
		if _, err := s.Commit(t.Context(), delivery(message("small", "x"))); !errors.Is(err, ErrOverloaded) {
			t.Errorf("got %v", err)
		}
		release()
		wg.Wait()
		commit(t, s, delivery(message("small", "x")))
	})
	t.Run("waits_no_longer_than_its_context", func(t *testing.T) {
		s := openStore(t, nil)
		release := hold(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Commit(ctx, delivery(message("given-up", "text"))); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		release()
		commit(t, s, delivery(message("next", "text")))
		if n := count(t, s, "SELECT count(*) FROM messages"); n != 3 {
			t.Errorf("%d rows; what was accepted is stored", n)
		}
	})
}

func TestStore_Close(t *testing.T) {
	t.Run("drains_what_was_accepted", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "messages.db")
		s := openAt(t, path, nil)
		release := hold(t, s)
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() { commit(t, s, delivery(message(fmt.Sprint(i), "text"))) })
		}
		eventually(t, "all wait", func() bool { return s.queue.len() == 10 })

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Close(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("closing without time: %v", err)
		}
		if _, err := s.Commit(t.Context(), delivery(message("late", "text"))); !errors.Is(err, ErrOverloaded) {
			t.Errorf("while closing: %v", err)
		}
		release()
		wg.Wait()
		closeStore(t, s)
		closeStore(t, s)
		if _, err := s.Commit(t.Context(), delivery(message("late", "text"))); !errors.Is(err, ErrOverloaded) {
			t.Errorf("when closed: %v", err)
		}
		s = openAt(t, path, nil)
		defer closeStore(t, s)
		if n := count(t, s, "SELECT count(*) FROM messages"); n != 11 {
			t.Errorf("%d rows", n)
		}
	})
	t.Run("leaves_everything_in_the_database_file_although_a_reader_is_attached", func(t *testing.T) {
		dir := t.TempDir()
		s := openAt(t, filepath.Join(dir, "messages.db"), nil)
		reader := otherConn(t, s.path())
		run(t, reader, "PRAGMA query_only = ON")
		for i := range 50 {
			commit(t, s, delivery(message(fmt.Sprint(i), "text")))
		}
		var n int
		if err := reader.QueryRowContext(t.Context(), "SELECT count(*) FROM messages").Scan(&n); err != nil {
			t.Fatal(err)
		}
		closeStore(t, s)
		if info, err := os.Stat(s.path() + "-wal"); err != nil || info.Size() != 0 {
			t.Errorf("the wal is not empty: %v, %v", info, err)
		}
	})
}

func TestStore_Commit_while_another_process_writes(t *testing.T) {
	s := openStore(t, nil)
	other := otherConn(t, s.path())
	var wg sync.WaitGroup
	for i := range 50 {
		run(t, other, "BEGIN IMMEDIATE")
		wg.Go(func() { commit(t, s, delivery(message(fmt.Sprint(i), "text"))) })
		run(t, other, "COMMIT")
	}
	wg.Wait()
	if n := count(t, s, "SELECT count(*) FROM messages"); n != 50 {
		t.Errorf("%d rows", n)
	}
}

func TestStore_Commit_into_a_locked_database(t *testing.T) {
	s := openStore(t, nil)
	settled(t, s)
	run(t, s.writer.conn, "PRAGMA busy_timeout = 10")
	other := otherConn(t, s.path())
	run(t, other, "BEGIN IMMEDIATE")
	for range 2 {
		_, err := s.Commit(t.Context(), delivery(message("m", "text")))
		if !errors.Is(err, ErrStore) || errors.Is(err, ErrRefused) || errors.Is(err, ErrOverloaded) {
			t.Errorf("got %v", err)
		}
	}
	run(t, other, "ROLLBACK")
	if r := commit(t, s, delivery(message("m", "text"))); r.Inserted != 1 {
		t.Errorf("%+v", r)
	}
}

func TestStore_Commit_on_a_full_disk(t *testing.T) {
	s := openStore(t, nil)
	commit(t, s, delivery(message("before", "text")))
	settled(t, s)
	var pages int
	if err := s.writer.conn.QueryRowContext(t.Context(), "PRAGMA page_count").Scan(&pages); err != nil {
		t.Fatal(err)
	}
	run(t, s.writer.conn, fmt.Sprintf("PRAGMA max_page_count = %d", pages+2))
	large := delivery(message("large", strings.Repeat("x", 50_000)))
	if _, err := s.Commit(t.Context(), large); !errors.Is(err, ErrFull) || !errors.Is(err, ErrStore) || errors.Is(err, ErrRefused) {
		t.Errorf("got %v", err)
	}
	commit(t, s, delivery(message("small", "fits still")))
	run(t, s.writer.conn, "PRAGMA max_page_count = 1000000")
	if r := commit(t, s, large); r.Inserted != 1 {
		t.Errorf("after there was room again: %+v", r)
	}
	if n := count(t, s, "SELECT max(seq) FROM messages"); n != 3 {
		t.Errorf("highest number %d", n)
	}
}

func TestStore_Commit_into_a_file_that_is_gone(t *testing.T) {
	for name, harm := range map[string]func(string) error{
		"deleted":     os.Remove,
		"renamed":     func(path string) error { return os.Rename(path, path+".old") },
		"wal_deleted": func(path string) error { return os.Remove(path + "-wal") },
		"replaced": func(path string) error {
			if err := os.Rename(path, path+".old"); err != nil {
				return err
			}
			return os.WriteFile(path, nil, 0o600)
		},
	} {
		t.Run("is_not_acknowledged_when_"+name, func(t *testing.T) {
			s := openStore(t, nil)
			commit(t, s, delivery(message("1", "text")))
			settled(t, s)
			if err := harm(s.path()); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Commit(t.Context(), delivery(message("2", "text"))); !errors.Is(err, ErrReplaced) || !errors.Is(err, ErrStore) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestStore_errors_hold_no_content(t *testing.T) {
	s := openStore(t, nil)
	_, err := s.Commit(t.Context(), delivery(change("secret-kind", "secret-id", "secret-text")))
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
	raw := translate("op", sqlite3.Error{Code: sqlite3.ErrConstraint, ExtendedCode: sqlite3.ErrConstraintCheck})
	if want := "store: op: constraint failed (275)"; raw.Error() != want {
		t.Errorf("%q, want %q", raw, want)
	}
}

func TestQueue_take(t *testing.T) {
	q := newQueue(10, 1<<20)
	sizes := []int{2, 3, 9, 1}
	for _, n := range sizes {
		q.add(&request{delivery: delivery(make([]mapping.Change, n)...)})
	}
	for _, want := range []int{2, 1, 1, 0} {
		if got := len(q.take(5)); got != want {
			t.Errorf("took %d, want %d", got, want)
		}
	}
	if q.bytes != 0 || len(q.waiting) != 0 || cap(q.waiting) == 0 {
		t.Errorf("left %d bytes, %d requests", q.bytes, len(q.waiting))
	}
}

func TestStore_bytes_in_the_wrong_encoding_are_kept(t *testing.T) {
	s := openStore(t, nil)
	commit(t, s, delivery(message("m", "bad \xff utf-8")))
	var got []byte
	scan(t, s, "SELECT CAST(message_text AS BLOB) FROM messages", &got)
	if !bytes.Equal(got, []byte("bad \xff utf-8")) {
		t.Errorf("%q", got)
	}
}
