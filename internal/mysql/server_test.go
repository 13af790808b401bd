package mysql_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"sidestream/internal/mysql"
	"sidestream/internal/testkit/mariadb"
	"sidestream/mapping"
	"sidestream/replicator"
)

func item(position int64, text string) replicator.Item {
	return replicator.Item{
		Position: position, MessageID: "mid", Kind: mapping.KindMessage, Op: replicator.OpInsert,
		Record: mapping.Record{UserID: "1", Username: "1", Direction: "in", Message: text, CreatedAt: time.Unix(1_790_000_000, 0), Fallback: true},
	}
}

// begun returns a target with a cursor at 0.
func begun(t *testing.T, opt mysql.Options) (*mysql.Target, replicator.Cursor) {
	t.Helper()
	target := newTarget(t, opt)
	load(t, target)
	if err := target.Init(t.Context(), replicator.Cursor{Known: true, Generation: 1, SourceID: "source", Attempt: "first"}); err != nil {
		t.Fatal(err)
	}
	return target, load(t, target)
}

func load(t *testing.T, target *mysql.Target) replicator.Cursor {
	t.Helper()
	cursor, err := target.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return cursor
}

func apply(t *testing.T, target *mysql.Target, from replicator.Cursor, items ...replicator.Item) error {
	t.Helper()
	p, err := target.Prepare(replicator.Batch{From: from, To: items[len(items)-1].Position, SourceID: "source", Items: items})
	if err != nil {
		t.Fatal(err)
	}
	_, err = target.Apply(t.Context(), p, "attempt")
	return err
}

func wantReason(t *testing.T, err error, class replicator.Class, reason string) replicator.Failure {
	t.Helper()
	f := replicator.AsFailure(err)
	if err == nil || f.Class != class || f.Reason != reason || f.Unknown {
		t.Fatalf("got %v, want %s %s", err, class, reason)
	}
	return *f
}

func TestTarget_state(t *testing.T) {
	fresh := func(t *testing.T) (mariadb.DB, *mysql.Target, replicator.Cursor) {
		t.Helper()
		db := mariadb.Shared(t).Database(t)
		target, cursor := begun(t, options(db))
		return db, target, cursor
	}
	t.Run("a_ledger_that_refuses_is_not_the_rows_fault", func(t *testing.T) {
		db, target, cursor := fresh(t)
		db.Exec(t, "ALTER TABLE sidestream_ledger ADD CONSTRAINT longer CHECK (length > 5)")
		wantReason(t, apply(t, target, cursor, item(1, "one")), replicator.Blocked, "state_refused")
	})
	t.Run("a_ledger_ahead_of_the_cursor_stops_everything", func(t *testing.T) {
		db, target, cursor := fresh(t)
		db.Exec(t, "INSERT INTO sidestream_ledger VALUES ('main', 1, 1, 1, 77, 1, 0)")
		wantReason(t, apply(t, target, cursor, item(1, "one")), replicator.Blocked, "ledger_ahead")
		if n := db.Int(t, "SELECT COUNT(*) FROM messages"); n != 0 {
			t.Errorf("%d rows were written", n)
		}
	})
	t.Run("dead_letters_that_refuse_are_not_the_rows_fault", func(t *testing.T) {
		db, target, cursor := fresh(t)
		db.Exec(t, "ALTER TABLE sidestream_dead_letters MODIFY reason VARCHAR(2) NOT NULL")
		parked := item(1, "one")
		parked.Op, parked.Reason = replicator.OpPark, "too_long"
		wantReason(t, apply(t, target, cursor, parked), replicator.Blocked, "state_refused")
	})
	t.Run("any_message_id_can_be_parked", func(t *testing.T) {
		db, target, cursor := fresh(t)
		parked := item(1, "one")
		parked.Op, parked.Reason, parked.MessageID = replicator.OpPark, "too_long", "\xff\x00'\\"+strings.Repeat("\U0001F451", 600)
		if err := apply(t, target, cursor, parked); err != nil {
			t.Fatal(err)
		}
		if got, want := db.Text(t, "SELECT message_id FROM sidestream_dead_letters"), "\uFFFD\x00'\\"+strings.Repeat("\U0001F451", 508); got != want {
			t.Errorf("message id of %d bytes, want %d", len(got), len(want))
		}
	})
	t.Run("a_state_table_that_is_gone_is_named", func(t *testing.T) {
		db, target, cursor := fresh(t)
		db.Exec(t, "DROP TABLE sidestream_ledger")
		if f := wantReason(t, apply(t, target, cursor, item(1, "one")), replicator.Blocked, "table_missing"); !strings.Contains(f.Hint, "replicator schema") {
			t.Errorf("next: %s", f.Hint)
		}
		_, err := target.Load(t.Context())
		if f := wantReason(t, err, replicator.Blocked, "table_missing"); !strings.Contains(f.Detail, "sidestream_ledger") || !strings.Contains(f.Hint, "replicator schema") {
			t.Errorf("%s, next: %s", f.Error(), f.Hint)
		}
	})
	t.Run("tables_of_a_newer_program_are_left_alone", func(t *testing.T) {
		db, target, _ := fresh(t)
		db.Exec(t, "UPDATE sidestream_meta SET value = '200' WHERE name = 'state_version'")
		_, err := target.Load(t.Context())
		wantReason(t, err, replicator.Blocked, "state_too_new")
		db.Exec(t, "UPDATE sidestream_meta SET value = '199' WHERE name = 'state_version'")
		load(t, target)
	})
	t.Run("tables_that_a_kill_left_half_made_are_completed", func(t *testing.T) {
		db, target, _ := fresh(t)
		db.Exec(t, "DROP TABLE sidestream_ledger, sidestream_audit")
		db.Exec(t, "DELETE FROM sidestream_meta")
		load(t, target)
	})
	t.Run("anchors_that_nobody_can_read", func(t *testing.T) {
		db, target, _ := fresh(t)
		db.Exec(t, "UPDATE sidestream_cursor SET anchors = 'x'")
		_, err := target.Load(t.Context())
		wantReason(t, err, replicator.Blocked, "state_unreadable")
	})
	t.Run("what_schema_prints_is_what_is_made", func(t *testing.T) {
		db := mariadb.Shared(t).Database(t)
		for range 2 {
			for _, statement := range mysql.SchemaDDL(db.Name) {
				db.Exec(t, statement)
			}
		}
		begun(t, options(db))
		for _, row := range db.Rows(t, "SELECT TABLE_NAME, ENGINE, TABLE_COLLATION FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME LIKE 'sidestream%'", db.Name) {
			if row[1] != "InnoDB" || row[2] != "utf8mb4_bin" {
				t.Errorf("%v", row)
			}
		}
		for _, statement := range mysql.DropDDL(db.Name) {
			db.Exec(t, statement)
		}
		if n := db.Int(t, "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = ?", db.Name); n != 1 {
			t.Errorf("%d tables are left", n)
		}
	})
}

