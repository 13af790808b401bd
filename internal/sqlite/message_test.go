package sqlite_test

import (
	"testing"

	"sidestream/mapping"
	"sidestream/replicator"
)

func TestSource_Message(t *testing.T) {
	w := newWriter(t)
	insert := func(id, kind string, version int) {
		w.exec(`INSERT INTO messages (id, kind, version, account_id, sender_id, recipient_id, direction, message_text, timestamp, created_at)
			VALUES (?, ?, ?, 'a', 's', 'a', 'inbound', 'x', 1790000000000, 1790000000000)`, id, kind, version)
	}
	insert("one", "message", 0) // 1
	insert("two", "message", 0) // 2
	insert("one", "edit", 1)    // 3
	insert("two", "edit", 1)    // 4
	insert("one", "unsend", 0)  // 5
	source := newSource(t, w.path)

	for name, tt := range map[string]struct {
		position, cursor int64
		kind             mapping.Kind
		history          []int64
	}{
		"a_message_with_what_followed":      {1, 5, mapping.KindMessage, []int64{1, 3, 5}},
		"nothing_beyond_the_cursor":         {1, 4, mapping.KindMessage, []int64{1, 3}},
		"a_message_by_itself":               {2, 2, mapping.KindMessage, []int64{2}},
		"an_edit_with_what_it_is_about":     {4, 5, mapping.KindEdit, []int64{2, 4}},
		"an_unsend_with_what_came_before":   {5, 5, mapping.KindUnsend, []int64{1, 3, 5}},
		"the_cursor_exactly_on_the_message": {1, 1, mapping.KindMessage, []int64{1}},
	} {
		t.Run(name, func(t *testing.T) {
			change, history, err := source.Message(t.Context(), replicator.Cursor{Position: tt.cursor}, tt.position)
			if err != nil {
				t.Fatal(err)
			}
			var got []int64
			for _, c := range history {
				got = append(got, c.Position)
			}
			if change.Position != tt.position || change.Kind != tt.kind || len(got) != len(tt.history) {
				t.Fatalf("change %d %s, history %v", change.Position, change.Kind, got)
			}
			for i := range got {
				if got[i] != tt.history[i] {
					t.Fatalf("history %v, want %v", got, tt.history)
				}
			}
		})
	}
	for name, tt := range map[string]struct {
		cursor   replicator.Cursor
		position int64
		reason   string
	}{
		"a_position_without_a_row":      {replicator.Cursor{Position: 5}, 9, "source_row_gone"},
		"a_position_behind_the_cursor":  {replicator.Cursor{Position: 2}, 3, "source_row_gone"},
		"a_file_that_is_another_by_now": {replicator.Cursor{Position: 2, Anchors: []replicator.Anchor{{Position: 2, Hash: "0011223344556677"}}}, 1, "source_replaced"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := source.Message(t.Context(), tt.cursor, tt.position)
			if f := replicator.AsFailure(err); err == nil || f.Class != replicator.Blocked || f.Reason != tt.reason {
				t.Errorf("error: %v", err)
			}
		})
	}
}
