package conformance

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sidestream/mapping"
	"sidestream/replicator"
)

// Log is one fresh, empty source under test.
type Log struct {
	Source replicator.File
	// Append stores changes as the writer does, at the next positions.
	Append func(changes ...mapping.Change)
}

// RunSource runs the suite for replicator.File. Every subtest gets a log of its
// own.
func RunSource(t *testing.T, fresh func(testing.TB) Log) {
	for name, run := range map[string]func(*testing.T, Log){
		"changes_come_in_order_and_up_to_the_limit":      readsInOrder,
		"test_deliveries_are_covered_and_are_the_edge":   coversTests,
		"histories_reach_to_the_end_of_the_chunk":        readsHistories,
		"a_file_that_is_another_one_is_refused":          refusesFiles,
		"anchors_are_those_that_a_replicator_would_have": anchorsOfFile,
		"a_message_is_found_by_its_position":             findsMessage,
	} {
		t.Run(name, func(t *testing.T) { run(t, fresh(t)) })
	}
}

func logged(id string, kind mapping.Kind, version int64) mapping.Change {
	return mapping.Change{
		MessageID: id, Kind: kind, Version: version, AccountID: "1784", SenderID: "900", RecipientID: "1784", Direction: mapping.Inbound,
		Text: new("text of " + id), Timestamp: 1_790_000_000_000, CommittedAt: 1_790_000_000_100,
	}
}

func several(n int) (all []mapping.Change) {
	for i := range n {
		all = append(all, logged(fmt.Sprint("m", i+1), mapping.KindMessage, 0))
	}
	return all
}

func read(t *testing.T, l Log, after replicator.Cursor, limit int) replicator.Chunk {
	t.Helper()
	chunk, err := l.Source.Read(t.Context(), after, limit)
	if err != nil {
		t.Fatal(err)
	}
	return chunk
}

func positionsOf(changes []mapping.Change) (all []int64) {
	for _, c := range changes {
		all = append(all, c.Position)
	}
	return all
}

func readsInOrder(t *testing.T, l Log) {
	if c := read(t, l, replicator.Cursor{}, 9); c.Head != 0 || c.Until != 0 || len(c.Changes) != 0 {
		t.Fatalf("an empty log gives %+v", c)
	}
	l.Append(several(5)...)
	c := read(t, l, replicator.Cursor{Position: 1}, 3)
	if diff := cmp.Diff([]int64{2, 3, 4}, positionsOf(c.Changes)); diff != "" || c.Until != 4 || c.Head != 5 || c.Edge.Position != 0 {
		t.Fatalf("chunk: %+v", c)
	}
	if c := read(t, l, replicator.Cursor{Position: 4}, 3); c.Until != 5 || len(c.Changes) != 1 {
		t.Fatalf("chunk: %+v", c)
	}
	if c := read(t, l, replicator.Cursor{Position: 2}, 0); c.Until != 2 || len(c.Changes) != 0 {
		t.Fatalf("a look gives %+v", c)
	}
}

func coversTests(t *testing.T, l Log) {
	l.Append(several(2)...)
	l.Append(logged("a test", mapping.KindTest, 0))
	c := read(t, l, replicator.Cursor{}, 9)
	if len(c.Changes) != 2 || c.Until != 3 || c.Edge.Position != 3 || c.Edge.MessageID != "a test" {
		t.Fatalf("chunk: %+v", c)
	}
	if c := read(t, l, replicator.Cursor{Position: 2}, 9); len(c.Changes) != 0 || c.Until != 3 || c.Edge.Position != 3 {
		t.Fatalf("chunk: %+v", c)
	}
	l.Append(logged("m3", mapping.KindMessage, 0))
	if c := read(t, l, replicator.Cursor{Position: 2}, 9); len(c.Changes) != 1 || c.Until != 4 || c.Edge.Position != 0 {
		t.Fatalf("chunk: %+v", c)
	}
}