func TestTarget_views_are_no_tables(t *testing.T) {
	db := mariadb.Shared(t).Database(t)
	db.Exec(t, "RENAME TABLE messages TO real_messages")
	db.Exec(t, "CREATE VIEW messages AS SELECT * FROM real_messages")
	_, err := newTarget(t, options(db)).Load(t.Context())
	if f := wantReason(t, err, replicator.Blocked, "target_engine"); !f.Answered {
		t.Error("the server has answered")
	}
}

func TestTarget_Check(t *testing.T) {
	db := mariadb.Shared(t).Database(t)
	db.Exec(t, "ALTER TABLE messages ADD branch INT NOT NULL, ADD kind ENUM('a','b') NOT NULL, ADD noted INT NULL, ADD rank INT NOT NULL DEFAULT 1, MODIFY message TEXT CHARACTER SET latin1")
	var findings []mysql.Finding
	newTarget(t, options(db)).Check(t.Context(), func(f mysql.Finding) { findings = append(findings, f) })
	status := func(name string) string {
		for _, f := range findings {
			if f.Name == name {
				return f.Status
			}
		}
		return ""
	}
	if status("columns") != "fail" || status("charset") != "warn" || status("connect") != "ok" || status("table") != "ok" {
		t.Errorf("findings: %+v", findings)
	}
	if n := len(slices.DeleteFunc(findings, func(f mysql.Finding) bool { return f.Name != "columns" })); n != 1 {
		t.Errorf("%d columns are complained about, want 1", n)
	}
}

func TestTarget_of_a_server_that_accepts_and_keeps_silent(t *testing.T) {
	server := mariadb.Start(t)
	opt := options(server.Database(t))
	opt.ConnectTimeout, opt.ReadTimeout = 300*time.Millisecond, time.Hour
	server.Stop(t)
	_, err := newTarget(t, opt).Load(t.Context())
	if f := wantReason(t, err, replicator.Transient, "crm_unreachable"); !strings.HasSuffix(f.Detail, "no answer in time") || f.Answered {
		t.Errorf("%+v", f)
	}
	server.Cont(t)
	opt.ConnectTimeout = time.Minute
	load(t, newTarget(t, opt))
}

