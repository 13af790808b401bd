package sqlite_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sidestream/internal/sqlite"
	"sidestream/mapping"
	"sidestream/replicator"
)

func TestRead(t *testing.T) {
	t.Run("returns_every_column_as_it_was_stored", func(t *testing.T) {
		w := newWriter(t)
		text, attachments := "hello \x00 \U0001F600", `[{"type":"image"}]`
		want := mapping.Change{
			Position: 1, MessageID: "aWdf", Kind: mapping.KindMessage, AccountID: "1784", SenderID: "1784", RecipientID: "42",
			Direction: mapping.Outbound, Text: &text, Attachments: &attachments, Timestamp: 1_700_000_000_123, CommittedAt: 1_700_000_001_456,
		}
		w.store(want)
		chunk := read(t, newSource(t, w.path), replicator.Cursor{}, 10)
		if diff := cmp.Diff([]mapping.Change{want}, chunk.Changes); diff != "" {
			t.Error(diff)
		}
		if chunk.Head != 1 || chunk.Until != 1 || len(chunk.SourceID) != 32 || chunk.Histories != nil {
			t.Errorf("got head %d, until %d, source id %q, histories %v", chunk.Head, chunk.Until, chunk.SourceID, chunk.Histories)
		}
	})
	t.Run("keeps_null_apart_from_an_empty_text", func(t *testing.T) {
		w := newWriter(t)
		empty, blank := "", message("blank")
		blank.Text = nil
		w.store(blank)
		blank.MessageID, blank.Text = "empty", &empty
		w.store(blank)
		changes := read(t, newSource(t, w.path), replicator.Cursor{}, 10).Changes
		if changes[0].Text != nil || changes[1].Text == nil || changes[0].Attachments != nil {
			t.Errorf("got %v", changes)
		}
	})
	t.Run("returns_at_most_limit_changes_in_position_order", func(t *testing.T) {
		w := newWriter(t)
		w.messages(10)
		s := newSource(t, w.path)
		chunk := read(t, s, replicator.Cursor{}, 4)
		if diff := cmp.Diff([]int64{1, 2, 3, 4}, positions(chunk.Changes)); diff != "" || chunk.Until != 4 || chunk.Head != 10 {
			t.Errorf("until %d, head %d: %s", chunk.Until, chunk.Head, diff)
		}
		after, changes := drain(t, s, apply(replicator.Cursor{}, chunk))
		if diff := cmp.Diff([]int64{5, 6, 7, 8, 9, 10}, positions(changes)); diff != "" || after.Position != 10 {
			t.Error(diff)
		}
	})
	t.Run("checks_without_reading_where_the_limit_is_zero", func(t *testing.T) {
		w := newWriter(t)
		w.messages(3)
		chunk := read(t, newSource(t, w.path), replicator.Cursor{Position: 1}, 0)
		if len(chunk.Changes) != 0 || chunk.Until != 1 || chunk.Head != 3 {
			t.Errorf("got %+v", chunk)
		}
	})
	t.Run("finds_nothing_in_an_empty_table", func(t *testing.T) {
		chunk := read(t, newSource(t, newWriter(t).path), replicator.Cursor{}, 10)
		if len(chunk.Changes) != 0 || chunk.Until != 0 || chunk.Head != 0 {
			t.Errorf("got %+v", chunk)
		}
	})
	t.Run("steps_over_gaps", func(t *testing.T) {
		w := newWriter(t)
		w.messages(5)
		w.exec("DELETE FROM messages WHERE seq IN (2, 3)")
		_, changes := drain(t, newSource(t, w.path), replicator.Cursor{})
		if diff := cmp.Diff([]int64{1, 4, 5}, positions(changes)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("sees_what_is_only_in_the_wal", func(t *testing.T) {
		w := newWriter(t)
		w.exec("PRAGMA wal_autocheckpoint = 0")
		s := newSource(t, w.path)
		for i := range 20 {
			w.messages(1)
			if got := len(read(t, s, replicator.Cursor{Position: int64(i)}, 10).Changes); got != 1 {
				t.Fatalf("%d changes after commit %d", got, i)
			}
		}
	})
	t.Run("reads_a_foreign_table_by_its_names", func(t *testing.T) {
		w := openWriter(t, t.TempDir()+"/odd ?#%&name.db")
		w.exec(`CREATE TABLE "the log" ("No" INTEGER PRIMARY KEY, "mid""x" TEXT, what TEXT, num INTEGER, acc TEXT, "from" TEXT, "to" TEXT,
			dir TEXT, body TEXT, files TEXT, ts INTEGER, stored INTEGER)`)
		w.exec(`CREATE INDEX by_message ON "the log" ("mid""x")`)
		w.exec(`INSERT INTO "the log" VALUES (7, 'm', 'message', 0, 'a', 's', 'r', 'inbound', 'x', NULL, 1, 2)`)
		s := newSource(t, w.path, func(o *sqlite.Options) {
			o.Table = "THE LOG"
			o.Columns = sqlite.Columns{
				Position: "no", MessageID: `mid"x`, Kind: "what", Version: "num", AccountID: "acc", SenderID: "from",
				RecipientID: "to", Direction: "dir", Text: "body", Attachments: "files", Timestamp: "ts", CommittedAt: "stored",
			}
		})
		chunk := read(t, s, replicator.Cursor{}, 10)
		text := "x"
		want := []mapping.Change{{
			Position: 7, MessageID: "m", Kind: mapping.KindMessage, AccountID: "a", SenderID: "s", RecipientID: "r",
			Direction: mapping.Inbound, Text: &text, Timestamp: 1, CommittedAt: 2,
		}}
		if diff := cmp.Diff(want, chunk.Changes); diff != "" || chunk.SourceID != "" {
			t.Errorf("source id %q: %s", chunk.SourceID, diff)
		}
	})
}

func TestRead_test_deliveries(t *testing.T) {
	test := of(mapping.KindTest, 0, message("button"))
	store := func(w *writer, n int) {
		for i := range n {
			test.MessageID = fmt.Sprint("button-", w.n, "-", i)
			w.store(test)
		}
	}
	t.Run("are_left_out_and_covered_by_until", func(t *testing.T) {
		w := newWriter(t)
		store(w, 2)
		w.messages(2)
		store(w, 3)
		chunk := read(t, newSource(t, w.path), replicator.Cursor{}, 10)
		if diff := cmp.Diff([]int64{3, 4}, positions(chunk.Changes)); diff != "" || chunk.Until != 7 || chunk.Head != 7 {
			t.Errorf("until %d, head %d: %s", chunk.Until, chunk.Head, diff)
		}
	})
	t.Run("do_not_hide_the_change_behind_them", func(t *testing.T) {
		w := newWriter(t)
		store(w, 50)
		w.messages(2)
		chunk := read(t, newSource(t, w.path), replicator.Cursor{}, 1)
		if diff := cmp.Diff([]int64{51}, positions(chunk.Changes)); diff != "" || chunk.Until != 51 {
			t.Errorf("until %d: %s", chunk.Until, diff)
		}
	})
	t.Run("alone_still_move_until", func(t *testing.T) {
		w := newWriter(t)
		store(w, 5)
		chunk := read(t, newSource(t, w.path), replicator.Cursor{}, 2)
		if len(chunk.Changes) != 0 || chunk.Until != 5 {
			t.Errorf("got %d changes, until %d", len(chunk.Changes), chunk.Until)
		}
	})
}

func TestRead_limits_bytes(t *testing.T) {
	limited := func(n int) func(*sqlite.Options) { return func(o *sqlite.Options) { o.MaxChunkBytes = n } }
	t.Run("ends_with_the_change_that_reaches_the_limit", func(t *testing.T) {
		w := newWriter(t)
		for i := range 6 {
			c, text := message(fmt.Sprint(i)), strings.Repeat("x", 40)
			c.Text, c.Attachments = &text, &text
			w.store(c)
		}
		s := newSource(t, w.path, limited(200))
		chunk := read(t, s, replicator.Cursor{}, 100)
		if diff := cmp.Diff([]int64{1, 2, 3}, positions(chunk.Changes)); diff != "" || chunk.Until != 3 {
			t.Errorf("until %d: %s", chunk.Until, diff)
		}
		_, rest := drain(t, s, apply(replicator.Cursor{}, chunk))
		if diff := cmp.Diff([]int64{4, 5, 6}, positions(rest)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("returns_one_change_however_large", func(t *testing.T) {
		w := newWriter(t)
		c, text := message("large"), strings.Repeat("x", 1<<20)
		c.Text = &text
		w.store(c)
		w.messages(1)
		if got := positions(read(t, newSource(t, w.path, limited(1)), replicator.Cursor{}, 100).Changes); len(got) != 1 {
			t.Errorf("got %v", got)
		}
	})
	t.Run("ends_before_the_change_whose_history_is_too_much", func(t *testing.T) {
		w := newWriter(t)
		for i := range 4 {
			c, text := message(fmt.Sprint(i)), strings.Repeat("x", 100)
			c.Text = &text
			w.store(c)
		}
		for i := range 4 {
			unsend := of(mapping.KindUnsend, 0, message(fmt.Sprint(i)))
			unsend.Text = nil
			w.store(unsend)
		}
		s := newSource(t, w.path, limited(250))
		chunk := read(t, s, replicator.Cursor{Position: 4}, 100)
		if diff := cmp.Diff([]int64{5, 6}, positions(chunk.Changes)); diff != "" || chunk.Until != 6 || len(chunk.Histories) != 2 {
			t.Errorf("until %d, %d histories: %s", chunk.Until, len(chunk.Histories), diff)
		}
		if got := positions(read(t, s, replicator.Cursor{Position: 6}, 100).Changes); len(got) != 2 {
			t.Errorf("the rest is %v", got)
		}
	})
}

func TestRead_histories(t *testing.T) {
	for _, index := range []string{"", changeIndex} {
		name := "by_the_unique_key"
		if index != "" {
			name = "by_an_index_of_changes"
		}
		t.Run(name, func(t *testing.T) {
			w := newWriter(t)
			if index != "" {
				w.exec(index)
			}
			w.store(message("plain"))                           // 1
			w.store(message("edited"))                          // 2
			w.store(of(mapping.KindEdit, 1, message("edited"))) // 3
			w.store(of(mapping.KindUnsend, 0, message("late"))) // 4
			w.store(of(mapping.KindTest, 0, message("edited"))) // 5
			w.store(of(mapping.KindEdit, 2, message("edited"))) // 6
			w.store(message("late"))                            // 7
			other := message("edited")
			other.AccountID = "another"
			w.store(other) // 8: the same mid in another account is another message
			s := newSource(t, w.path)

			for _, test := range []struct {
				name         string
				after, limit int64
				want         map[string][]int64
			}{
				{"everything", 0, 100, map[string][]int64{"edited": {2, 3, 6}, "late": {4, 7}}},
				{"no_rows_beyond_until", 0, 2, map[string][]int64{}},
				{"an_edit_up_to_itself", 0, 3, map[string][]int64{"edited": {2, 3}}},
				{"an_edit_alone_brings_what_came_before", 5, 1, map[string][]int64{"edited": {2, 3, 6}}},
				{"a_late_original_brings_its_unsend", 6, 1, map[string][]int64{"late": {4, 7}}},
				{"an_orphan_has_itself", 3, 1, map[string][]int64{"late": {4}}},
				{"another_account_has_none", 7, 1, map[string][]int64{}},
			} {
				t.Run(test.name, func(t *testing.T) {
					chunk := read(t, s, replicator.Cursor{Position: test.after}, int(test.limit))
					got := map[string][]int64{}
					for key, rows := range chunk.Histories {
						if key.AccountID != "account" {
							t.Errorf("a history of %v", key)
						}
						got[key.MessageID] = positions(rows)
					}
					if diff := cmp.Diff(test.want, got); diff != "" {
						t.Error(diff)
					}
				})
			}
		})
	}
}

func TestRead_refuses_absurd_gaps(t *testing.T) {
	far := func(position int64) mapping.Change {
		c := message(fmt.Sprint("far-", position))
		c.Position = position
		return c
	}
	t.Run("before_the_first_row", func(t *testing.T) {
		w := newWriter(t)
		w.store(far(1<<40 + 1))
		f := refusal(t, newSource(t, w.path), replicator.Cursor{}, replicator.Blocked, "source_position_jump")
		if !strings.Contains(f.Hint, "cursor set") || !strings.Contains(f.Detail, fmt.Sprint(1<<40+1)) {
			t.Errorf("got %+v", f)
		}
	})
	t.Run("after_the_rows_before_it", func(t *testing.T) {
		w := newWriter(t)
		w.messages(2)
		w.store(far(1<<63 - 1))
		s := newSource(t, w.path)
		chunk := read(t, s, replicator.Cursor{}, 10)
		if diff := cmp.Diff([]int64{1, 2}, positions(chunk.Changes)); diff != "" || chunk.Until != 2 {
			t.Errorf("until %d: %s", chunk.Until, diff)
		}
		refused(t, s, apply(replicator.Cursor{}, chunk), replicator.Blocked, "source_position_jump")
	})
	t.Run("of_rows_that_are_never_replicated", func(t *testing.T) {
		w := newWriter(t)
		w.messages(1)
		w.store(of(mapping.KindTest, 0, far(1<<50)))
		s := newSource(t, w.path)
		chunk := read(t, s, replicator.Cursor{}, 10)
		if chunk.Until != 1 {
			t.Errorf("until %d", chunk.Until)
		}
		refused(t, s, apply(replicator.Cursor{}, chunk), replicator.Blocked, "source_position_jump")
	})
	t.Run("but_not_a_large_one", func(t *testing.T) {
		w := newWriter(t)
		w.store(far(1 << 40))
		w.messages(1)
		if got := positions(read(t, newSource(t, w.path), replicator.Cursor{}, 10).Changes); len(got) != 2 {
			t.Errorf("got %v", got)
		}
	})
}
