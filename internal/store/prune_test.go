package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sidestream/mapping"
)

func TestStore_Prune(t *testing.T) {
	day := 24 * time.Hour
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	now := start
	open := func(t *testing.T) *Store {
		t.Helper()
		now = start
		return openStore(t, func(o *Options) { o.Now = func() time.Time { return now } })
	}
	pruned := func(t *testing.T, s *Store, before time.Time, upTo int64) Pruned {
		t.Helper()
		planned, err := s.Prune(t.Context(), before, upTo, true)
		if err != nil {
			t.Fatal(err)
		}
		done, err := s.Prune(t.Context(), before, upTo, false)
		if err != nil || done != planned {
			t.Fatalf("pruned %+v, planned %+v, %v", done, planned, err)
		}
		if err := s.Scrubbed(t.Context()); err != nil {
			t.Fatal(err)
		}
		return done
	}

	t.Run("blanks_what_is_old_and_keeps_the_row", func(t *testing.T) {
		s := open(t)
		images := `[{"type":"image","url":"` + secret(2) + `"}]`
		image := message("m2", "")
		image.Attachments = &images
		commit(t, s, delivery(message("m1", secret(1)), edit("m1", 1, secret(3)), image, message("gone", secret(4)), unsend("gone")))
		commit(t, s, undecoded("unknown_shape", `"`+secret(5)+`"`))
		now = start.Add(2 * day)
		commit(t, s, delivery(message("m3", secret(6))))
		commit(t, s, undecoded("unknown_shape", `"`+secret(7)+`"`))
		if done := pruned(t, s, start.Add(day), 1_000); done != (Pruned{Rows: 3, Undecoded: 1}) {
			t.Errorf("%+v", done)
		}
		if diff := cmp.Diff(map[string]bool{secret(6): true, secret(7): true}, secrets(t, s.path())); diff != "" {
			t.Error(diff)
		}
		if n := count(t, s, "SELECT count(*) FROM messages WHERE message_text = '' AND attachments IS NULL"); n != 3 {
			t.Errorf("%d rows marked as pruned, want 3", n)
		}
		if n := count(t, s, "SELECT count(*) FROM messages WHERE message_text IS NULL AND id = 'gone'"); n != 2 {
			t.Error("what was unsent is not pruned")
		}
		if done := pruned(t, s, start.Add(day), 1_000); done != (Pruned{}) {
			t.Errorf("the second time: %+v", done)
		}
		if result := commit(t, s, delivery(message("m1", secret(1)))); result.Duplicates != 1 {
			t.Error("a redelivery of a pruned message is stored again")
		}
		if commit(t, s, delivery(unsend("m1"))); count(t, s, "SELECT count(*) FROM messages WHERE id = 'm1' AND message_text IS NOT NULL") != 0 {
			t.Error("a later unsend does not find the message")
		}
	})
	t.Run("keeps_what_is_not_applied", func(t *testing.T) {
		s := open(t)
		commit(t, s, delivery(message("m1", secret(1)), message("m2", secret(2)), edit("m1", 1, secret(3))))
		if done := pruned(t, s, start.Add(day), 1); done.Rows != 1 {
			t.Errorf("%+v", done)
		}
		if diff := cmp.Diff(map[string]bool{secret(2): true, secret(3): true}, secrets(t, s.path())); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("an_edit_stays_as_long_as_its_message", func(t *testing.T) {
		s := open(t)
		commit(t, s, delivery(edit("m1", 2, secret(1))))
		now = start.Add(2 * day)
		commit(t, s, delivery(message("m1", secret(2))))
		if done := pruned(t, s, start.Add(day), 1_000); done.Rows != 0 {
			t.Errorf("%+v", done)
		}
		if done := pruned(t, s, start.Add(3*day), 1); done.Rows != 0 {
			t.Errorf("the message is not applied: %+v", done)
		}
		if done := pruned(t, s, start.Add(3*day), 2); done.Rows != 2 {
			t.Errorf("%+v", done)
		}
	})
	t.Run("many_rows_take_many_steps", func(t *testing.T) {
		s := open(t)
		for part := range 3 {
			var d Delivery
			for range pruneWindow {
				d.Changes = append(d.Changes, message(fmt.Sprintf("m_%d_%d", part, len(d.Changes)), secret(1)))
			}
			commit(t, s, d)
		}
		now = start.Add(2 * day)
		commit(t, s, delivery(change(mapping.KindTest, "t", secret(2))))
		if done := pruned(t, s, start.Add(day), 10*pruneWindow); done.Rows != 3*pruneWindow {
			t.Errorf("%+v", done)
		}
		if diff := cmp.Diff(map[string]bool{secret(2): true}, secrets(t, s.path())); diff != "" {
			t.Error(diff)
		}
	})
}