func TestTarget_addresses(t *testing.T) {
	first, second := mariadb.Start(t), mariadb.Start(t)
	db := first.Database(t)
	second.Exec(t, "CREATE DATABASE "+db.Name)
	second.Exec(t, "CREATE USER "+db.User+"@'%' IDENTIFIED BY '"+db.Password+"'")
	second.Exec(t, "GRANT ALL ON "+db.Name+".* TO "+db.User+"@'%'")
	db.At(second.Addr()).Exec(t, mariadb.CRMTable)
	opt := options(db)
	opt.Addresses = append(opt.Addresses, second.Addr())
	target, cursor := begun(t, opt)
	if target.Address() != first.Addr() {
		t.Fatalf("at %s, want the first address", target.Address())
	}
	first.Exec(t, "SET GLOBAL read_only = 1")
	wantReason(t, apply(t, target, cursor, item(1, "one")), replicator.Transient, "crm_read_only")
	load(t, target)
	if target.Address() != second.Addr() {
		t.Errorf("at %s, want the one that can be written", target.Address())
	}
	second.Exec(t, "SET GLOBAL read_only = 1")
	_ = target.Close()
	_, err := target.Load(t.Context())
	wantReason(t, err, replicator.Transient, "crm_read_only")
	second.Kill(t)
	_, err = target.Load(t.Context())
	wantReason(t, err, replicator.Transient, "crm_read_only") // says more than "unreachable"
	first.Exec(t, "SET GLOBAL read_only = 0")
	load(t, target)
	if target.Address() != first.Addr() {
		t.Errorf("at %s, want the first address again", target.Address())
	}
}

func TestTarget_session(t *testing.T) {
	server := mariadb.Start(t, mariadb.Args("--sql-mode=", "--default-time-zone=+05:00", "--character-set-server=latin1", "--transaction-isolation=READ-COMMITTED"))
	db := server.Database(t)
	opt := options(db)
	opt.ReadTimeout = 4 * time.Second
	target, cursor := begun(t, opt)
	// A trigger sees the session that inserts (all but sql_mode, which is the trigger's own).
	db.Exec(t, "CREATE TABLE seen (what TEXT)")
	db.Exec(t, `CREATE TRIGGER look AFTER INSERT ON messages FOR EACH ROW INSERT INTO seen VALUES
		(CONCAT_WS('|', '', @@time_zone, @@wait_timeout, @@innodb_lock_wait_timeout, @@lock_wait_timeout, @@tx_isolation, @@character_set_client))`)
	if err := apply(t, target, cursor, item(1, "one")); err != nil {
		t.Fatal(err)
	}
	got := db.Text(t, "SELECT what FROM seen")
	if want := "|+00:00|30|2|2|REPEATABLE-READ|utf8mb4"; got != want {
		t.Errorf("session %q, want %q", got, want)
	}
}

func TestTarget_policies(t *testing.T) {
	t.Run("what_is_too_long_is_cut_where_the_operator_says_so", func(t *testing.T) {
		db := mariadb.Shared(t).Database(t)
		opt := options(db)
		opt.CutTooLong = true
		target, cursor := begun(t, opt)
		long := item(1, strings.Repeat("\U0001F451", 20_000))
		long.Record.Username = strings.Repeat("ü", 150)
		if err := apply(t, target, cursor, long); err != nil {
			t.Fatal(err)
		}
		row := db.Rows(t, "SELECT message, username FROM messages")[0]
		if row[0] != strings.Repeat("\U0001F451", 16_383) || row[1] != strings.Repeat("ü", 100) {
			t.Errorf("message of %d bytes, username of %d", len(row[0]), len(row[1]))
		}
	})
	t.Run("else_it_is_refused_and_named", func(t *testing.T) {
		db := mariadb.Shared(t).Database(t)
		target, cursor := begun(t, options(db))
		long := item(2, "x")
		long.Record.Username = strings.Repeat("ü", 150)
		if f := wantReason(t, apply(t, target, cursor, item(1, "one"), long, item(3, "three")), replicator.Data, "too_long"); f.Row != 2 || f.Code != "1406" {
			t.Errorf("row %d, code %s", f.Row, f.Code)
		}
	})
	t.Run("an_update_that_is_refused_names_no_insert", func(t *testing.T) {
		db := mariadb.Shared(t).Database(t)
		target, cursor := begun(t, options(db))
		if err := apply(t, target, cursor, item(1, "one")); err != nil {
			t.Fatal(err)
		}
		edit := item(3, strings.Repeat("x", 70_000))
		edit.Op, edit.MessagePosition, edit.Was = replicator.OpUpdate, 1, item(1, "one").Record
		if f := wantReason(t, apply(t, target, load(t, target), item(2, "two"), edit), replicator.Data, "too_long"); f.Row != 0 {
			t.Errorf("row %d is named", f.Row)
		}
	})
}
