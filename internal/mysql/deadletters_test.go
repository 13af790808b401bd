package mysql_test

import (
	"testing"
	"time"

	"sidestream/internal/mysql"
	"sidestream/internal/testkit"
	"sidestream/internal/testkit/mariadb"
	"sidestream/replicator"
)

// park puts a message into the dead letters and returns the open ones.
func park(t *testing.T, target *mysql.Target, cursor replicator.Cursor, parked replicator.Item) []mysql.DeadLetter {
	t.Helper()
	parked.Op, parked.Reason, parked.Code = replicator.OpPark, "too_long", "1406"
	if err := apply(t, target, cursor, parked); err != nil {
		t.Fatal(err)
	}
	letters, err := target.ListDeadLetters(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	return letters
}

func TestTarget_Retry(t *testing.T) {
	t.Run("a_batch_that_waits_for_it_finds_the_row_that_it_made", func(t *testing.T) {
		server := mariadb.Shared(t)
		db := server.Database(t)
		target, cursor := begun(t, options(db))
		letters := park(t, target, cursor, item(1, "one"))
		cursor = load(t, target)
		other := newTarget(t, options(db))
		load(t, other)

		edit := item(2, "edited")
		edit.Op, edit.MessagePosition, edit.Was = replicator.OpUpdate, 1, item(1, "").Record
		prepared, err := target.Prepare(replicator.Batch{From: cursor, To: 2, SourceID: "source", Items: []replicator.Item{edit}})
		if err != nil {
			t.Fatal(err)
		}
		type answer struct {
			applied replicator.Applied
			err     error
		}
		done := make(chan answer, 1)
		outcome, err := other.Retry(t.Context(), letters[0], func(replicator.Cursor) (replicator.Item, error) {
			// The cursor's row is held now; the batch begins and has to wait.
			go func() {
				applied, err := target.Apply(t.Context(), prepared, "attempt")
				done <- answer{applied, err}
			}()
			testkit.Eventually(t, 20*time.Second, func() bool {
				return server.Int(t, "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE DB = ? AND STATE = 'Updating' AND INFO LIKE 'UPDATE%sidestream_cursor%'", db.Name) > 0
			}, "waiting for the cursor's row")
			return item(1, "one"), nil
		})
		if err != nil || outcome != mysql.RetriedApplied {
			t.Fatalf("%s, %v", outcome, err)
		}
		if got := <-done; got.err != nil || len(got.applied.Missed) > 0 {
			t.Errorf("the batch missed the row: %v, %v", got.applied.Missed, got.err)
		}
		if got := db.Text(t, "SELECT message FROM messages"); got != "edited" {
			t.Errorf("the message is %q", got)
		}
	})
	t.Run("two_at_once_apply_once", func(t *testing.T) {
		db := mariadb.Shared(t).Database(t)
		target, cursor := begun(t, options(db))
		letters := park(t, target, cursor, item(1, "one"))
		for _, want := range []mysql.Retried{mysql.RetriedApplied, mysql.RetriedAlready} {
			outcome, err := target.Retry(t.Context(), letters[0], func(replicator.Cursor) (replicator.Item, error) { return item(1, "one"), nil })
			if err != nil || outcome != want {
				t.Errorf("%s, %v; want %s", outcome, err, want)
			}
		}
		if n := db.Int(t, "SELECT COUNT(*) FROM messages"); n != 1 {
			t.Errorf("%d rows", n)
		}
	})
	t.Run("a_message_that_is_in_the_ledger_is_not_sent_again", func(t *testing.T) {
		db := mariadb.Shared(t).Database(t)
		target, cursor := begun(t, options(db))
		if err := apply(t, target, cursor, item(1, "one")); err != nil {
			t.Fatal(err)
		}
		db.Exec(t, "INSERT INTO sidestream_dead_letters (source, generation, position, message_id, code, reason, attempts) VALUES ('main', 1, 1, 'mid', '', 'x', 1)")
		letters, err := target.ListDeadLetters(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		outcome, err := target.Retry(t.Context(), letters[0], func(replicator.Cursor) (replicator.Item, error) { return item(1, "one"), nil })
		if err != nil || outcome != mysql.RetriedAlready {
			t.Errorf("%s, %v", outcome, err)
		}
		if n := db.Int(t, "SELECT COUNT(*) FROM messages"); n != 1 {
			t.Errorf("%d rows", n)
		}
	})
	t.Run("another_message_at_its_position_is_not_touched", func(t *testing.T) {
		db := mariadb.Shared(t).Database(t)
		target, cursor := begun(t, options(db))
		letters := park(t, target, cursor, item(1, "one"))
		_, err := target.Retry(t.Context(), letters[0], func(replicator.Cursor) (replicator.Item, error) {
			another := item(1, "another")
			another.MessageID = "another"
			return another, nil
		})
		wantReason(t, err, replicator.Blocked, "dead_letter_differs")
		if n := db.Int(t, "SELECT COUNT(*) FROM messages"); n != 0 {
			t.Errorf("%d rows", n)
		}
	})
	t.Run("the_attempt_token_of_the_loop_stays", func(t *testing.T) {
		db := mariadb.Shared(t).Database(t)
		target, cursor := begun(t, options(db))
		letters := park(t, target, cursor, item(1, "one"))
		before := load(t, target)
		if _, err := target.Retry(t.Context(), letters[0], func(replicator.Cursor) (replicator.Item, error) { return item(1, "one"), nil }); err != nil {
			t.Fatal(err)
		}
		if after := load(t, target); after.Attempt != before.Attempt || after.Position != before.Position || after.AppliedTotal != before.AppliedTotal {
			t.Errorf("cursor %+v, was %+v", after, before)
		}
	})
	t.Run("a_change_that_cannot_be_mapped_counts_as_refused", func(t *testing.T) {
		db := mariadb.Shared(t).Database(t)
		target, cursor := begun(t, options(db))
		letters := park(t, target, cursor, item(1, "one"))
		outcome, err := target.Retry(t.Context(), letters[0], func(replicator.Cursor) (replicator.Item, error) {
			bad := item(1, "")
			bad.Op, bad.Reason = replicator.OpPark, "no_user"
			return bad, nil
		})
		if outcome != mysql.RetriedRefused || replicator.AsFailure(err).Reason != "no_user" {
			t.Errorf("%s, %v", outcome, err)
		}
		if got := db.Text(t, "SELECT CONCAT(attempts, reason, resolved_at IS NULL) FROM sidestream_dead_letters"); got != "2no_user1" {
			t.Errorf("letter: %s", got)
		}
	})
}
