package sqlite_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sidestream/mapping"
	"sidestream/replicator"
)

func TestSource_follows_the_path(t *testing.T) {
	t.Run("when_an_equal_file_takes_its_place", func(t *testing.T) {
		w := newWriter(t)
		w.messages(5)
		s := newSource(t, w.path)
		after, _ := drain(t, s, replicator.Cursor{})
		w = w.replaceBy(w.backup())
		w.messages(2)
		_, changes := drain(t, s, after)
		if diff := cmp.Diff([]int64{6, 7}, positions(changes)); diff != "" {
			t.Error(diff)
		}
		pending, err := s.Pending(t.Context(), after.Position)
		if err != nil || pending.Head != 7 {
			t.Errorf("pending %+v, %v", pending, err)
		}
	})
	t.Run("for_scrapes_that_come_before_the_next_read", func(t *testing.T) {
		w := newWriter(t)
		w.messages(5)
		s := newSource(t, w.path)
		after, _ := drain(t, s, replicator.Cursor{})
		// Only the reader is open when the files are replaced: the scraper must
		// not join the reader's view of the old ones.
		w = w.replaceBy(w.backup())
		w.messages(2)
		pending, err := s.Pending(t.Context(), after.Position)
		if err != nil || pending.Head != 7 || pending.Changes != 2 {
			t.Errorf("pending %+v, %v", pending, err)
		}
	})
	t.Run("when_it_is_a_symbolic_link_that_changes", func(t *testing.T) {
		w := newWriter(t)
		w.messages(5)
		link := filepath.Join(t.TempDir(), "link.db")
		if err := os.Symlink(w.path, link); err != nil {
			t.Fatal(err)
		}
		s := newSource(t, link)
		after, _ := drain(t, s, replicator.Cursor{})
		other := openWriter(t, w.backup())
		other.messages(1)
		if err := os.Remove(link); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(other.path, link); err != nil {
			t.Fatal(err)
		}
		if _, changes := drain(t, s, after); len(changes) != 1 {
			t.Errorf("%d changes", len(changes))
		}
	})
	t.Run("when_only_wal_and_shm_are_made_anew", func(t *testing.T) {
		// An operator who overwrites the file in place and removes the other two.
		w := newWriter(t)
		w.messages(5)
		s := newSource(t, w.path)
		after, _ := drain(t, s, replicator.Cursor{})
		w.exec("PRAGMA wal_checkpoint(TRUNCATE)")
		w.close()
		for _, suffix := range []string{"-wal", "-shm"} {
			if err := os.Remove(w.path + suffix); err != nil {
				t.Fatal(err)
			}
		}
		w = openWriter(t, w.path)
		w.messages(3)
		if _, changes := drain(t, s, after); len(changes) != 3 {
			t.Errorf("%d changes", len(changes))
		}
	})
	t.Run("when_it_goes_away_and_comes_back", func(t *testing.T) {
		w := newWriter(t)
		w.messages(5)
		s := newSource(t, w.path)
		after, _ := drain(t, s, replicator.Cursor{})
		backup := w.backup()
		w.close()
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if err := os.Remove(w.path + suffix); err != nil {
				t.Fatal(err)
			}
		}
		if f := refusal(t, s, after, replicator.Transient, "source_missing"); !strings.HasPrefix(f.Hint, "put the file back") {
			t.Errorf("next: %s", f.Hint)
		}
		if _, err := s.Pending(t.Context(), 0); replicator.AsFailure(err).Reason != "source_missing" {
			t.Errorf("pending: %v", err)
		}
		if err := os.Rename(backup, w.path); err != nil {
			t.Fatal(err)
		}
		w = openWriter(t, w.path)
		w.messages(1)
		if _, changes := drain(t, s, after); len(changes) != 1 {
			t.Errorf("%d changes", len(changes))
		}
	})
	t.Run("through_VACUUM_and_checkpoints", func(t *testing.T) {
		w := newWriter(t)
		w.messages(30)
		s := newSource(t, w.path)
		after, _ := drain(t, s, replicator.Cursor{})
		w.exec("DELETE FROM messages WHERE seq % 3 = 0")
		w.exec("VACUUM")
		w.exec("PRAGMA wal_checkpoint(TRUNCATE)")
		w.messages(2)
		_, changes := drain(t, s, after)
		if diff := cmp.Diff([]int64{31, 32}, positions(changes)); diff != "" {
			t.Error(diff)
		}
	})
}

