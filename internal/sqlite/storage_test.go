package sqlite_test

import (
	"fmt"
	"math"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sidestream/mapping"
	"sidestream/replicator"
)

func TestRead_converts_by_storage_class(t *testing.T) {
	w := newWriterAt(t, filepath.Join(t.TempDir(), "messages.db"), looseTable)
	s := newSource(t, w.path)
	var after replicator.Cursor
	readOne := func(t *testing.T, values ...any) mapping.Change {
		t.Helper()
		w.exec(insertRow, append([]any{nil}, values...)...)
		chunk := read(t, s, after, 10)
		after = apply(after, chunk)
		if len(chunk.Changes) != 1 {
			t.Fatalf("%d changes", len(chunk.Changes))
		}
		return chunk.Changes[0]
	}
	text := func(s string) *string { return &s }

	t.Run("numbers_and_blobs_in_texts", func(t *testing.T) {
		got := readOne(t, []byte("mid"), "message", "0", int64(17841400000000001), 12.5, []byte{0xff, 0}, "inbound", int64(7), 1e15, 1, 1)
		want := mapping.Change{
			Position: got.Position, MessageID: "mid", Kind: "message", AccountID: "17841400000000001", SenderID: "12.5",
			RecipientID: "\xff\x00", Direction: "inbound", Text: text("7"), Attachments: text("1000000000000000"), Timestamp: 1, CommittedAt: 1,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("NULL_everywhere", func(t *testing.T) {
		got := readOne(t, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil)
		if diff := cmp.Diff(mapping.Change{Position: got.Position}, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("a_test_delivery_whose_kind_is_no_text", func(t *testing.T) {
		w.exec(insertRow, nil, "button", []byte("test"), 0, "a", "s", "r", "inbound", "x", nil, 1, 1)
		chunk := read(t, s, after, 10)
		after = apply(after, chunk)
		if len(chunk.Changes) != 0 || chunk.Until != chunk.Head {
			t.Errorf("got %d changes, until %d of %d", len(chunk.Changes), chunk.Until, chunk.Head)
		}
	})
	t.Run("a_history_whose_key_is_no_text", func(t *testing.T) {
		readOne(t, int64(5), "message", 0, int64(6), "s", "r", "inbound", "x", nil, 1, 1)
		w.exec(insertRow, nil, int64(5), "edit", 1, int64(6), "s", "r", "inbound", "y", nil, 1, 1)
		chunk := read(t, s, after, 10)
		after = apply(after, chunk)
		if rows := chunk.Histories[replicator.MessageKey{AccountID: "6", MessageID: "5"}]; len(rows) != 2 {
			t.Errorf("got %v", chunk.Histories)
		}
	})

	const day = int64(86_400_000)
	for i, test := range []struct {
		value any
		want  int64
	}{
		{int64(1_700_000_000_123), 1_700_000_000_123},
		{int64(-5), -5},
		{1_700_000_000_123.9, 1_700_000_000_123},
		{"1700000000123", 1_700_000_000_123},
		{" 1.7e12 ", 1_700_000_000_000},
		{[]byte("1700000000123"), 1_700_000_000_123},
		{"1970-01-02", day},
		{"1970-01-02 00:00:01", day + 1000},
		{"1970-01-02T00:00:01.250Z", day + 1250},
		{"1970-01-02 00:00:01.5+01:00", day + 1500 - 3_600_000},
		{"1970-01-02 01:00", day + 3_600_000},
		{"yesterday", 0},
		{"", 0},
		{math.NaN(), 0}, // SQLite makes NULL of it.
		{math.Inf(1), 0},
		{"inf", 0},
		{1e300, 0},
		{"99999999999999999999", 0},
		{nil, 0},
	} {
		t.Run(fmt.Sprintf("the_time_%v", test.value), func(t *testing.T) {
			got := readOne(t, i, "message", 0, "time", "s", "r", "inbound", "x", nil, test.value, test.value)
			if got.Timestamp != test.want || got.CommittedAt != test.want {
				t.Errorf("got %d and %d, want %d", got.Timestamp, got.CommittedAt, test.want)
			}
		})
	}
}

// TestRead_takes_any_value stores whatever SQLite takes: each row comes back,
// once, with the identity that anchors rely on.
func TestRead_takes_any_value(t *testing.T) {
	value := rapid.OneOf(
		rapid.Just[any](nil),
		rapid.Map(rapid.String(), func(s string) any { return s }),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) any { return append([]byte{}, b...) }),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) any { return string(b) }),
		rapid.Map(rapid.Int64(), func(n int64) any { return n }),
		rapid.Map(rapid.Float64(), func(f float64) any { return f }),
		rapid.Map(rapid.SampledFrom([]string{"message", "edit", "unsend", "1700000000000", "2026-01-01 00:00:00"}), func(s string) any { return s }),
	)
	w := newWriterAt(t, filepath.Join(t.TempDir(), "messages.db"), looseTable)
	w.exec(changeIndex)
	s := newSource(t, w.path)
	var after replicator.Cursor
	rapid.Check(t, func(rt *rapid.T) {
		row := []any{nil}
		for i := range 11 {
			row = append(row, value.Draw(rt, fmt.Sprint("column ", i)))
		}
		if _, err := w.db.ExecContext(t.Context(), insertRow, row...); err != nil {
			return // The same identity once more.
		}
		head := after.Position + 1
		chunk, err := s.Read(t.Context(), after, 10)
		if err != nil {
			rt.Fatal(err)
		}
		after = apply(after, chunk)
		if chunk.Until != head || len(chunk.Changes) > 1 {
			rt.Fatalf("until %d with %d changes, want %d", chunk.Until, len(chunk.Changes), head)
		}
		for _, c := range chunk.Changes {
			if c.CommittedAt != 0 && time.UnixMilli(c.CommittedAt).IsZero() {
				rt.Fatal("a time that is none")
			}
			key := replicator.MessageKey{AccountID: c.AccountID, MessageID: c.MessageID}
			if c.Kind != mapping.KindMessage && len(chunk.Histories[key]) == 0 {
				rt.Fatalf("no history for a %q", c.Kind)
			}
		}
	})
}
