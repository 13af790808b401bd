package e2e_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sidestream/internal/mysql"
	"sidestream/internal/testkit"
	"sidestream/internal/testkit/mariadb"
	"sidestream/mapping"
	"sidestream/replicator"
)

// waitsFor waits until a running replicator reports a reason.
func waitsFor(t *testing.T, r *replicator.Replicator, reason string) {
	t.Helper()
	testkit.EventuallyNil(t, patient, func() error {
		switch f := r.State().Failure; {
		case f == nil:
			return errNone
		case f.Reason != reason:
			return f
		}
		return nil
	}, "waiting because of "+reason)
}

// TestTarget_server: what can happen to the server. Each case carries on by
// itself once the server does.
func TestTarget_server(t *testing.T) {
	t.Run("killed_and_restarted_under_load", func(t *testing.T) {
		server := mariadb.Start(t)
		s := newSite(t, server.Database(t))
		r := s.loop(t, func(_ *mysql.Options, o *replicator.Options) { o.BatchRows = 20 })
		stop := running(t, r)
		for range 4 {
			for range 50 {
				s.say(t, 3)
			}
			server.Kill(t)
			s.say(t, 50)
			server.Restart(t)
		}
		s.appliedAll(t, r, int64(s.said()))
		stop()
		s.want(t)
	})
	t.Run("read_only_flipped_under_load", func(t *testing.T) {
		server := mariadb.Start(t)
		s := newSite(t, server.Database(t))
		r := s.loop(t, func(_ *mysql.Options, o *replicator.Options) { o.BatchRows = 20 })
		stop := running(t, r)
		for range 3 {
			for range 20 {
				s.say(t, 3)
			}
			server.Exec(t, "SET GLOBAL read_only = 1")
			s.say(t, 20)
			waitsFor(t, r, "crm_read_only")
			server.Exec(t, "SET GLOBAL read_only = 0")
		}
		s.appliedAll(t, r, int64(s.said()))
		stop()
		s.want(t)
	})
	t.Run("connection_limits", func(t *testing.T) {
		server := mariadb.Start(t)
		db := server.Database(t)
		s := newSite(t, db)
		s.say(t, 3)
		occupy := func(n int) func() {
			open, err := sql.Open("mysql", db.DSN)
			if err != nil {
				t.Fatal(err)
			}
			var held []*sql.Conn
			for range n {
				// The server counts a connection that was just closed for a while.
				testkit.EventuallyNil(t, patient, func() error {
					conn, err := open.Conn(t.Context())
					if err == nil {
						held = append(held, conn)
					}
					return err
				}, "connected")
			}
			return func() {
				for _, conn := range held {
					_ = conn.Close()
				}
				_ = open.Close()
			}
		}
		for name, limit := range map[string]string{
			"of_the_user":   "ALTER USER " + db.User + "@'%' WITH MAX_USER_CONNECTIONS 10",
			"of_the_server": "SET GLOBAL max_connections = 10",
		} {
			server.Exec(t, limit)
			release := occupy(10)
			r := s.loop(t)
			f := stopsAt(t, r, "too_many_connections")
			if !f.Slow || f.Class != replicator.Transient {
				t.Errorf("%s: %s", name, f.Error())
			}
			release()
			carryOn(t, r)
			server.Exec(t, "SET GLOBAL max_connections = 100")
		}
		s.want(t)
	})
	t.Run("a_small_packet_limit", func(t *testing.T) {
		server := mariadb.Start(t, mariadb.Args("--max-allowed-packet=1M"))
		s := newSite(t, server.Database(t))
		s.db.Exec(t, "ALTER TABLE messages MODIFY message MEDIUMTEXT")
		var texts []string
		for i := range 60 {
			texts = append(texts, fmt.Sprintf("%03d %s", i, strings.Repeat("x", 40_000)))
		}
		s.sayTexts(t, texts...)
		large := strings.Repeat("y", 700_000)
		s.sayTexts(t, large)
		s.say(t, 5)
		carryOn(t, s.loop(t))
		s.texts = append(s.texts[:60:60], s.texts[61:]...)
		s.want(t)
		if got := s.db.Text(t, "SELECT CONCAT(position, reason) FROM sidestream_dead_letters"); got != "61too_large" {
			t.Errorf("dead letter: %s", got)
		}
	})
	t.Run("idle_connections_ended_early", func(t *testing.T) {
		server := mariadb.Start(t, mariadb.Args("--wait-timeout=2", "--interactive-timeout=2"))
		s := newSite(t, server.Database(t))
		r := s.loop(t)
		s.say(t, 2)
		carryOn(t, r)
		if err := wait(t.Context(), 2500*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		s.say(t, 2)
		if _, err := r.Step(t.Context()); err != nil {
			t.Errorf("the session's own wait_timeout does not hold: %v", err)
		}
		// And where somebody ends it all the same:
		for _, row := range queryAll(t, server, "SELECT id FROM information_schema.PROCESSLIST WHERE user = '"+s.db.User+"'") {
			server.Exec(t, "KILL "+row)
		}
		s.say(t, 2)
		carryOn(t, r)
		s.want(t)
	})
	t.Run("a_row_that_somebody_holds", func(t *testing.T) {
		s := newSite(t, mariadb.Shared(t).Database(t))
		r := s.loop(t)
		s.say(t, 1)
		carryOn(t, r)
		holder := begin(t, s.db, "SELECT * FROM sidestream_cursor FOR UPDATE")
		s.say(t, 1)
		if f := stopsAt(t, r, "lock_wait"); f.Class != replicator.Transient {
			t.Error(f.Error())
		}
		holder.end(t)
		carryOn(t, r)
		s.want(t)
	})
	t.Run("a_table_that_somebody_locks", func(t *testing.T) {
		s := newSite(t, mariadb.Shared(t).Database(t))
		r := s.loop(t)
		s.say(t, 1)
		carryOn(t, r)
		holder := begin(t, s.db, "LOCK TABLES messages WRITE")
		s.say(t, 1)
		if f := stopsAt(t, r, "lock_wait"); f.Class != replicator.Transient {
			t.Error(f.Error())
		}
		holder.end(t, "UNLOCK TABLES")
		carryOn(t, r)
		s.want(t)
	})
	t.Run("a_deadlock", func(t *testing.T) {
		server := mariadb.Start(t)
		s := newSite(t, server.Database(t))
		r := s.loop(t)
		s.say(t, 1)
		carryOn(t, r)
		// The other one holds the message's row and has done more, so that it is
		// ours that is given up when it wants the cursor's row too.
		other := begin(t, s.db, "INSERT INTO messages (user_id, username, direction, message) SELECT 'x', 'a stranger', 'in', seq FROM seq_1_to_500",
			"UPDATE messages SET username = username, direction = 'out', direction = 'in' WHERE id = 1", "SELECT * FROM messages WHERE id = 1 FOR UPDATE")
		s.commit(t, change(1, mapping.KindEdit, "edited"))
		done := make(chan error, 1)
		go func() {
			_, err := r.Step(context.WithoutCancel(t.Context()))
			done <- err
		}()
		testkit.Eventually(t, patient, func() bool {
			return server.Int(t, "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE DB = ? AND INFO LIKE 'SELECT COUNT(*) FROM%messages%FOR UPDATE'", s.db.Name) > 0
		}, "waiting for the message's row")
		other.exec(t, "SELECT * FROM sidestream_cursor FOR UPDATE")
		if err := <-done; err == nil || replicator.AsFailure(err).Reason != "deadlock" {
			t.Errorf("error: %v", err)
		}
		other.end(t)
		carryOn(t, r)
		s.texts[0] = "edited"
		s.want(t)
	})
	t.Run("in_another_zone_and_without_strict_mode", func(t *testing.T) {
		server := mariadb.Start(t, mariadb.Args("--sql-mode=", "--default-time-zone=+05:00", "--explicit-defaults-for-timestamp=OFF", "--auto-increment-increment=3", "--auto-increment-offset=2", "--character-set-server=latin1"))
		s := newSite(t, server.EmptyDatabase(t, "CHARACTER SET utf8mb4"))
		s.db.Exec(t, mariadb.CRMTable)
		if extra := s.db.Text(t, "SELECT EXTRA FROM information_schema.COLUMNS WHERE TABLE_NAME = 'messages' AND COLUMN_NAME = 'created_at' AND TABLE_SCHEMA = ?", s.db.Name); !strings.Contains(strings.ToLower(extra), "on update") {
			t.Errorf("the table is not one of an old server: %q", extra)
		}
		s.sayTexts(t, "plain", "emoji \U0001F451", strings.Repeat("z", 70_000), "after")
		s.say(t, 200)
		r := s.loop(t)
		carryOn(t, r)
		for _, n := range []int{1, 2, 100, 204} {
			s.commit(t, change(n, mapping.KindEdit, fmt.Sprint("edit of ", n)))
			s.texts[n-1] = fmt.Sprint("edit of ", n)
		}
		carryOn(t, r)
		s.texts = append(s.texts[:2:2], s.texts[3:]...) // too long, and refused instead of cut
		s.want(t)
		if n := s.db.Int(t, "SELECT COUNT(*) FROM messages WHERE UNIX_TIMESTAMP(created_at) = 1790000000 + CASE WHEN message = 'plain' THEN 1 ELSE 0 END OR UNIX_TIMESTAMP(created_at) BETWEEN 1790000001 AND 1790000204"); n != 203 {
			t.Errorf("%d rows with the right time, want 203", n)
		}
		if n := s.db.Int(t, "SELECT COUNT(*) FROM sidestream_ledger"); n > 20 {
			t.Errorf("%d runs in the ledger for ids in steps of 3", n)
		}
	})
	t.Run("its_disk_full", func(t *testing.T) {
		diskFull(t)
	})
}

func diskFull(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		mariadb.Missing(t, "root, to mount a tmpfs")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=200m,mode=0777"); err != nil {
		mariadb.Missing(t, fmt.Sprint("a tmpfs: ", err))
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	server := mariadb.Start(t, mariadb.Dir(dir))
	s := newSite(t, server.Database(t))
	r := s.loop(t)
	s.say(t, 5)
	carryOn(t, r)
	// The server needs room of its own for undoing things, or it crashes instead
	// of saying that the disk is full.
	s.db.Exec(t, "INSERT INTO messages (user_id, username, direction, message) SELECT 'x', 'a stranger', 'in', REPEAT('x', 200) FROM seq_1_to_30000")
	s.db.Exec(t, "UPDATE messages SET message = REPEAT('y', 200) WHERE username = 'a stranger'")
	filler := filepath.Join(dir, "filler")
	fill(t, filler)
	long := strings.Repeat("x", 30_000)
	for range 200 {
		s.sayTexts(t, fmt.Sprintf("%05d %s", s.said(), long))
	}
	f := stopsAt(t, r, "crm_disk_full")
	t.Logf("%s; next: %s", f.Error(), f.Hint)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	carryOn(t, r)
	s.want(t)
}

// fill writes a file until there is no room left.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	block := make([]byte, 64<<10)
	for {
		if _, err := f.Write(block); err != nil {
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
			return
		}
	}
}

// held is a connection of somebody else with something open on it.
type held struct {
	db   *sql.DB
	conn *sql.Conn
}

func begin(t *testing.T, db mariadb.DB, statements ...string) *held {
	t.Helper()
	open, err := sql.Open("mysql", db.DSN)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := open.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h := &held{open, conn}
	t.Cleanup(func() { _ = open.Close() })
	h.exec(t, append([]string{"SET autocommit = 0"}, statements...)...)
	return h
}

func (h *held) exec(t *testing.T, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := h.conn.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func (h *held) end(t *testing.T, statements ...string) {
	t.Helper()
	h.exec(t, append(statements, "ROLLBACK")...)
	_ = h.conn.Close()
	_ = h.db.Close()
}

func queryAll(t *testing.T, server *mariadb.Server, query string) []string {
	t.Helper()
	rows, err := server.Open(t).QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var all []string
	for rows.Next() {
		var one string
		if err := rows.Scan(&one); err != nil {
			t.Fatal(err)
		}
		all = append(all, one)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}