func readsHistories(t *testing.T, l Log) {
	l.Append(logged("a", mapping.KindMessage, 0), logged("b", mapping.KindMessage, 0), logged("a", mapping.KindEdit, 1), logged("a", mapping.KindEdit, 2))
	key := replicator.MessageKey{AccountID: "1784", MessageID: "a"}
	if got := positionsOf(read(t, l, replicator.Cursor{Position: 1}, 2).Histories[key]); !cmp.Equal(got, []int64{1, 3}) {
		t.Errorf("history up to 3: %v", got)
	}
	if got := positionsOf(read(t, l, replicator.Cursor{Position: 3}, 9).Histories[key]); !cmp.Equal(got, []int64{1, 3, 4}) {
		t.Errorf("history up to 4: %v", got)
	}
}

func refusesFiles(t *testing.T, l Log) {
	l.Append(several(4)...)
	anchors, id, err := l.Source.Anchors(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	other := append([]replicator.Anchor(nil), anchors...)
	other[1].Hash = "0000000000000000"
	all := append([]replicator.Anchor(nil), anchors...)
	for i := range all {
		all[i].Hash = "0000000000000000"
	}
	for name, tc := range map[string]struct {
		cursor replicator.Cursor
		reason string
	}{
		"diverged": {replicator.Cursor{SourceID: id, Position: 3, Anchors: other}, "source_diverged"},
		"replaced": {replicator.Cursor{SourceID: id, Position: 3, Anchors: all}, "source_replaced"},
		"another":  {replicator.Cursor{SourceID: "another id", Position: 3, Anchors: anchors}, "source_replaced"},
		"rewound":  {replicator.Cursor{SourceID: id, Position: 9, Anchors: anchors}, "source_rewound"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := l.Source.Read(t.Context(), tc.cursor, 1)
			wantFailure(t, err, replicator.Blocked, tc.reason)
			_, _, err = l.Source.Message(t.Context(), tc.cursor, 1)
			wantFailure(t, err, replicator.Blocked, tc.reason)
		})
	}
	read(t, l, replicator.Cursor{SourceID: id, Position: 3, Anchors: anchors}, 1)
	if common, ok, err := l.Source.LastCommon(t.Context(), other); err != nil || !ok || common != 3 {
		t.Errorf("LastCommon = %d, %v, %v", common, ok, err)
	}
	if _, ok, err := l.Source.LastCommon(t.Context(), all); err != nil || ok {
		t.Errorf("LastCommon of other rows = %v, %v", ok, err)
	}
}

func anchorsOfFile(t *testing.T, l Log) {
	l.Append(several(40)...)
	l.Append(logged("a test", mapping.KindTest, 0))
	first, last, id, err := l.Source.Bounds(t.Context())
	if err != nil || first != 1 || last != 41 || id == "" {
		t.Fatalf("Bounds = %d, %d, %q, %v", first, last, id, err)
	}
	chunk := read(t, l, replicator.Cursor{}, 99)
	for position, rows := range map[int64][]mapping.Change{40: chunk.Changes, 41: append(chunk.Changes, chunk.Edge)} {
		got, _, err := l.Source.Anchors(t.Context(), position)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(replicator.NextAnchors(nil, rows, position), got); diff != "" {
			t.Errorf("anchors at %d (-want +got):\n%s", position, diff)
		}
	}
}

func findsMessage(t *testing.T, l Log) {
	l.Append(logged("a", mapping.KindMessage, 0), logged("a", mapping.KindEdit, 1), logged("a", mapping.KindEdit, 2))
	change, history, err := l.Source.Message(t.Context(), replicator.Cursor{Position: 2}, 1)
	if err != nil || change.Position != 1 || !cmp.Equal(positionsOf(history), []int64{1, 2}) {
		t.Fatalf("Message = %d, %v, %v", change.Position, positionsOf(history), err)
	}
	_, _, err = l.Source.Message(t.Context(), replicator.Cursor{Position: 2}, 3)
	wantFailure(t, err, replicator.Blocked, "source_row_gone")
}
