package e2e_test

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"sidestream/internal/testkit"
)

// TestSource_numbers is about what can be done to the table's numbers.
func TestSource_numbers(t *testing.T) {
	t.Run("VACUUM_by_a_third_process_under_load", func(t *testing.T) {
		p := newRunningPair(t, 20)
		stop := p.load(t)
		for range 10 {
			p.more(t, 10)
			p.sqlite(t, "DELETE FROM messages WHERE seq % 3 = 0 AND seq < 18", "VACUUM")
		}
		stop()
		p.goesOn(t, 10)
	})
	t.Run("sqlite_sequence_wiped", func(t *testing.T) {
		p := newRunningPair(t, 20)
		p.sqlite(t, "DELETE FROM sqlite_sequence")
		p.goesOn(t, 20)
	})
	t.Run("sqlite_sequence_wiped_with_the_rows", func(t *testing.T) {
		p := newRunningPair(t, 20)
		p.sqlite(t, "DELETE FROM messages", "DELETE FROM sqlite_sequence")
		p.blocked(t, "source_rewound", "replicator cursor resume")
		p.operator(t, 0, "cursor", "resume")
		p.goesOn(t, 30)
	})
	t.Run("sqlite_sequence_wiped_with_the_rows_and_written_again", func(t *testing.T) {
		p := newRunningPair(t, 20)
		p.sqlite(t, "DELETE FROM messages", "DELETE FROM sqlite_sequence")
		p.blocked(t, "source_rewound")
		p.post(t, 30)
		p.blocked(t, "source_replaced", "replicator cursor resume")
		p.operator(t, 0, "cursor", "resume")
		p.goesOn(t, 30)
	})
	t.Run("newest_rows_deleted", func(t *testing.T) {
		p := newRunningPair(t, 20)
		p.sqlite(t, "DELETE FROM messages WHERE seq > 12")
		p.goesOn(t, 20)
	})
	t.Run("newest_rows_deleted_and_their_numbers_given_out_again", func(t *testing.T) {
		p := newRunningPair(t, 20)
		p.sqlite(t, "DELETE FROM messages WHERE seq > 12", "UPDATE sqlite_sequence SET seq = 12")
		p.blocked(t, "source_rewound", "replicator cursor resume")
		p.operator(t, 0, "cursor", "resume")
		p.goesOn(t, 20)
	})
	t.Run("all_rows_deleted", func(t *testing.T) {
		p := newRunningPair(t, 20)
		p.sqlite(t, "DELETE FROM messages")
		p.goesOn(t, 20)
	})
	// A row with a number of somebody's own, like the newest one but for its id.
	insert := func(number int64) string {
		return fmt.Sprintf(`INSERT INTO messages (seq, id, kind, version, account_id, sender_id, recipient_id, direction, message_text, attachments, timestamp, created_at)
			SELECT %d, 'by hand', kind, version, account_id, sender_id, recipient_id, direction, 'by hand', NULL, timestamp, created_at FROM messages WHERE seq = (SELECT max(seq) FROM messages)`, number)
	}
	const huge = int64(1) << 62
	t.Run("a_huge_number_that_is_taken_out_again", func(t *testing.T) {
		p := newRunningPair(t, 20)
		p.sqlite(t, insert(huge))
		p.blocked(t, "source_position_jump", "remove it", "sqlite_sequence")
		p.post(t, 20)
		p.sqlite(t,
			"UPDATE messages SET seq = seq - "+strconv.FormatInt(huge, 10)+" + (SELECT max(seq) FROM messages WHERE seq < 1000000) WHERE seq > "+strconv.FormatInt(huge, 10),
			"DELETE FROM messages WHERE id = 'by hand'",
			"UPDATE sqlite_sequence SET seq = (SELECT max(seq) FROM messages)")
		p.goesOn(t, 20)
	})
	t.Run("a_huge_number_that_stays", func(t *testing.T) {
		p := newRunningPair(t, 20)
		p.sqlite(t, insert(huge))
		p.blocked(t, "source_position_jump", "replicator cursor set")
		p.post(t, 20)
		p.operator(t, 0, "cursor", "set", "--at", strconv.FormatInt(huge, 10))
		p.blocked(t, "source_position_jump")
		// The row by hand counts as applied; what the writer stored after it follows.
		p.operator(t, 0, "cursor", "set", "--at", strconv.FormatInt(huge, 10), "--yes")
		p.goesOn(t, 20)
	})
	t.Run("the_highest_number_that_there_is", func(t *testing.T) {
		p := newRunningPair(t, 20)
		p.sqlite(t, insert(math.MaxInt64))
		p.blocked(t, "source_position_jump", "remove it", "sqlite_sequence")
		// No number is left for the writer: it refuses until the row is gone.
		stop := p.load(t)
		testkit.Eventually(t, patient, func() bool { return strings.Contains(p.writer.Stderr(), "not stored") }, "refused by the writer")
		p.sqlite(t, "DELETE FROM messages WHERE id = 'by hand'", "UPDATE sqlite_sequence SET seq = (SELECT max(seq) FROM messages)")
		p.more(t, 20)
		stop()
		p.goesOn(t, 10)
	})
}

