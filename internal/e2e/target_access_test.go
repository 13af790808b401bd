package e2e_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sidestream/internal/mysql"
	"sidestream/internal/testkit"
	"sidestream/internal/testkit/mariadb"
	"sidestream/mapping"
	"sidestream/replicator"
)

// TestTarget_access: what the CRM's user may do, and where.
func TestTarget_access(t *testing.T) {
	t.Run("without_the_right_to_create_tables", func(t *testing.T) {
		server := mariadb.Shared(t)
		db := server.Database(t)
		server.Exec(t, "REVOKE ALL PRIVILEGES ON "+db.Name+".* FROM "+db.User+"@'%'")
		server.Exec(t, "GRANT SELECT, INSERT, UPDATE, DELETE ON "+db.Name+".messages TO "+db.User+"@'%'")
		s := newSite(t, db)
		s.say(t, 3)
		r := s.loop(t)
		f := stopsAt(t, r, "privileges")
		if f.Class != replicator.Blocked || !strings.Contains(f.Hint, "replicator schema") {
			t.Errorf("%s, next: %s", f.Error(), f.Hint)
		}
		// The administrator runs what the command prints, and that is enough.
		for statement := range strings.SplitSeq(s.command(t, 0, "schema"), ";\n") {
			var lines []string
			for line := range strings.Lines(statement) {
				if !strings.HasPrefix(line, "--") {
					lines = append(lines, line)
				}
			}
			if statement = strings.TrimSpace(strings.Join(lines, "")); statement != "" {
				server.Exec(t, statement)
			}
		}
		carryOn(t, r)
		s.command(t, 0, "check")
		s.command(t, 0, "cursor", "resume")
		s.say(t, 3)
		carryOn(t, s.loop(t))
		s.want(t)
	})
	t.Run("a_database_that_comes_later", func(t *testing.T) {
		server := mariadb.Shared(t)
		db := server.Database(t)
		s := newSite(t, db)
		server.Exec(t, "DROP DATABASE "+db.Name)
		s.say(t, 3)
		r := s.loop(t)
		blockedAt(t, r, "database_missing")
		server.Exec(t, "CREATE DATABASE "+db.Name+" CHARACTER SET utf8mb4")
		blockedAt(t, r, "table_missing")
		db.Exec(t, mariadb.CRMTable)
		carryOn(t, r)
		s.want(t)
	})
	t.Run("state_in_another_database", func(t *testing.T) {
		server := mariadb.Shared(t)
		db, state := server.Database(t), server.EmptyDatabase(t, "")
		server.Exec(t, "GRANT ALL ON "+state.Name+".* TO "+db.User+"@'%'")
		s := newSite(t, db)
		text, err := os.ReadFile(s.config)
		if err != nil {
			t.Fatal(err)
		}
		text = []byte(strings.Replace(string(text), "[crm]\n", "[crm]\nstate_database = \""+state.Name+"\"\n", 1))
		if err := os.WriteFile(s.config, text, 0o600); err != nil {
			t.Fatal(err)
		}
		r := s.loop(t, func(o *mysql.Options, _ *replicator.Options) { o.StateDatabase = state.Name })
		s.say(t, 30)
		carryOn(t, r)
		s.commit(t, change(3, mapping.KindEdit, "edited"))
		s.texts[2] = "edited"
		s.command(t, 0, "once")
		s.want(t)
		if n := db.Int(t, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = ?", db.Name); n != 1 {
			t.Errorf("%d tables beside the CRM's, want none", n-1)
		}
		db.Exec(t, "TRUNCATE messages")
		s.say(t, 1)
		blockedAt(t, r, "target_rewound")
		s.command(t, 0, "cursor", "resume")
		carryOn(t, r)
		s.want(t)
	})
	t.Run("a_wrong_password_is_tried_slowly_and_the_right_one_at_once", func(t *testing.T) {
		db := mariadb.Shared(t).Database(t)
		s := newSite(t, db)
		file := filepath.Join(s.dir, "password")
		write := func(path, text string) {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write(file, "wrong")
		text, err := os.ReadFile(s.config)
		if err != nil {
			t.Fatal(err)
		}
		write(s.config, strings.Replace(string(text), "password = \""+db.Password+"\"", "password_file = \""+file+"\"", 1))
		s.say(t, 3)
		p := s.start(t, "replicator")
		if got := s.waitState(t, "blocked", "login_refused"); !strings.Contains(got.Hint, "crm.password") {
			t.Errorf("next: %s", got.Hint)
		}
		next := s.nextAttempt(t)
		if until := time.Until(next); until < 40*time.Second {
			t.Errorf("the next attempt comes in %s", until)
		}
		write(file, db.Password+"\n")
		s.drained(t)
		if !time.Now().Before(next) {
			t.Error("the changed file did not cause an attempt by itself")
		}
		s.want(t)
		p.Term(t)
		p.WantExit(t, patient, 0)
	})
}

// nextAttempt asks the running replicator when it tries again.
func (s *site) nextAttempt(t *testing.T) (at time.Time) {
	t.Helper()
	testkit.EventuallyNil(t, patient, func() error {
		body, err := get(t, "http://"+s.replicatorOps+"/status")
		if err != nil {
			return err
		}
		_, rest, _ := strings.Cut(body, `"next_attempt":"`)
		if rest == "" {
			_, rest, _ = strings.Cut(body, `"next_attempt": "`)
		}
		stamp, _, _ := strings.Cut(rest, `"`)
		at, err = time.Parse(time.RFC3339Nano, stamp)
		return err
	}, "told when the next attempt is")
	return at
}

// TestTarget_ids: an hour of failing attempts must not use up the CRM's INT ids.
func TestTarget_ids(t *testing.T) {
	// An AFTER trigger refuses a row that has its id already.
	const pending, attempts = 3000, 240 // every 15 s, the mean of a backoff of at most 30 s
	for name, tt := range map[string]struct {
		breakIt, mendIt, reason string
		most                    int64
	}{
		"while_a_trigger_refuses_every_row": {
			"CREATE TRIGGER refuse AFTER INSERT ON messages FOR EACH ROW SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'closed'",
			"DROP TRIGGER refuse", "target_refuses_all", 1000 + 2*attempts + 100,
		},
		"while_a_column_lacks_a_value": {
			"ALTER TABLE messages ADD COLUMN branch INT NOT NULL",
			"ALTER TABLE messages DROP COLUMN branch", "target_schema", 2*1000 + attempts + 100,
		},
		"while_a_trigger_says_something_unknown": {
			"CREATE TRIGGER refuse AFTER INSERT ON messages FOR EACH ROW SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'closed'",
			"DROP TRIGGER refuse", "target_refuses_all", 2*1000 + 2*attempts + 100,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, mariadb.Shared(t).Database(t))
			now := time.Now()
			r := s.loop(t, func(_ *mysql.Options, o *replicator.Options) { o.Now = func() time.Time { return now } })
			s.say(t, 5)
			carryOn(t, r)
			s.db.Exec(t, tt.breakIt)
			s.say(t, pending)
			next := func() int64 {
				return s.db.Int(t, "SELECT AUTO_INCREMENT FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = 'messages'", s.db.Name)
			}
			before := next()
			for failed := 0; failed < attempts; {
				// A step that narrows a batch down goes on at once; a failure waits.
				if _, err := r.Step(t.Context()); err != nil {
					failed++
					now = now.Add(15 * time.Second)
				}
			}
			burnt := next() - before
			t.Logf("%d attempts in a simulated hour used up %d ids, the limit is %d", attempts, burnt, tt.most)
			if burnt > tt.most {
				t.Errorf("%d ids, more than %d", burnt, tt.most)
			}
			blockedAt(t, r, tt.reason)
			s.db.Exec(t, tt.mendIt)
			carryOn(t, r)
			s.want(t)
		})
	}
	t.Run("while_one_row_of_many_is_refused", func(t *testing.T) {
		s := newSite(t, mariadb.Shared(t).Database(t))
		for i := range 2000 {
			if i%400 == 7 {
				s.sayTexts(t, strings.Repeat("z", 70_000))
				continue
			}
			s.say(t, 1)
		}
		carryOn(t, s.loop(t))
		if got := s.db.Int(t, "SELECT COUNT(*) FROM sidestream_dead_letters"); got != 5 {
			t.Errorf("%d dead letters", got)
		}
		if last := s.db.Int(t, "SELECT MAX(id) FROM messages"); last > 2000+5*1000+100 {
			t.Errorf("the last id is %d for 1995 rows", last)
		} else {
			t.Logf("the last id is %d for 1995 rows", last)
		}
	})
}
