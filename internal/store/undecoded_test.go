package store

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
)

func undecoded(reason, body string) Delivery {
	return Delivery{Undecoded: []Undecoded{{Reason: reason, Body: []byte(body)}}}
}

func ids(t *testing.T, s *Store) []int64 {
	t.Helper()
	list, err := s.ListUndecoded(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	var found []int64
	for _, one := range list {
		found = append(found, one.ID)
	}
	return found
}

func TestStore_ListUndecoded(t *testing.T) {
	now := time.UnixMilli(1_790_000_000_123)
	s := openStore(t, func(o *Options) { o.Now = func() time.Time { return now } })
	for i := range 5 {
		commit(t, s, undecoded("bad_json", strings.Repeat("x", i)))
	}
	got, err := s.ListUndecoded(t.Context(), 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]StoredUndecoded{
		{ID: 2, ReceivedAt: now.UTC(), Reason: "bad_json", Bytes: 1},
		{ID: 3, ReceivedAt: now.UTC(), Reason: "bad_json", Bytes: 2},
	}, got); diff != "" {
		t.Error(diff)
	}
	if last, err := s.LastUndecoded(t.Context()); err != nil || last != 5 {
		t.Errorf("the newest is %d, %v", last, err)
	}
	if body, err := s.UndecodedBody(t.Context(), 5); err != nil || string(body) != "xxxx" {
		t.Errorf("%q, %v", body, err)
	}
	if _, err := s.UndecodedBody(t.Context(), 6); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	commit(t, s, Delivery{Undecoded: []Undecoded{{Reason: "empty"}}})
	if body, err := s.UndecodedBody(t.Context(), 6); err != nil || len(body) != 0 {
		t.Errorf("%q, %v", body, err)
	}
}

func TestStore_Commit_resolves_undecoded(t *testing.T) {
	s := openStore(t, nil)
	commit(t, s, undecoded("bad_json", "one"))
	commit(t, s, undecoded("bad_json", "two"))
	got := commit(t, s, Delivery{Changes: delivery(message("m", "one")).Changes, Resolves: []int64{1, 99}})
	if (got != Result{Inserted: 1, Resolved: 1}) {
		t.Errorf("%+v", got)
	}
	if diff := cmp.Diff([]int64{2}, ids(t, s)); diff != "" {
		t.Error(diff)
	}
	_, err := s.Commit(t.Context(), Delivery{Changes: delivery(change("like", "bad", "")).Changes, Resolves: []int64{2}})
	if !errors.Is(err, ErrRefused) {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff([]int64{2}, ids(t, s)); diff != "" {
		t.Errorf("a delivery that failed resolved something: %s", diff)
	}
	if got := commit(t, s, Delivery{Resolves: []int64{2}}); got.Resolved != 1 {
		t.Errorf("%+v", got)
	}
}

func TestStore_undecoded_is_bounded(t *testing.T) {
	t.Run("and_keeps_the_newest", func(t *testing.T) {
		registry, lines := prometheus.NewRegistry(), &logs{}
		s := openStore(t, func(o *Options) {
			o.UndecodedMaxBytes, o.Registerer, o.Logger = 1000, registry, lines.logger()
		})
		for i := range 30 {
			commit(t, s, undecoded("bad_json", fmt.Sprintf("%0100d", i)))
		}
		if diff := cmp.Diff([]int64{21, 22, 23, 24, 25, 26, 27, 28, 29, 30}, ids(t, s)); diff != "" {
			t.Error(diff)
		}
		if n := metric(t, registry, "sidestream_writer_undecoded_dropped_total"); n != 20 {
			t.Errorf("%v dropped", n)
		}
		if n := metric(t, registry, "sidestream_writer_undecoded_open"); n != 10 {
			t.Errorf("%v open", n)
		}
		if n := lines.count("reached their limit"); n != 1 {
			t.Errorf("%d log lines in a minute", n)
		}
		const loose = "SELECT value FROM meta WHERE key = 'undecoded_loose'"
		if n := count(t, s, loose); n != 1 {
			t.Error("the next unsend does not know that rows have moved")
		}
		commit(t, s, delivery(unsend("m")))
		if n := count(t, s, loose); n != 0 {
			t.Error("every further unsend would rewrite the rows")
		}
	})
	t.Run("but_keeps_one_that_is_too_large_by_itself", func(t *testing.T) {
		s := openStore(t, func(o *Options) { o.UndecodedMaxBytes = 1000 })
		commit(t, s, undecoded("bad_json", "small"))
		commit(t, s, undecoded("bad_json", strings.Repeat("x", 5000)))
		if diff := cmp.Diff([]int64{2}, ids(t, s)); diff != "" {
			t.Error(diff)
		}
		commit(t, s, undecoded("bad_json", "small"))
		if diff := cmp.Diff([]int64{3}, ids(t, s)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("and_has_room_again_after_rows_were_resolved", func(t *testing.T) {
		s := openStore(t, func(o *Options) { o.UndecodedMaxBytes = 1000 })
		for range 10 {
			commit(t, s, undecoded("bad_json", strings.Repeat("x", 100)))
		}
		commit(t, s, Delivery{Resolves: []int64{4, 5}})
		commit(t, s, undecoded("bad_json", strings.Repeat("x", 100)))
		if diff := cmp.Diff([]int64{1, 2, 3, 6, 7, 8, 9, 10, 11}, ids(t, s)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("across_restarts", func(t *testing.T) {
		path := t.TempDir() + "/messages.db"
		for range 15 {
			s := openAt(t, path, func(o *Options) { o.UndecodedMaxBytes = 1000 })
			commit(t, s, undecoded("bad_json", strings.Repeat("x", 100)))
			if n := len(ids(t, s)); n > 10 {
				t.Errorf("%d rows", n)
			}
			closeStore(t, s)
		}
	})
}
