package e2e_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"sidestream/internal/mysql"
	"sidestream/internal/testkit/mariadb"
	"sidestream/mapping"
	"sidestream/replicator"
)

// TestTarget_table: what the CRM's people can do to their table. Each case ends
// in "carried on" or in a named reason whose hint helps.
func TestTarget_table(t *testing.T) {
	fresh := func(t *testing.T, extra ...string) *site {
		t.Helper()
		return newSite(t, mariadb.Shared(t).Database(t), extra...)
	}
	// begun has ten messages in the CRM already.
	begun := func(t *testing.T, extra ...string) (*site, *replicator.Replicator) {
		t.Helper()
		s := fresh(t, extra...)
		r := s.loop(t)
		s.say(t, 10)
		carryOn(t, r)
		s.want(t)
		return s, r
	}

	t.Run("emptied_is_blocked_and_resume_sends_everything_again", func(t *testing.T) {
		s, r := begun(t)
		s.db.Exec(t, "TRUNCATE messages")
		s.meddle(t, 3)
		s.say(t, 2)
		blockedAt(t, r, "target_rewound")
		// No number of attempts, here or in a new process, may use up the ids
		// until the next ones look right.
		for range 30 {
			_, _ = r.Step(t.Context())
		}
		r = s.loop(t)
		for range 30 {
			blockedAt(t, r, "target_rewound")
		}
		s.wantTexts(t)
		// No replicator runs, and what the last one has found is there to see.
		wantText(t, s.command(t, 0, "status"), "problem       blocked: target_rewound", "lag           not known", "next step     run: replicator cursor resume --dry-run")
		wantText(t, s.command(t, 3, "status", "--max-lag", "1h"), "replication is blocked: target_rewound")
		s.command(t, 0, "cursor", "resume")
		carryOn(t, r)
		s.want(t)
		if n := s.db.Int(t, "SELECT COUNT(*) FROM messages WHERE username = ?", stranger); n != 3 {
			t.Errorf("%d rows of a stranger, want 3", n)
		}
		s.commit(t, change(4, mapping.KindEdit, "edited"))
		s.texts[3] = "edited"
		carryOn(t, r)
		s.want(t)
	})
	t.Run("emptied_in_part_is_the_CRMs_own_business", func(t *testing.T) {
		s, r := begun(t)
		s.db.Exec(t, "DELETE FROM messages WHERE message IN ('text 00003', 'text 00010')")
		s.say(t, 3)
		carryOn(t, r)
		s.texts = append(s.texts[:9:9], s.texts[10:]...)
		s.texts = append(s.texts[:2:2], s.texts[3:]...)
		s.want(t)
	})
	t.Run("dropped_waits_and_a_new_one_is_found_out", func(t *testing.T) {
		s, r := begun(t)
		s.db.Exec(t, "DROP TABLE messages")
		s.say(t, 1)
		blockedAt(t, r, "table_missing")
		s.db.Exec(t, mariadb.CRMTable)
		blockedAt(t, r, "target_rewound")
		s.command(t, 0, "cursor", "resume")
		carryOn(t, r)
		s.want(t)
	})
	t.Run("a_column_dropped", func(t *testing.T) {
		s, r := begun(t)
		s.db.Exec(t, "ALTER TABLE messages DROP COLUMN username")
		s.say(t, 1)
		if f := blockedAt(t, r, "target_schema"); !strings.Contains(s.command(t, 1, "check"), "username") {
			t.Errorf("check does not name the column: %s", f.Error())
		}
		s.db.Exec(t, "ALTER TABLE messages ADD COLUMN username VARCHAR(100) NOT NULL DEFAULT ''")
		carryOn(t, r)
		s.want(t)
	})
	t.Run("an_extra_column_that_must_have_a_value", func(t *testing.T) {
		s, r := begun(t)
		s.db.Exec(t, "ALTER TABLE messages ADD COLUMN branch INT NOT NULL")
		s.say(t, 1)
		f := blockedAt(t, r, "target_schema")
		if out := s.command(t, 1, "check"); f.Code != "1364" || !strings.Contains(out, "branch") {
			t.Errorf("code %s; check does not name the column", f.Code)
		}
		if n := s.db.Int(t, "SELECT COUNT(*) FROM sidestream_dead_letters"); n != 0 {
			t.Errorf("%d dead letters", n)
		}
		s.db.Exec(t, "ALTER TABLE messages MODIFY branch INT NOT NULL DEFAULT 1")
		carryOn(t, r)
		s.want(t)
	})
	t.Run("a_trigger_that_refuses_one_row", func(t *testing.T) {
		for name, signal := range map[string]string{
			"with_a_number_of_its_own":       "SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'no text 00014 at row 2'",
			"in_the_words_of_the_server":     "SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 1040, MESSAGE_TEXT = 'Too many connections'",
			"with_a_state_that_says_nothing": "SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'no'",
		} {
			t.Run(name, func(t *testing.T) {
				s, r := begun(t)
				s.db.Exec(t, "CREATE TRIGGER refuse BEFORE INSERT ON messages FOR EACH ROW BEGIN IF NEW.message = 'text 00014' THEN "+signal+"; END IF; END")
				s.say(t, 10)
				carryOn(t, r)
				s.texts = append(s.texts[:13:13], s.texts[14:]...)
				s.want(t)
				if got := s.db.Text(t, "SELECT GROUP_CONCAT(position) FROM sidestream_dead_letters"); got != "14" {
					t.Errorf("dead letters at %s", got)
				}
			})
		}
	})
	t.Run("a_trigger_that_refuses_every_row_parks_none", func(t *testing.T) {
		s, r := begun(t)
		s.db.Exec(t, "CREATE TRIGGER refuse BEFORE INSERT ON messages FOR EACH ROW SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'closed'")
		s.say(t, 20)
		blockedAt(t, r, "target_refuses_all")
		s.db.Exec(t, "DROP TRIGGER refuse")
		carryOn(t, r)
		s.want(t)
	})
	t.Run("a_trigger_that_moves_ids_up", func(t *testing.T) {
		s, r := begun(t)
		s.db.Exec(t, "CREATE TABLE numbers (n INT)")
		s.db.Exec(t, "INSERT INTO numbers VALUES (1000)")
		s.db.Exec(t, "CREATE TRIGGER move BEFORE INSERT ON messages FOR EACH ROW BEGIN UPDATE numbers SET n = n + 7; SET NEW.id = (SELECT n FROM numbers); END")
		s.say(t, 20)
		carryOn(t, r)
		s.want(t)
		// The ledger knows where they went.
		for _, n := range []int{5, 11, 17, 30} {
			s.commit(t, change(n, mapping.KindEdit, fmt.Sprint("edit of ", n)))
			s.texts[n-1] = fmt.Sprint("edit of ", n)
		}
		carryOn(t, r)
		s.want(t)
	})
	t.Run("a_trigger_that_gives_low_ids_is_blocked", func(t *testing.T) {
		s, r := begun(t)
		s.db.Exec(t, "CREATE TRIGGER move BEFORE INSERT ON messages FOR EACH ROW SET NEW.id = -NEW.id - 1 - (SELECT COUNT(*) FROM messages)")
		s.say(t, 2)
		blockedAt(t, r, "target_ids")
		s.db.Exec(t, "DROP TRIGGER move")
		carryOn(t, r)
		s.want(t)
	})
	t.Run("its_ids_used_up", func(t *testing.T) {
		s, r := begun(t)
		s.db.Exec(t, "ALTER TABLE messages AUTO_INCREMENT = 2147483646")
		s.say(t, 5)
		blockedAt(t, r, "crm_ids_exhausted")
		s.db.Exec(t, "ALTER TABLE messages MODIFY id BIGINT AUTO_INCREMENT")
		carryOn(t, r)
		s.want(t)
		s.commit(t, change(15, mapping.KindEdit, "edited"))
		s.texts[14] = "edited"
		carryOn(t, r)
		s.want(t)
	})
	t.Run("no_partition_for_new_rows", func(t *testing.T) {
		s, r := begun(t)
		s.db.Exec(t, "ALTER TABLE messages PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (13))")
		s.say(t, 5)
		blockedAt(t, r, "target_schema")
		s.db.Exec(t, "ALTER TABLE messages ADD PARTITION (PARTITION p1 VALUES LESS THAN MAXVALUE)")
		carryOn(t, r)
		s.want(t)
	})
	t.Run("without_transactions_is_blocked", func(t *testing.T) {
		s := fresh(t)
		s.db.Exec(t, "ALTER TABLE messages ENGINE=MyISAM")
		s.say(t, 3)
		r := s.loop(t)
		f := blockedAt(t, r, "target_engine")
		s.wantTexts(t)
		s.db.Exec(t, f.Hint)
		carryOn(t, r)
		s.want(t)
	})
	t.Run("in_another_character_set", func(t *testing.T) {
		for charset, replaced := range map[string]string{"latin1": "na\u00efve \u20ac ? ???!", "utf8mb3": "na\u00efve \u20ac \ufffd \u043c\u0438\u0440!"} {
			const text = "na\u00efve \u20ac \U0001F451 \u043c\u0438\u0440!"
			t.Run(charset+"_replaced", func(t *testing.T) {
				s := fresh(t)
				s.db.Exec(t, "ALTER TABLE messages CONVERT TO CHARACTER SET "+charset)
				s.sayTexts(t, "plain", text, "after")
				r := s.loop(t)
				carryOn(t, r)
				s.wantTexts(t, "plain", replaced, "after")
				s.commit(t, change(2, mapping.KindEdit, "edited"))
				carryOn(t, r)
				s.wantTexts(t, "plain", "edited", "after")
			})
			t.Run(charset+"_parked", func(t *testing.T) {
				s := fresh(t)
				s.db.Exec(t, "ALTER TABLE messages CONVERT TO CHARACTER SET "+charset)
				s.sayTexts(t, "plain", text, "after")
				carryOn(t, s.loop(t, func(o *mysql.Options, _ *replicator.Options) { o.ParkUnsupported = true }))
				s.wantTexts(t, "plain", "after")
				if got := s.db.Text(t, "SELECT CONCAT(position, reason) FROM sidestream_dead_letters"); got != "2unsupported_characters" {
					t.Errorf("dead letter: %s", got)
				}
			})
		}
	})
	t.Run("a_time_without_a_zone_is_blocked_not_guessed", func(t *testing.T) {
		s := fresh(t)
		s.db.Exec(t, "ALTER TABLE messages MODIFY created_at DATETIME")
		s.say(t, 1)
		blockedAt(t, s.loop(t), "datetime_zone")
		r := s.loop(t, func(o *mysql.Options, _ *replicator.Options) { o.DatetimeZone = time.FixedZone("", 2*60*60) })
		carryOn(t, r)
		if got := s.db.Text(t, "SELECT CAST(created_at AS CHAR) FROM messages"); got != "2026-09-21 16:13:21" {
			t.Errorf("created_at %s", got)
		}
		s.commit(t, change(1, mapping.KindEdit, "edited"))
		carryOn(t, r)
		s.wantTexts(t, "edited")
	})
	t.Run("a_table_that_alters_what_is_written_is_named_by_check", func(t *testing.T) {
		for name, tt := range map[string]struct{ alter, want string }{
			"the_user_by_its_type":    {"ALTER TABLE messages MODIFY user_id FLOAT", "not found by its user, direction and time"},
			"no_user_in_an_int":       {"ALTER TABLE messages MODIFY user_id INT", "a plain row is refused"},
			"no_user_in_few_letters":  {"ALTER TABLE messages MODIFY user_id VARCHAR(12)", "a plain row is refused"},
			"the_time_by_its_type":    {"ALTER TABLE messages MODIFY created_at DATE, MODIFY id BIGINT AUTO_INCREMENT", "not found by its user, direction and time"},
			"the_user_by_a_trigger":   {"CREATE TRIGGER alters BEFORE INSERT ON messages FOR EACH ROW SET NEW.user_id = CONCAT('ig:', NEW.user_id)", "not found by its user, direction and time"},
			"the_text_by_a_trigger":   {"CREATE TRIGGER alters BEFORE UPDATE ON messages FOR EACH ROW SET NEW.message = OLD.message", "a changed text is not what was written"},
			"nothing_but_every_row":   {"CREATE TRIGGER alters BEFORE INSERT ON messages FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'", "a plain row is refused"},
			"every_change_by_trigger": {"CREATE TRIGGER alters BEFORE UPDATE ON messages FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'", "a plain row is refused"},
		} {
			t.Run(name, func(t *testing.T) {
				s := fresh(t)
				s.db.Exec(t, tt.alter)
				if out := s.command(t, 1, "check"); !strings.Contains(out, tt.want) {
					t.Errorf("check does not say %q", tt.want)
				}
				s.wantTexts(t)
			})
		}
	})
	t.Run("a_table_that_takes_no_id_below_zero_is_no_fault", func(t *testing.T) {
		for name, alter := range map[string]string{
			"partitions": "ALTER TABLE messages PARTITION BY LIST (id DIV 1000000) (PARTITION p0 VALUES IN (0, 1, 2))",
			"a_trigger":  "CREATE TRIGGER refuse BEFORE INSERT ON messages FOR EACH ROW BEGIN IF NEW.id < 0 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'; END IF; END",
		} {
			t.Run(name, func(t *testing.T) {
				s := fresh(t)
				s.db.Exec(t, alter)
				if out := s.command(t, 0, "check"); !strings.Contains(out, "a row can be added, found again and changed") {
					t.Error("check found something")
				}
				s.wantTexts(t)
			})
		}
	})
	t.Run("a_column_too_narrow_for_any_user_parks_none", func(t *testing.T) {
		for name, alter := range map[string]string{"int": "MODIFY user_id INT", "letters": "MODIFY user_id VARCHAR(12)"} {
			t.Run(name, func(t *testing.T) {
				s := fresh(t)
				s.db.Exec(t, "ALTER TABLE messages "+alter)
				var texts []string
				for n := range 20 {
					c := change(n+1, mapping.KindMessage, fmt.Sprint("text ", n+1))
					c.SenderID = fmt.Sprint(90_000_000_000_000_000 + n)
					s.commit(t, c)
					texts = append(texts, *c.Text)
				}
				r := s.loop(t)
				blockedAt(t, r, "target_refuses_all")
				s.db.Exec(t, "ALTER TABLE messages MODIFY user_id VARCHAR(100)")
				carryOn(t, r)
				s.wantTexts(t, texts...)
			})
		}
	})
	t.Run("one_user_too_long_for_the_column_is_parked_alone", func(t *testing.T) {
		s := fresh(t)
		s.db.Exec(t, "ALTER TABLE messages MODIFY user_id VARCHAR(20)")
		s.say(t, 3)
		long := change(4, mapping.KindMessage, "long")
		long.SenderID = strings.Repeat("9", 30)
		s.commit(t, long)
		carryOn(t, s.loop(t))
		s.want(t)
		if got := s.letters(t); len(got) != 1 || got[0].Position != 4 {
			t.Errorf("dead letters: %+v", got)
		}
	})
	t.Run("a_table_that_alters_user_and_time_is_no_restored_one", func(t *testing.T) {
		s := fresh(t)
		s.db.Exec(t, "CREATE TRIGGER alters BEFORE INSERT ON messages FOR EACH ROW SET NEW.user_id = CONCAT('ig:', NEW.user_id), NEW.created_at = NEW.created_at + INTERVAL 1 HOUR")
		for range 3 {
			s.say(t, 2)
			carryOn(t, s.loop(t))
			carryOn(t, s.loop(t))
		}
		s.want(t)
	})
	t.Run("a_time_that_changes_by_itself", func(t *testing.T) {
		s := fresh(t)
		s.db.Exec(t, "ALTER TABLE messages MODIFY created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP")
		s.say(t, 2)
		r := s.loop(t)
		carryOn(t, r)
		before := s.db.Rows(t, "SELECT id, created_at FROM messages ORDER BY id")
		s.commit(t, change(1, mapping.KindEdit, "edited"), change(2, mapping.KindUnsend, ""))
		carryOn(t, r)
		s.wantTexts(t, "edited", "[message unsent]")
		if after := s.db.Rows(t, "SELECT id, created_at FROM messages ORDER BY id"); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Errorf("times moved from %v to %v", before, after)
		}
		if out := s.command(t, 0, "check"); !strings.Contains(out, "changes by itself") {
			t.Error("check does not warn")
		}
	})
	t.Run("strangers_between_and_zero_dates", func(t *testing.T) {
		s := fresh(t)
		s.say(t, 1)
		r := s.loop(t)
		carryOn(t, r)
		loose := s.db.Config()
		loose.Params = map[string]string{"sql_mode": "''"}
		db, err := sql.Open("mysql", loose.FormatDSN())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		if _, err := db.ExecContext(t.Context(), "INSERT INTO messages (user_id, username, direction, message, created_at) VALUES ('902', ?, 'in', 'text 00002', '0000-00-00 00:00:00')", stranger); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			s.meddle(t, 3)
			s.say(t, 2)
			carryOn(t, r)
		}
		s.want(t)
		for n := range 41 {
			s.commit(t, change(n+1, mapping.KindUnsend, ""))
			s.texts[n] = "[message unsent]"
		}
		carryOn(t, r)
		s.want(t)
		if n := s.db.Int(t, "SELECT COUNT(*) FROM messages WHERE username = ? AND message = 'a stranger''s'", stranger); n != 60 {
			t.Errorf("%d untouched rows of a stranger, want 60", n)
		}
	})
}
