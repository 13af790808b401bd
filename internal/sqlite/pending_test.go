package sqlite_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sidestream/mapping"
	"sidestream/replicator"
)

func TestPending(t *testing.T) {
	at := func(w *writer, kind mapping.Kind, id string, committed any) {
		w.exec(insertRow, nil, id, string(kind), 0, "account", "person", "account", "inbound", "x", nil, 1, committed)
	}
	w := newWriter(t)
	at(w, mapping.KindMessage, "1", 1000)
	at(w, mapping.KindTest, "2", 2000)
	at(w, mapping.KindMessage, "3", 3000)
	at(w, mapping.KindMessage, "4", "not a time")
	s := newSource(t, w.path)

	for _, test := range []struct {
		name     string
		position int64
		want     replicator.Pending
	}{
		{"counts_from_the_position_to_the_head", 0, replicator.Pending{Head: 4, Changes: 4, Oldest: time.UnixMilli(1000)}},
		{"passes_over_test_deliveries_for_the_oldest", 1, replicator.Pending{Head: 4, Changes: 3, Oldest: time.UnixMilli(3000)}},
		{"has_no_oldest_where_the_time_is_none", 3, replicator.Pending{Head: 4, Changes: 1}},
		{"is_nothing_at_the_head", 4, replicator.Pending{Head: 4}},
		{"is_never_below_zero", 9, replicator.Pending{Head: 4}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := s.Pending(t.Context(), test.position)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("moves_with_the_writer", func(t *testing.T) {
		w.messages(3)
		got, err := s.Pending(t.Context(), 4)
		if err != nil || got.Head != 7 || got.Changes != 3 {
			t.Errorf("got %+v, %v", got, err)
		}
	})
}

func TestBounds(t *testing.T) {
	w := newWriter(t)
	s := newSource(t, w.path)
	first, last, id, err := s.Bounds(t.Context())
	if err != nil || first != 0 || last != 0 || len(id) != 32 {
		t.Errorf("of an empty table: %d to %d of %q, %v", first, last, id, err)
	}
	w.messages(9)
	w.exec("DELETE FROM messages WHERE seq < 4")
	if first, last, _, err = s.Bounds(t.Context()); err != nil || first != 4 || last != 9 {
		t.Errorf("got %d to %d, %v", first, last, err)
	}
}

func TestAnchors(t *testing.T) {
	w := newWriter(t)
	w.messages(300)
	w.exec("DELETE FROM messages WHERE seq % 7 = 0")
	w.exec("UPDATE messages SET kind = 'test' WHERE seq % 11 = 0")
	s := newSource(t, w.path)
	full, id, err := s.Anchors(t.Context(), 300)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("are_those_of_a_replicator_that_applied_all_at_once", func(t *testing.T) {
		chunk := read(t, s, replicator.Cursor{}, 1000)
		if diff := cmp.Diff(replicator.NextAnchors(nil, chunk.Changes, 300), full); diff != "" {
			t.Error(diff)
		}
		if id != chunk.SourceID {
			t.Errorf("source id %q", id)
		}
	})
	t.Run("are_accepted_by_read_at_every_position", func(t *testing.T) {
		for position := int64(0); position <= 300; position += 13 {
			anchors, id, err := s.Anchors(t.Context(), position)
			if err != nil {
				t.Fatal(err)
			}
			for _, a := range anchors {
				if a.Position > position {
					t.Errorf("anchor %d beyond %d", a.Position, position)
				}
			}
			read(t, s, replicator.Cursor{SourceID: id, Position: position, Anchors: anchors}, 1)
		}
	})
	t.Run("reach_back_to_the_first_row_over_any_distance", func(t *testing.T) {
		anchors, _, err := s.Anchors(t.Context(), 1<<62)
		if err != nil || len(anchors) == 0 || len(anchors) > 71 {
			t.Errorf("%d anchors, %v", len(anchors), err)
		}
	})
	t.Run("of_an_empty_table_are_none", func(t *testing.T) {
		anchors, _, err := newSource(t, newWriter(t).path).Anchors(t.Context(), 100)
		if err != nil || len(anchors) != 0 {
			t.Errorf("got %v, %v", anchors, err)
		}
	})
	t.Run("tell_the_last_common_position", func(t *testing.T) {
		common := func(anchors []replicator.Anchor) (int64, bool) {
			position, ok, err := s.LastCommon(t.Context(), anchors)
			if err != nil {
				t.Fatal(err)
			}
			return position, ok
		}
		if position, ok := common(full); !ok || position != full[len(full)-1].Position {
			t.Errorf("got %d, %t", position, ok)
		}
		w.exec("UPDATE messages SET id = 'other ' || seq WHERE seq > ?", full[3].Position)
		if position, ok := common(full); !ok || position != full[3].Position {
			t.Errorf("got %d, %t", position, ok)
		}
		w.exec("UPDATE messages SET id = 'another ' || seq")
		if position, ok := common(full); ok || position != 0 {
			t.Errorf("got %d, %t", position, ok)
		}
		if _, ok := common(nil); ok {
			t.Error("no anchors have something in common")
		}
	})
}