// TestSource_schema changes the table under the reader. The writer refuses what
// it cannot store meanwhile, and Instagram delivers it again.
func TestSource_schema(t *testing.T) {
	for name, tc := range map[string]struct{ break_, mend string }{
		"a_column_renamed":  {"ALTER TABLE messages RENAME COLUMN message_text TO body", "ALTER TABLE messages RENAME COLUMN body TO message_text"},
		"a_column_dropped":  {"ALTER TABLE messages DROP COLUMN attachments", "ALTER TABLE messages ADD COLUMN attachments TEXT"},
		"the_table_renamed": {"ALTER TABLE messages RENAME TO old_messages", "ALTER TABLE old_messages RENAME TO messages"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newRunningPair(t, 20)
			p.sqlite(t, tc.break_)
			stop := p.load(t)
			if name == "the_table_renamed" {
				p.waits(t, "source_not_ready")
			} else {
				p.blocked(t, "source_schema", "replicator check")
				wantText(t, p.operator(t, 1, "check"), "has no column")
			}
			p.sqlite(t, tc.mend)
			p.more(t, 10)
			stop()
			p.goesOn(t, 10)
		})
	}
	t.Run("a_column_added", func(t *testing.T) {
		p := newRunningPair(t, 20)
		stop := p.load(t)
		p.more(t, 10)
		p.sqlite(t, "ALTER TABLE messages ADD COLUMN remark TEXT")
		p.more(t, 10)
		stop()
		p.goesOn(t, 10)
	})
}

// TestSource_locked locks the file for longer than SQLite waits (5 s).
func TestSource_locked(t *testing.T) {
	lock := func(t *testing.T, p *pair, statements ...string) (release func()) {
		t.Helper()
		db, err := sql.Open("sqlite3", "file:"+p.path+"?mode=rw&_busy_timeout=10000")
		if err != nil {
			t.Fatal(err)
		}
		db.SetMaxOpenConns(1)
		t.Cleanup(func() { _ = db.Close() })
		for _, statement := range statements {
			if _, err := db.ExecContext(context.WithoutCancel(t.Context()), statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
		return func() {
			t.Helper()
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Run("for_writing", func(t *testing.T) {
		p := newRunningPair(t, 20)
		stop := p.load(t)
		p.more(t, 10)
		release := lock(t, p, "BEGIN IMMEDIATE", "UPDATE messages SET version = version WHERE 0")
		testkit.Eventually(t, patient, func() bool { return strings.Contains(p.writer.Stderr(), "not stored") }, "refused by the writer")
		release()
		p.more(t, 10)
		stop()
		p.goesOn(t, 10)
	})
	t.Run("for_everybody", func(t *testing.T) {
		p := newPair(t)
		p.begin(t)
		p.post(t, 20)
		p.end(t)
		release := lock(t, p, "PRAGMA locking_mode = EXCLUSIVE", "BEGIN EXCLUSIVE", "UPDATE messages SET version = version WHERE 0", "COMMIT")
		p.rig.start(t, "replicator")
		p.waits(t, "source_busy")
		release()
		p.begin(t)
		p.goesOn(t, 20)
	})
}