// TestSource_refuses has one case for each way in which a position can come to
// mean another row.
func TestSource_refuses(t *testing.T) {
	// begin applies 20 rows and hands over a backup of the first 12.
	begin := func(t *testing.T, table string) (w *writer, backup string, after replicator.Cursor) {
		t.Helper()
		w = newWriterAt(t, filepath.Join(t.TempDir(), "messages.db"), table)
		w.messages(12)
		backup = w.backup()
		w.messages(8)
		after, _ = drain(t, newSource(t, w.path), replicator.Cursor{})
		return w, backup, after
	}
	blocked := func(t *testing.T, w *writer, after replicator.Cursor, reason string, says ...string) {
		t.Helper()
		f := refusal(t, newSource(t, w.path), after, replicator.Blocked, reason)
		for _, text := range append(says, "20") {
			if !strings.Contains(f.Detail, text) {
				t.Errorf("the detail does not say %q: %s", text, f.Detail)
			}
		}
		if !strings.Contains(f.Hint, "replicator cursor") {
			t.Errorf("the hint names no command: %s", f.Hint)
		}
		if strings.Contains(f.Detail+f.Hint, "mid-") {
			t.Errorf("row content in %+v", f)
		}
	}

	t.Run("another_database", func(t *testing.T) {
		w, _, after := begin(t, messagesTable)
		other := newWriter(t)
		other.messages(30)
		w = w.replaceBy(other.backup())
		blocked(t, w, after, "source_replaced", after.SourceID[:8], "10 differ")
	})
	t.Run("another_database_without_ids", func(t *testing.T) {
		w, _, after := begin(t, messagesTable)
		other := newWriter(t)
		other.messages(30)
		other.exec("DELETE FROM meta")
		w = w.replaceBy(other.backup())
		blocked(t, w, after, "source_replaced", "differ")
	})
	t.Run("the_same_rows_under_another_id", func(t *testing.T) {
		w, _, after := begin(t, messagesTable)
		w.exec("UPDATE meta SET value = 'edited by hand'")
		blocked(t, w, after, "source_replaced", "10 anchors match")
	})
	t.Run("an_older_copy", func(t *testing.T) {
		w, backup, after := begin(t, messagesTable)
		w = w.replaceBy(backup)
		blocked(t, w, after, "source_rewound", "ends at 12", "matches is at 7")
	})
	t.Run("an_older_copy_that_was_written_again", func(t *testing.T) {
		w, backup, after := begin(t, messagesTable)
		w = w.replaceBy(backup)
		w.messages(8)
		blocked(t, w, after, "source_diverged", "row at 13 is not", "matches is at 7")
		w.messages(80)
		blocked(t, w, after, "source_diverged", "row at 13 is not", "matches is at 7")
	})
	t.Run("an_older_copy_that_has_not_caught_up", func(t *testing.T) {
		w, backup, after := begin(t, messagesTable)
		w = w.replaceBy(backup)
		w.messages(2)
		blocked(t, w, after, "source_diverged", "ends at 14")
	})
	t.Run("a_table_that_was_emptied_with_its_sequence", func(t *testing.T) {
		w, _, after := begin(t, messagesTable)
		w.exec("DELETE FROM messages")
		w.exec("DELETE FROM sqlite_sequence")
		blocked(t, w, after, "source_rewound", "ends at 0", "no anchor matches")
		w.messages(25)
		blocked(t, w, after, "source_replaced", "differ")
	})
	t.Run("a_sequence_that_was_set_back", func(t *testing.T) {
		w, _, after := begin(t, messagesTable)
		w.exec("DELETE FROM messages WHERE seq > 15")
		w.exec("UPDATE sqlite_sequence SET seq = 15")
		blocked(t, w, after, "source_rewound", "goes on from 15", "matches is at 15")
	})
	t.Run("the_newest_row_deleted_where_numbers_are_used_again", func(t *testing.T) {
		w, _, after := begin(t, reusingTable)
		w.exec("DELETE FROM messages WHERE seq = 20")
		blocked(t, w, after, "source_rewound", "ends at 19", "matches is at 19")
		w.messages(2)
		blocked(t, w, after, "source_diverged", "row at 20 is not", "matches is at 19")
	})
	t.Run("a_replaced_row", func(t *testing.T) {
		w, _, after := begin(t, messagesTable)
		w.exec("UPDATE messages SET id = 'other' WHERE seq = 19")
		blocked(t, w, after, "source_diverged", "row at 19 is not")
	})
	t.Run("even_with_nothing_to_read", func(t *testing.T) {
		w, backup, after := begin(t, messagesTable)
		s := newSource(t, w.path)
		if chunk := read(t, s, after, 0); chunk.Until != 20 {
			t.Fatalf("until %d", chunk.Until)
		}
		w.replaceBy(backup)
		refused(t, s, after, replicator.Blocked, "source_rewound")
		// Asked again, the answer is the same.
		refused(t, s, after, replicator.Blocked, "source_rewound")
	})
	t.Run("an_older_copy_beside_the_wal_of_the_newer_one", func(t *testing.T) {
		w := newWriter(t)
		w.exec("PRAGMA wal_autocheckpoint = 0")
		w.messages(400)
		backup := w.backup()
		w.exec("BEGIN")
		w.messages(3000)
		w.exec("COMMIT")
		w.exec("PRAGMA wal_checkpoint(TRUNCATE)")
		s := newSource(t, w.path)
		after, _ := drain(t, s, replicator.Cursor{})
		w.messages(50)
		// The source is attached, so the writer leaves its -wal when it stops.
		w.close()
		if err := os.Rename(backup, w.path); err != nil {
			t.Fatal(err)
		}
		refused(t, s, after, replicator.Blocked, "source_corrupt")
	})
	t.Run("and_goes_on_when_the_right_file_is_back", func(t *testing.T) {
		w, backup, after := begin(t, messagesTable)
		right := w.backup()
		s := newSource(t, w.path)
		w = w.replaceBy(backup)
		refused(t, s, after, replicator.Blocked, "source_rewound")
		w = w.replaceBy(right)
		w.messages(1)
		if _, changes := drain(t, s, after); len(changes) != 1 {
			t.Errorf("%d changes", len(changes))
		}
	})
}

