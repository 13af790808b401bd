package e2e_test

import (
	"bytes"
	"net"
	"os/exec"
	"testing"
	"time"

	"sidestream/internal/mysql"
	"sidestream/internal/testkit"
	"sidestream/internal/testkit/mariadb"
	"sidestream/mapping"
	"sidestream/replicator"
)

// client runs one of the server's own programs on a database.
func client(t *testing.T, db mariadb.DB, input []byte, program string, args ...string) []byte {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		mariadb.Missing(t, program)
	}
	host, port, err := net.SplitHostPort(db.Addr)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), path, append([]string{"--no-defaults", "--host=" + host, "--port=" + port, "--user=" + db.User, "--password=" + db.Password}, args...)...)
	command.Stdin = bytes.NewReader(input)
	var errs bytes.Buffer
	command.Stderr = &errs
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", program, err, errs.String())
	}
	return out
}

func dump(t *testing.T, db mariadb.DB, tables ...string) []byte {
	t.Helper()
	return client(t, db, nil, "mariadb-dump", append([]string{"--single-transaction", "--no-tablespaces", db.Name}, tables...)...)
}

func restore(t *testing.T, db mariadb.DB, dumped []byte) {
	t.Helper()
	client(t, db, dumped, "mariadb", db.Name)
}

// TestTarget_restored: the CRM goes back to a dump of ten minutes ago.
func TestTarget_restored(t *testing.T) {
	// dumped has 20 messages in a dump and 15 more behind it, some of both
	// edited, unsent, parked and erased; tables says what the dump holds.
	dumped := func(t *testing.T, tables ...string) (*site, *replicator.Replicator, []byte) {
		t.Helper()
		s := newSite(t, mariadb.Shared(t).Database(t))
		r := s.loop(t, func(_ *mysql.Options, o *replicator.Options) { o.BatchRows = 7 })
		s.say(t, 20)
		s.commit(t, change(19, mapping.KindEdit, "edited"), change(20, mapping.KindUnsend, ""))
		s.texts[18], s.texts[19] = "edited", "[message unsent]"
		carryOn(t, r)
		s.meddle(t, 2)
		held := dump(t, s.db, tables...)
		s.say(t, 15)
		s.commit(t, change(5, mapping.KindEdit, "edited later"))
		s.texts[4] = "edited later"
		carryOn(t, r)
		s.want(t)
		return s, r, held
	}
	t.Run("with_the_state_tables_and_a_replicator_that_knows_better", func(t *testing.T) {
		s, r, held := dumped(t)
		restore(t, s.db, held)
		s.meddle(t, 4)
		s.say(t, 2)
		blockedAt(t, r, "target_cursor_behind")
		s.command(t, 0, "cursor", "resume", "--dry-run")
		blockedAt(t, r, "target_cursor_behind")
		s.command(t, 0, "cursor", "resume")
		carryOn(t, r)
		s.want(t)
	})
	t.Run("with_the_state_tables_and_a_replicator_that_starts_afterwards", func(t *testing.T) {
		s, _, held := dumped(t)
		restore(t, s.db, held)
		s.meddle(t, 4)
		s.say(t, 2)
		carryOn(t, s.loop(t))
		s.want(t)
	})
	t.Run("only_the_row_of_the_cursor", func(t *testing.T) {
		s, r, held := dumped(t, "sidestream_cursor")
		s.commit(t, change(7, mapping.KindEdit, "edited too"))
		s.texts[6] = "edited too"
		carryOn(t, r)
		restore(t, s.db, held)
		s.say(t, 3)
		r = s.loop(t) // nothing in this process's memory knows better
		blockedAt(t, r, "ledger_ahead")
		s.command(t, 0, "cursor", "resume")
		carryOn(t, r)
		s.want(t)
	})
	t.Run("without_the_state_tables", func(t *testing.T) {
		s, r, held := dumped(t, "messages")
		restore(t, s.db, held)
		s.meddle(t, 1)
		s.say(t, 2)
		blockedAt(t, r, "target_rewound")
		s.command(t, 0, "cursor", "resume")
		carryOn(t, r)
		s.want(t)
		if n := s.db.Int(t, "SELECT COUNT(*) FROM messages WHERE username = ?", stranger); n != 3 {
			t.Errorf("%d rows of a stranger, want 3", n)
		}
	})
	t.Run("without_the_state_tables_and_strangers_have_used_the_lost_ids", func(t *testing.T) {
		s, r, held := dumped(t, "messages")
		// The server tells in seconds when it made a table.
		if err := wait(t.Context(), 1100*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		stop := running(t, s.loop(t, func(_ *mysql.Options, o *replicator.Options) { o.IdleReload = 100 * time.Millisecond }))
		s.say(t, 1)
		testkit.Eventually(t, patient, func() bool { return s.db.Int(t, "SELECT COUNT(*) FROM messages WHERE message = 'text 00036'") == 1 }, "applied")
		restore(t, s.db, held)
		s.meddle(t, 40)
		testkit.Eventually(t, patient, func() bool {
			return s.db.Int(t, "SELECT COUNT(*) FROM sidestream_meta WHERE name LIKE 'rewound:%'") == 1
		}, "found out")
		s.say(t, 1)
		s.commit(t, change(30, mapping.KindUnsend, ""))
		blockedAt(t, r, "target_rewound")
		if n := s.db.Int(t, "SELECT COUNT(*) FROM messages WHERE username = ? AND message = 'a stranger''s'", stranger); n != 42 {
			t.Errorf("%d untouched rows of a stranger, want 42", n)
		}
		s.command(t, 0, "cursor", "resume")
		s.texts[29] = "[message unsent]"
		testkit.Eventually(t, patient, func() bool { return s.db.Int(t, "SELECT position FROM sidestream_cursor") >= 41 }, "went on by itself")
		stop()
		s.want(t)
	})
	t.Run("a_table_that_was_only_rebuilt_carries_on", func(t *testing.T) {
		s, r, _ := dumped(t)
		if err := wait(t.Context(), 1100*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		s.db.Exec(t, "ALTER TABLE messages ADD COLUMN noted INT, ALGORITHM=COPY")
		s.say(t, 2)
		carryOn(t, r)
		carryOn(t, s.loop(t))
		s.want(t)
	})
	t.Run("into_a_new_database_without_the_state_tables", func(t *testing.T) {
		s, r, held := dumped(t, "messages")
		s.db.Exec(t, "DROP TABLE messages, sidestream_meta, sidestream_cursor, sidestream_ledger, sidestream_dead_letters, sidestream_audit")
		restore(t, s.db, held)
		s.say(t, 2)
		blockedAt(t, r, "target_cursor_lost")
		blockedAt(t, s.loop(t), "cursor_undecided")
		// The operator sees which message is the last one: the twentieth.
		s.command(t, 0, "cursor", "init", "--at", "22")
		carryOn(t, r)
		s.texts[4] = "text 00005" // without the ledger nobody finds its row again
		s.want(t)
	})
	t.Run("with_the_state_tables_and_nothing_running", func(t *testing.T) {
		s, _, held := dumped(t)
		restore(t, s.db, held)
		s.command(t, 0, "cursor", "resume")
		s.command(t, 0, "once")
		s.want(t)
	})
}

// TestTarget_resume: what the command must not do.
func TestTarget_resume(t *testing.T) {
	t.Run("doubles_nothing_where_nothing_is_lost", func(t *testing.T) {
		s := newSite(t, mariadb.Shared(t).Database(t))
		s.say(t, 30)
		s.commit(t, change(30, mapping.KindEdit, "edited"), change(29, mapping.KindErase, ""))
		s.texts[29], s.texts[28] = "edited", mapping.ErasedText
		carryOn(t, s.loop(t))
		s.want(t)
		for range 3 {
			s.command(t, 0, "cursor", "resume")
			carryOn(t, s.loop(t))
			s.want(t)
		}
	})
	t.Run("doubles_nothing_where_texts_are_too_many_for_one_read", func(t *testing.T) {
		s := newSite(t, mariadb.Shared(t).Database(t))
		s.db.Exec(t, "ALTER TABLE messages MODIFY message MEDIUMTEXT")
		long := make([]byte, 60_000)
		for i := range long {
			long[i] = 'x'
		}
		for range 150 {
			s.sayTexts(t, string(long))
		}
		carryOn(t, s.loop(t))
		s.command(t, 0, "cursor", "resume")
		carryOn(t, s.loop(t))
		s.want(t)
	})
}
