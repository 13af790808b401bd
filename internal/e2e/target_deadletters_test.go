package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	appreplicator "sidestream/internal/app/replicator"
	"sidestream/internal/mysql"
	"sidestream/internal/testkit/mariadb"
	"sidestream/internal/testkit/proxy"
	"sidestream/mapping"
	"sidestream/replicator"
)

const refuseBad = "CREATE TRIGGER refuse BEFORE INSERT ON messages FOR EACH ROW BEGIN IF NEW.message LIKE 'bad%' THEN SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'no'; END IF; END"

// letters asks the program for the dead letters.
func (s *site) letters(t *testing.T, args ...string) (all []mysql.DeadLetter) {
	t.Helper()
	out := s.command(t, 0, append([]string{"dead-letters", "list", "--json"}, args...)...)
	if err := json.NewDecoder(strings.NewReader(out)).Decode(&all); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return all
}

func TestTarget_deadletters(t *testing.T) {
	t.Run("a_row_that_is_too_long_is_parked_and_fits_later", func(t *testing.T) {
		s := newSite(t, mariadb.Shared(t).Database(t))
		long := "begins " + strings.Repeat("z", 70_000)
		s.say(t, 3)
		s.sayTexts(t, long)
		s.say(t, 3)
		r := s.loop(t)
		carryOn(t, r)
		s.wantTexts(t, slices.Concat(s.texts[:3], s.texts[4:])...)
		got := s.letters(t)
		if len(got) != 1 || got[0].Position != 4 || got[0].Reason != "too_long" || got[0].Code != "1406" || got[0].Attempts != 1 || got[0].MessageID != "mid.00004" {
			t.Fatalf("dead letters: %+v", got)
		}
		s.command(t, 0, "dead-letters", "list")

		if out := s.command(t, 1, "dead-letters", "retry"); strings.Contains(out, "begins") {
			t.Error("the text is shown")
		}
		if got := s.letters(t); len(got) != 1 || got[0].Attempts != 2 {
			t.Fatalf("after a retry in vain: %+v", got)
		}
		s.db.Exec(t, "ALTER TABLE messages MODIFY message MEDIUMTEXT")
		s.command(t, 1, "dead-letters", "retry", "--position", "5")
		s.command(t, 0, "dead-letters", "retry", "--position", "4")
		s.command(t, 0, "dead-letters", "retry")
		s.wantTexts(t, slices.Concat(s.texts[:3], s.texts[4:], s.texts[3:4])...)
		if got := s.letters(t); len(got) != 0 {
			t.Errorf("still open: %+v", got)
		}
		if got := s.letters(t, "--all"); len(got) != 1 || got[0].ResolvedAt.IsZero() {
			t.Errorf("all: %+v", got)
		}
		if n := s.db.Int(t, "SELECT COUNT(*) FROM sidestream_audit WHERE action = 'dead-letters retry'"); n != 1 {
			t.Errorf("%d audit lines", n)
		}
		// It is one like any other from now on.
		s.say(t, 2)
		s.commit(t, change(4, mapping.KindEdit, "shorter"), change(8, mapping.KindEdit, "eight"))
		carryOn(t, r)
		s.wantTexts(t, slices.Concat(s.texts[:3], s.texts[4:7], []string{"shorter", "eight"}, s.texts[8:])...)
	})
	t.Run("an_edit_made_meanwhile_counts", func(t *testing.T) {
		s := newSite(t, mariadb.Shared(t).Database(t))
		s.db.Exec(t, refuseBad)
		s.sayTexts(t, "one", "bad two", "bad three", "bad four", "five")
		r := s.loop(t)
		carryOn(t, r)
		s.commit(t, change(2, mapping.KindEdit, "two"), change(3, mapping.KindUnsend, ""), change(5, mapping.KindEdit, "bad five"))
		carryOn(t, r)
		s.command(t, 1, "dead-letters", "retry")
		s.wantTexts(t, "one", "bad five", "two", "[message unsent]")
		if got := s.letters(t); len(got) != 1 || got[0].Position != 4 {
			t.Errorf("open: %+v", got)
		}
		// What is still to come finds the row that the retry made.
		again := change(2, mapping.KindEdit, "two again")
		again.Version = 2
		s.commit(t, again)
		s.db.Exec(t, "DROP TRIGGER refuse")
		carryOn(t, r)
		s.command(t, 0, "dead-letters", "retry")
		s.wantTexts(t, "one", "bad five", "two again", "[message unsent]", "bad four")
	})
	t.Run("an_edit_that_does_not_fit_leaves_the_message_as_it_was", func(t *testing.T) {
		s := newSite(t, mariadb.Shared(t).Database(t))
		long := strings.Repeat("z", 70_000)
		s.say(t, 3)
		s.commit(t, change(2, mapping.KindEdit, long), change(3, mapping.KindEdit, "three"))
		r := s.loop(t)
		carryOn(t, r) // the long edit came together with its message
		s.wantTexts(t, "text 00001", "three")
		s.commit(t, change(1, mapping.KindEdit, long))
		carryOn(t, r)
		s.wantTexts(t, "text 00001", "three")
		if got := s.letters(t); len(got) != 2 || got[0].Position != 2 || got[1].Position != 6 {
			t.Fatalf("dead letters: %+v", got)
		}
		s.db.Exec(t, "ALTER TABLE messages MODIFY message MEDIUMTEXT")
		s.command(t, 0, "dead-letters", "retry")
		s.wantTexts(t, long, "three", long)
	})
	t.Run("a_cursor_that_was_moved_back_does_not_double_it", func(t *testing.T) {
		s := newSite(t, mariadb.Shared(t).Database(t))
		s.db.Exec(t, refuseBad)
		s.sayTexts(t, "one", "bad two", "three")
		carryOn(t, s.loop(t))
		s.db.Exec(t, "DROP TRIGGER refuse")
		s.db.Exec(t, "DELETE FROM messages")
		s.command(t, 0, "cursor", "set", "--at", "beginning", "--yes")
		if out := s.command(t, 0, "dead-letters", "retry"); !strings.Contains(out, "not now") {
			t.Error("a letter behind the cursor was tried")
		}
		carryOn(t, s.loop(t))
		s.want(t)
		if got := s.letters(t); len(got) != 0 {
			t.Errorf("still open: %+v", got)
		}
		s.command(t, 0, "dead-letters", "retry")
		s.want(t)
	})
	t.Run("one_whose_source_is_gone_holds_up_no_other", func(t *testing.T) {
		s := newSite(t, mariadb.Shared(t).Database(t))
		s.db.Exec(t, refuseBad)
		s.sayTexts(t, "one", "bad two", "three", "bad four", "five")
		carryOn(t, s.loop(t))
		// What a replaced source and a deleted row leave behind.
		s.db.Exec(t, "INSERT INTO sidestream_dead_letters (source, generation, position, message_id, code, reason, attempts) VALUES ('main', 0, 2, 'mid.of another file', '1406', 'too_long', 1)")
		onFile(t, s.path(), "DELETE FROM messages WHERE seq = 2")
		s.db.Exec(t, "INSERT INTO sidestream_dead_letters (source, generation, position, message_id, code, reason, attempts) VALUES ('main', 0, 4, 'mid.of another file', '1406', 'too_long', 1)")
		s.db.Exec(t, "DROP TRIGGER refuse")
		out := s.command(t, 1, "dead-letters", "retry")
		wantText(t, out, "position 2 of generation 0: not tried (blocked: source_row_gone", "position 4 of generation 0: not tried (blocked: dead_letter_differs",
			"position 2 of generation 1: not tried (blocked: source_row_gone", "position 4: applied", "for 3", "next: close those in SQL")
		s.wantTexts(t, "one", "three", "five", "bad four")
		s.db.Exec(t, "UPDATE sidestream_dead_letters SET resolved_at = CURRENT_TIMESTAMP(6) WHERE resolved_at IS NULL")
		s.command(t, 0, "dead-letters", "retry")
	})
	t.Run("beside_a_running_replicator", func(t *testing.T) {
		s := newSite(t, mariadb.Shared(t).Database(t))
		s.db.Exec(t, refuseBad)
		const messages, every = 400, 5
		var texts []string
		for i := range messages {
			text := fmt.Sprintf("text %05d", i+1)
			if i%every == 0 {
				text = "bad" + text
			}
			texts = append(texts, text)
		}
		s.sayTexts(t, texts...)
		r := s.loop(t)
		carryOn(t, r)
		if got := len(s.letters(t)); got != messages/every {
			t.Fatalf("%d dead letters", got)
		}
		s.db.Exec(t, "DROP TRIGGER refuse")
		// Two impatient operators, while every one of these messages is edited.
		stop := running(t, r)
		var operators sync.WaitGroup
		for range 2 {
			operators.Go(func() {
				var out, errs bytes.Buffer
				if code := appreplicator.Run(t.Context(), []string{"dead-letters", "retry", "-c", s.config}, nil, &out, &errs, "test"); code != 0 {
					t.Errorf("exit %d: %s%s", code, out.String(), errs.String())
				}
			})
		}
		for i := range messages {
			s.commit(t, change(i+1, mapping.KindEdit, fmt.Sprint("edit of ", i+1)))
		}
		operators.Wait()
		s.appliedAll(t, r, 2*messages)
		stop()
		got := map[string]int{}
		for _, row := range s.db.Rows(t, "SELECT message FROM messages") {
			got[row[0]]++
		}
		for i := range messages {
			if text := fmt.Sprint("edit of ", i+1); got[text] != 1 {
				t.Errorf("%q stands there %d times", text, got[text])
			}
		}
		if len(got) != messages {
			t.Errorf("%d different messages, want %d", len(got), messages)
		}
	})
	t.Run("a_commit_without_an_answer", func(t *testing.T) {
		for name, tt := range map[string]struct {
			rule    proxy.Action
			moment  proxy.Moment
			outcome mysql.Retried
			reason  string
		}{
			"that_happened":     {proxy.SwallowResponse(), proxy.Answered, mysql.RetriedApplied, ""},
			"that_never_came":   {proxy.Drop(), proxy.Received, "", "commit_unanswered"},
			"that_happens_late": {proxy.Delay(1500 * time.Millisecond), proxy.Received, mysql.RetriedApplied, ""},
		} {
			t.Run(name, func(t *testing.T) {
				server := mariadb.Shared(t)
				s := newSite(t, server.Database(t))
				s.db.Exec(t, refuseBad)
				s.sayTexts(t, "one", "bad two", "three")
				carryOn(t, s.loop(t))
				s.db.Exec(t, "DROP TRIGGER refuse")
				p := proxy.New(t, server.Addr())
				opt := s.targetOptions()
				opt.Addresses, opt.ReadTimeout = []string{p.Addr()}, time.Second
				target, err := mysql.New(opt)
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = target.Close() }()
				if _, err := target.Load(t.Context()); err != nil {
					t.Fatal(err)
				}
				letters, err := target.ListDeadLetters(t.Context(), false)
				if err != nil || len(letters) != 1 {
					t.Fatal(letters, err)
				}
				p.Intercept(proxy.Once(proxy.At(tt.moment, "COMMIT", tt.rule)))
				c := change(2, mapping.KindMessage, "bad two")
				c.Position = 2
				mapper, err := mapping.New(mapping.Options{})
				if err != nil {
					t.Fatal(err)
				}
				outcome, err := target.Retry(t.Context(), letters[0], func(cursor replicator.Cursor) (replicator.Item, error) {
					return replicator.Plan(mapper, cursor, c, []mapping.Change{c}, nil), nil
				})
				if outcome != tt.outcome || (err != nil) != (tt.reason != "") || (err != nil && replicator.AsFailure(err).Reason != tt.reason) {
					t.Errorf("outcome %q, error %v", outcome, err)
				}
				s.command(t, 0, "dead-letters", "retry")
				s.wantTexts(t, "one", "three", "bad two")
			})
		}
	})
}