func TestSource_accepts(t *testing.T) {
	begin := func(t *testing.T, table string) (*writer, replicator.Cursor) {
		t.Helper()
		w := newWriterAt(t, filepath.Join(t.TempDir(), "messages.db"), table)
		w.messages(20)
		after, _ := drain(t, newSource(t, w.path), replicator.Cursor{})
		return w, after
	}
	next := func(t *testing.T, w *writer, after replicator.Cursor, want int64) {
		t.Helper()
		w.messages(1)
		_, changes := drain(t, newSource(t, w.path), after)
		if diff := cmp.Diff([]int64{want}, positions(changes)); diff != "" {
			t.Error(diff)
		}
	}
	t.Run("pruned_rows", func(t *testing.T) {
		w, after := begin(t, messagesTable)
		w.exec("DELETE FROM messages WHERE seq < 19")
		next(t, w, after, 21)
	})
	t.Run("a_table_emptied_by_pruning", func(t *testing.T) {
		w, after := begin(t, messagesTable)
		w.exec("DELETE FROM messages")
		s := newSource(t, w.path)
		if chunk := read(t, s, after, 10); chunk.Until != 20 || chunk.Head != 0 {
			t.Errorf("until %d, head %d", chunk.Until, chunk.Head)
		}
		next(t, w, after, 21)
	})
	t.Run("a_wiped_sequence_while_the_newest_row_is_there", func(t *testing.T) {
		// SQLite goes on from the highest row, so nothing can come below it.
		w, after := begin(t, messagesTable)
		w.exec("DELETE FROM sqlite_sequence")
		next(t, w, after, 21)
	})
	t.Run("numbers_burnt_by_rollbacks", func(t *testing.T) {
		w, after := begin(t, messagesTable)
		for range 5 {
			w.exec("BEGIN")
			w.messages(3)
			w.exec("ROLLBACK")
		}
		next(t, w, after, 21)
	})
	t.Run("blanked_texts", func(t *testing.T) {
		w, after := begin(t, messagesTable)
		w.exec("UPDATE messages SET message_text = NULL, attachments = NULL")
		next(t, w, after, 21)
	})
	t.Run("a_cursor_without_anchors", func(t *testing.T) {
		w, after := begin(t, messagesTable)
		after.Anchors = nil
		next(t, w, after, 21)
	})
	t.Run("more_anchors_than_one_query_takes", func(t *testing.T) {
		w, after := begin(t, messagesTable)
		for range 8 {
			after.Anchors = append(after.Anchors, after.Anchors...)
		}
		next(t, w, after, 21)
		after.Anchors[len(after.Anchors)-1].Hash = "other"
		refused(t, newSource(t, w.path), after, replicator.Blocked, "source_diverged")
	})
	t.Run("an_unsend_of_what_is_gone", func(t *testing.T) {
		w, after := begin(t, messagesTable)
		w.store(of(mapping.KindUnsend, 0, message("never seen")))
		if _, changes := drain(t, newSource(t, w.path), after); len(changes) != 1 {
			t.Errorf("%d changes", len(changes))
		}
	})
}
