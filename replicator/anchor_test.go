package replicator_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sidestream/mapping"
	"sidestream/replicator"
)

func loggedRow(position int64) mapping.Change {
	return mapping.Change{
		Position: position, AccountID: "account", MessageID: fmt.Sprint("mid-", position), Kind: mapping.KindMessage,
	}
}

func TestAnchorHash(t *testing.T) {
	row := mapping.Change{AccountID: "1784", MessageID: "aWdf", Kind: mapping.KindEdit, Version: 2}

	t.Run("stays_as_stored_cursors_have_it", func(t *testing.T) {
		if got, want := replicator.AnchorHash(row), "61859f3a01ba63d2"; got != want {
			t.Errorf("AnchorHash = %s, want %s", got, want)
		}
	})
	t.Run("tells_rows_apart_that_shift_a_character", func(t *testing.T) {
		seen := map[string]mapping.Change{}
		for _, c := range []mapping.Change{
			row,
			{AccountID: "1784a", MessageID: "Wdf", Kind: mapping.KindEdit, Version: 2},
			{AccountID: "1784", MessageID: "aWdfe", Kind: "dit", Version: 2},
			{AccountID: "1784", MessageID: "aWdf", Kind: mapping.KindEdit, Version: 3},
			{AccountID: "1784", MessageID: "awdf", Kind: mapping.KindEdit, Version: 2},
			{},
		} {
			hash := replicator.AnchorHash(c)
			if other, ok := seen[hash]; ok {
				t.Errorf("%+v and %+v share a hash", c, other)
			}
			seen[hash] = c
		}
	})
	t.Run("ignores_what_an_unsend_blanks", func(t *testing.T) {
		text := "hello"
		full := row
		full.Text, full.Attachments, full.Position, full.CommittedAt = &text, &text, 9, 9
		if replicator.AnchorHash(full) != replicator.AnchorHash(row) {
			t.Error("the hash depends on more than the row's identity")
		}
	})
}

func TestNextAnchors(t *testing.T) {
	positions := func(anchors []replicator.Anchor) (out []int64) {
		for _, a := range anchors {
			out = append(out, a.Position)
		}
		return out
	}
	changes := func(from, to int64) (out []mapping.Change) {
		for p := from; p <= to; p++ {
			out = append(out, loggedRow(p))
		}
		return out
	}

	t.Run("keeps_the_newest_eight_and_the_oldest_of_each_distance", func(t *testing.T) {
		got := positions(replicator.NextAnchors(nil, changes(1, 100), 100))
		// Distances 64 to 99, 32 to 63, 16 to 31, 8 to 15, then the newest eight.
		want := []int64{1, 37, 69, 85, 93, 94, 95, 96, 97, 98, 99, 100}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("leaves_out_changes_beyond_the_new_position", func(t *testing.T) {
		got := positions(replicator.NextAnchors(nil, changes(1, 9), 4))
		if diff := cmp.Diff([]int64{1, 2, 3, 4}, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("takes_no_position_twice", func(t *testing.T) {
		old := replicator.NextAnchors(nil, changes(1, 3), 3)
		got := positions(replicator.NextAnchors(old, changes(2, 5), 5))
		if diff := cmp.Diff([]int64{1, 2, 3, 4, 5}, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("carries_the_hash_of_each_row", func(t *testing.T) {
		got := replicator.NextAnchors(nil, changes(7, 7), 12)
		want := []replicator.Anchor{{Position: 7, Hash: replicator.AnchorHash(loggedRow(7))}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("does_not_touch_the_old_anchors", func(t *testing.T) {
		old := replicator.NextAnchors(nil, changes(1, 40), 40)
		before := append([]replicator.Anchor(nil), old...)
		replicator.NextAnchors(old, changes(41, 90), 90)
		if diff := cmp.Diff(before, old); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("holds_its_bound_over_the_whole_number_range", func(t *testing.T) {
		var anchors []replicator.Anchor
		for shift := range 63 {
			for step := range int64(12) {
				position := int64(1)<<shift + step
				anchors = replicator.NextAnchors(anchors, []mapping.Change{loggedRow(position)}, position)
			}
		}
		if len(anchors) > 8+63 {
			t.Errorf("%d anchors", len(anchors))
		}
	})
}

func TestNextAnchors_over_any_sequence_of_batches(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.OneOf(
			rapid.Int64Range(1, 3), rapid.Int64Range(1, 40), rapid.Int64Range(1, 3000),
		), 1, 60).Draw(t, "sizes")
		var anchors []replicator.Anchor
		var applied int64
		for _, size := range sizes {
			batch := make([]mapping.Change, 0, size)
			for range size {
				batch = append(batch, loggedRow(applied+int64(len(batch))+1))
			}
			applied += size
			anchors = replicator.NextAnchors(anchors, batch, applied)
			checkAnchors(t, anchors, applied)
		}
	})
}

// checkAnchors holds the promise of NextAnchors against positions 1 to applied.
func checkAnchors(t *rapid.T, anchors []replicator.Anchor, applied int64) {
	if len(anchors) > 8+63 {
		t.Fatalf("%d anchors", len(anchors))
	}
	for i, a := range anchors {
		if i > 0 && a.Position <= anchors[i-1].Position {
			t.Fatalf("not ascending: %v", anchors)
		}
		if a.Hash != replicator.AnchorHash(loggedRow(a.Position)) {
			t.Fatalf("anchor %d has another row's hash", a.Position)
		}
	}
	for i := range min(8, applied) {
		if got := anchors[len(anchors)-1-int(i)].Position; got != applied-i {
			t.Fatalf("anchor %d from the end is %d, want %d", i, got, applied-i)
		}
	}
	for distance := int64(1); distance < applied; distance *= 2 {
		near := false
		for _, a := range anchors {
			d := applied - a.Position
			near = near || (d*4 >= distance && d <= distance*4)
		}
		if !near {
			t.Fatalf("no anchor within a factor of 4 of distance %d after %d rows: %v", distance, applied, anchors)
		}
	}
}
