package e2e_test

import (
	"slices"
	"strings"
	"testing"

	"sidestream/internal/testkit/mariadb"
	"sidestream/mapping"
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
	t.Run("the_table_alone_and_what_was_skipped_is_sent", func(t *testing.T) {
		s := newSite(t, mariadb.Shared(t).Database(t))
		s.say(t, 3)
		r := s.loop(t)
		carryOn(t, r)
		s.db.Exec(t, "CREATE TABLE backup AS SELECT * FROM messages")
		s.say(t, 2)
		s.command(t, 0, "cursor", "set", "--at", "end", "--yes")
		s.say(t, 3)
		r = s.loop(t)
		carryOn(t, r)
		s.wantTexts(t, slices.Concat(s.texts[:3], s.texts[5:])...)

		s.db.Exec(t, "TRUNCATE messages")
		s.db.Exec(t, "INSERT INTO messages SELECT * FROM backup")
		s.say(t, 1)
		r = s.loop(t)
		blockedAt(t, r, "target_rewound")
		s.command(t, 0, "cursor", "resume")
		carryOn(t, r)
		s.want(t)
	})
}
