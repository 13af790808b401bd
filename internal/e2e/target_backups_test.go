package e2e_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"sidestream/internal/mysql"
	"sidestream/internal/testkit/mariadb"
	"sidestream/mapping"
	"sidestream/replicator"
)

// stateTables are what a dump of Sidestream's own tables holds.
func stateTables() []string {
	return []string{"sidestream_meta", "sidestream_cursor", "sidestream_ledger", "sidestream_dead_letters", "sidestream_audit"}
}

// TestTarget_backups: the CRM's table and the state tables come back from
// backups of different times, while no replicator runs that could know better.
func TestTarget_backups(t *testing.T) {
	// dumped has 20 messages in a dump and 15 behind it, applied by a replicator
	// that is gone.
	dumped := func(t *testing.T, tables ...string) (*site, []byte) {
		t.Helper()
		s := newSite(t, mariadb.Shared(t).Database(t))
		s.say(t, 20)
		carryOn(t, s.loop(t))
		held := dump(t, s.db, tables...)
		s.say(t, 15)
		s.commit(t, change(5, mapping.KindEdit, "edited later"), change(31, mapping.KindUnsend, ""))
		s.texts[4], s.texts[30] = "edited later", "[message unsent]"
		carryOn(t, s.loop(t))
		s.want(t)
		return s, held
	}
	strangers := func(t *testing.T, s *site, want int64) {
		t.Helper()
		if n := s.db.Int(t, "SELECT COUNT(*) FROM messages WHERE username = ? AND message = 'a stranger''s'", stranger); n != want {
			t.Errorf("%d untouched rows of a stranger, want %d", n, want)
		}
	}

	t.Run("the_table_alone_and_strangers_have_used_the_lost_ids", func(t *testing.T) {
		for name, n := range map[string]int{"to_the_last": 15, "and_more": 40} {
			t.Run(name, func(t *testing.T) {
				s, held := dumped(t, "messages")
				restore(t, s.db, held)
				s.meddle(t, n)
				r := s.loop(t)
				blockedAt(t, r, "target_rewound")
				s.say(t, 2)
				s.commit(t, change(33, mapping.KindUnsend, ""))
				blockedAt(t, s.loop(t), "target_rewound")
				s.command(t, 0, "cursor", "resume", "--dry-run")
				blockedAt(t, r, "target_rewound")
				s.command(t, 0, "cursor", "resume")
				s.texts[32] = "[message unsent]"
				carryOn(t, r)
				s.want(t)
				strangers(t, s, int64(n))
			})
		}
	})
	t.Run("the_table_alone_and_a_person_decides_to_leave_it_so", func(t *testing.T) {
		s, held := dumped(t, "messages")
		restore(t, s.db, held)
		s.meddle(t, 40)
		r := s.loop(t)
		blockedAt(t, r, "target_rewound")
		s.command(t, 0, "cursor", "set", "--at", "end", "--yes")
		s.say(t, 3)
		carryOn(t, r)
		carryOn(t, s.loop(t))
		s.texts[4] = "text 00005"
		s.wantTexts(t, slices.Concat(s.texts[:20], s.texts[35:])...)
		strangers(t, s, 40)
	})
	t.Run("a_dead_letter_that_was_delivered_after_the_backup", func(t *testing.T) {
		s := newSite(t, mariadb.Shared(t).Database(t))
		s.db.Exec(t, refuseBad)
		s.say(t, 5)
		s.sayTexts(t, "bad six", "bad seven")
		s.say(t, 4)
		carryOn(t, s.loop(t))
		held := dump(t, s.db, "--skip-triggers", "messages")
		s.db.Exec(t, "DROP TRIGGER refuse")
		s.command(t, 0, "dead-letters", "retry", "--position", "6")
		s.say(t, 5)
		carryOn(t, s.loop(t))
		restore(t, s.db, held)
		s.meddle(t, 1)
		s.say(t, 1)
		blockedAt(t, s.loop(t), "target_rewound")
		out := s.command(t, 0, "cursor", "resume")
		if !strings.Contains(out, "position 6: applied") {
			t.Errorf("resume does not say that the letter was sent again: %s", out)
		}
		carryOn(t, s.loop(t))
		s.wantTexts(t, slices.Concat(s.texts[:5], s.texts[7:11], s.texts[5:6], s.texts[11:])...)
		if open := s.letters(t); len(open) != 1 || open[0].Position != 7 {
			t.Errorf("open dead letters: %+v, want only the one that was never delivered", open)
		}
		// It is one like any other from now on.
		s.commit(t, change(6, mapping.KindEdit, "six, edited"))
		s.command(t, 0, "dead-letters", "retry")
		carryOn(t, s.loop(t))
		s.wantTexts(t, slices.Concat(s.texts[:5], s.texts[7:11], []string{"six, edited"}, s.texts[11:], s.texts[6:7])...)
	})
	t.Run("the_state_tables_alone", func(t *testing.T) {
		for name, wait := range map[string]int{"with_messages_waiting": 3, "with_none": 0} {
			t.Run(name, func(t *testing.T) {
				s, held := dumped(t, stateTables()...)
				restore(t, s.db, held)
				s.meddle(t, 4)
				s.say(t, wait)
				r := s.loop(t)
				blockedAt(t, r, "target_ahead")
				s.command(t, 0, "cursor", "resume", "--dry-run")
				blockedAt(t, r, "target_ahead")
				s.command(t, 0, "cursor", "resume")
				carryOn(t, r)
				s.want(t)
				strangers(t, s, 4)
				// What was taken over is found like any other row.
				s.commit(t, change(28, mapping.KindUnsend, ""))
				s.texts[27] = "[message unsent]"
				carryOn(t, r)
				s.want(t)
			})
		}
	})
	t.Run("the_state_tables_alone_while_the_CRM_lacks_one", func(t *testing.T) {
		s, held := dumped(t, stateTables()...)
		restore(t, s.db, held)
		s.db.Exec(t, "DELETE FROM messages WHERE message = 'text 00030'")
		// Somebody's note of that very second is no message.
		s.db.Exec(t, "INSERT INTO messages (user_id, username, direction, message, created_at) VALUES ('902', '"+stranger+"', 'in', 'a stranger''s', FROM_UNIXTIME(1790000030))")
		s.say(t, 2)
		r := s.loop(t)
		blockedAt(t, r, "target_ahead")
		s.command(t, 0, "cursor", "resume")
		carryOn(t, r)
		s.wantTexts(t, slices.Concat(s.texts[:29], s.texts[30:])...)
		if open := s.letters(t); len(open) != 1 || open[0].Position != 30 || open[0].Reason != "row_gone" {
			t.Fatalf("open dead letters: %+v", open)
		}
		s.command(t, 0, "dead-letters", "retry")
		s.wantTexts(t, slices.Concat(s.texts[:29], s.texts[30:], s.texts[29:30])...)
	})
	t.Run("what_the_CRMs_people_do_is_no_evidence", func(t *testing.T) {
		s, _ := dumped(t)
		r := s.loop(t)
		carryOn(t, r)
		for _, doing := range []string{
			"UPDATE messages SET user_id = 'merged' WHERE id > 10",
			"UPDATE messages SET created_at = created_at + INTERVAL 1 HOUR WHERE id <= 10",
			"UPDATE messages SET username = 'x', message = CONCAT(message, '!') WHERE id = 3",
			"DELETE FROM messages WHERE id > 30",
			"UPDATE messages SET user_id = NULL WHERE id = 29",
			"DELETE FROM messages",
		} {
			s.db.Exec(t, doing)
			carryOn(t, s.loop(t))
		}
		s.say(t, 2)
		carryOn(t, s.loop(t))
		s.wantTexts(t, s.texts[35:]...)
	})
	t.Run("a_copy_of_a_message_that_the_CRM_made_itself_is_no_evidence", func(t *testing.T) {
		s, _ := dumped(t)
		s.say(t, 3)
		s.db.Exec(t, "INSERT INTO messages (user_id, username, direction, message, created_at) SELECT user_id, '"+stranger+"', direction, 'a stranger''s', FROM_UNIXTIME(1790000000 + 36) FROM messages WHERE message = 'text 00029'")
		carryOn(t, s.loop(t))
		s.want(t)
	})
	t.Run("the_state_tables_alone_whatever_happened_to_single_messages", func(t *testing.T) {
		for name, tt := range map[string]struct {
			before func(*testing.T, *site)
			after  string
			lacks  []int // messages that become dead letters
		}{
			"the_first_one_deleted":       {after: "DELETE FROM messages WHERE message = 'text 00021'", lacks: []int{21}},
			"more_deleted_than_looked_at": {after: "DELETE FROM messages WHERE message BETWEEN 'text 00022' AND 'text 00030'", lacks: []int{22, 23, 24, 25, 26, 27, 28, 29, 30}},
			"one_given_to_another_user":   {after: "UPDATE messages SET user_id = 'merged' WHERE message = 'text 00023'"},
			"texts_changed":               {after: "UPDATE messages SET message = CONCAT(message, ' (answered)') WHERE message IN ('text 00021', 'text 00022')", lacks: []int{21, 22}},
			"one_delivered_late": {before: func(t *testing.T, s *site) {
				t.Helper()
				s.db.Exec(t, "CREATE TRIGGER refuse BEFORE INSERT ON messages FOR EACH ROW BEGIN IF NEW.message = 'text 00022' THEN SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001; END IF; END")
			}},
		} {
			t.Run(name, func(t *testing.T) {
				s := newSite(t, mariadb.Shared(t).Database(t))
				s.say(t, 20)
				carryOn(t, s.loop(t))
				held := dump(t, s.db, stateTables()...)
				if tt.before != nil {
					tt.before(t, s)
				}
				s.say(t, 20)
				carryOn(t, s.loop(t))
				if tt.before != nil {
					s.db.Exec(t, "DROP TRIGGER refuse")
					s.command(t, 0, "dead-letters", "retry")
				}
				restore(t, s.db, held)
				if tt.after != "" {
					s.db.Exec(t, tt.after)
				}
				ids := fmt.Sprint(s.db.Rows(t, "SELECT id, message FROM messages ORDER BY id"))
				s.say(t, 3)
				r := s.loop(t)
				blockedAt(t, r, "target_ahead")
				s.command(t, 0, "cursor", "resume")
				carryOn(t, r)
				carryOn(t, s.loop(t))
				if got := fmt.Sprint(s.db.Rows(t, "SELECT id, message FROM messages WHERE message NOT IN ('text 00041', 'text 00042', 'text 00043') ORDER BY id")); got != ids {
					t.Errorf("the CRM's rows are\n%s\nwere\n%s", got, ids)
				}
				if n := s.db.Int(t, "SELECT COUNT(*) FROM messages WHERE message IN ('text 00041', 'text 00042', 'text 00043')"); n != 3 {
					t.Errorf("%d of 3 new messages", n)
				}
				var lacks []int
				for _, l := range s.letters(t) {
					lacks = append(lacks, int(l.Position))
				}
				if !slices.Equal(lacks, tt.lacks) {
					t.Errorf("dead letters at %v, want %v", lacks, tt.lacks)
				}
			})
		}
	})
	t.Run("the_state_tables_alone_while_a_person_is_to_be_erased", func(t *testing.T) {
		s := newSite(t, mariadb.Shared(t).Database(t))
		s.say(t, 20)
		carryOn(t, s.loop(t))
		held := dump(t, s.db, stateTables()...)
		s.say(t, 14)
		carryOn(t, s.loop(t))
		for n := 1; n <= 34; n++ {
			s.commit(t, change(n, mapping.KindErase, ""))
			s.texts[n-1] = mapping.ErasedText
		}
		restore(t, s.db, held)
		r := s.loop(t)
		blockedAt(t, r, "target_ahead")
		s.command(t, 0, "cursor", "resume")
		carryOn(t, r)
		s.want(t)
	})
	t.Run("everything_while_the_CRMs_people_had_changed_the_newest_rows", func(t *testing.T) {
		s := newSite(t, mariadb.Shared(t).Database(t))
		s.say(t, 20)
		r := s.loop(t)
		carryOn(t, r)
		s.db.Exec(t, "UPDATE messages SET user_id = 'merged' WHERE id > 15")
		held := dump(t, s.db)
		s.say(t, 10)
		carryOn(t, r)
		restore(t, s.db, held)
		s.say(t, 2)
		blockedAt(t, r, "target_cursor_behind")
		s.command(t, 0, "cursor", "resume")
		carryOn(t, r)
		s.want(t)
	})
	t.Run("the_table_alone_while_the_CRM_holds_copies_of_what_is_to_come", func(t *testing.T) {
		s, held := dumped(t, "messages")
		restore(t, s.db, held)
		s.meddle(t, 20)
		s.say(t, 3)
		s.db.Exec(t, "INSERT INTO messages (user_id, username, direction, message, created_at) VALUES (?, '"+stranger+"', 'in', 'text 00036', FROM_UNIXTIME(1790000000 + 36))", fmt.Sprint(900+36%7))
		r := s.loop(t)
		blockedAt(t, r, "target_rewound")
		s.command(t, 0, "cursor", "resume")
		carryOn(t, r)
		s.want(t)
	})
	t.Run("nothing_while_another_source_has_the_same_messages", func(t *testing.T) {
		s := newSite(t, mariadb.Shared(t).Database(t))
		second := func() *replicator.Replicator {
			return s.loop(t, func(o *mysql.Options, _ *replicator.Options) { o.Source = "second" })
		}
		s.say(t, 5)
		carryOn(t, s.loop(t))
		s.db.Exec(t, "UPDATE messages SET username = ?", stranger)
		if _, err := second().Step(t.Context()); err == nil {
			t.Fatal("a second source begins beside the first one's rows")
		}
		s.db.Exec(t, "INSERT INTO sidestream_cursor (source, generation, source_id, start_position, position, anchors, attempt, decision, applied_total) SELECT 'second', 1, source_id, 0, 0, '[]', 'a', 'b', 0 FROM sidestream_cursor")
		carryOn(t, second())
		s.want(t)
		s.say(t, 5)
		carryOn(t, s.loop(t))
		carryOn(t, second())
		if n := s.db.Int(t, "SELECT COUNT(*) FROM messages WHERE message LIKE 'text 0000%' OR message = 'text 00010'"); n != 20 {
			t.Errorf("%d rows, want each of 10 messages twice", n)
		}
	})
	t.Run("nothing_while_the_CRM_keeps_copies_of_what_the_business_wrote", func(t *testing.T) {
		s, _ := dumped(t)
		out := change(36, mapping.KindMessage, "text 00036")
		out.Direction, out.SenderID, out.RecipientID = mapping.Outbound, out.RecipientID, out.SenderID
		s.commit(t, out)
		s.texts = append(s.texts, "text 00036")
		s.db.Exec(t, "INSERT INTO messages (user_id, username, direction, message, created_at) VALUES (?, '"+stranger+"', 'out', 'text 00036', FROM_UNIXTIME(1790000000 + 36))", fmt.Sprint(900+36%7))
		carryOn(t, s.loop(t))
		s.want(t)
	})
}

// TestTarget_init: the cursor's row alone is lost, after a generation has begun.
func TestTarget_init(t *testing.T) {
	s := newSite(t, mariadb.Shared(t).Database(t))
	s.say(t, 10)
	carryOn(t, s.loop(t))
	s.db.Exec(t, "UPDATE sidestream_cursor SET generation = 2")
	s.db.Exec(t, "UPDATE sidestream_ledger SET generation = 2")
	s.db.Exec(t, "DELETE FROM sidestream_cursor")
	r := s.loop(t)
	blockedAt(t, r, "cursor_undecided")
	s.command(t, 0, "cursor", "init", "--at", "10")
	s.commit(t, change(3, mapping.KindUnsend, ""))
	s.texts[2] = "[message unsent]"
	s.say(t, 1)
	carryOn(t, r)
	s.want(t)
}
