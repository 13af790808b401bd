package sqlite_test

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sidestream/internal/sqlite"
	"sidestream/replicator"
)

func TestNew(t *testing.T) {
	for name, opt := range map[string]sqlite.Options{
		"no_path":            {},
		"a_NUL_in_the_path":  {Path: "a\x00b"},
		"negative_bytes":     {Path: "a", MaxChunkBytes: -1},
		"a_negative_timeout": {Path: "a", BusyTimeout: -1},
	} {
		t.Run("refuses_"+name, func(t *testing.T) {
			if _, err := sqlite.New(opt); err == nil {
				t.Error("no error")
			}
		})
	}
	t.Run("touches_nothing", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "absent.db")
		newSource(t, path)
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			t.Errorf("the file is there: %v", err)
		}
	})
}

func TestSource_waits(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "messages.db")
	s := newSource(t, path)
	wait := func(reason string) {
		t.Helper()
		f := refusal(t, s, replicator.Cursor{}, replicator.Transient, reason)
		if !strings.Contains(f.Detail, path) {
			t.Errorf("the detail does not name the file: %s", f.Detail)
		}
		if files, _ := filepath.Glob(path + "*"); len(files) > 3 || (reason == "source_missing" && len(files) > 0) {
			t.Errorf("the source left %v", files)
		}
	}
	wait("source_missing")
	absent := filepath.Join(dir, "absent")
	f := refusal(t, newSource(t, filepath.Join(absent, "messages.db")), replicator.Cursor{}, replicator.Transient, "source_missing")
	if f.Detail != "the directory "+absent+" does not exist" || !strings.HasPrefix(f.Hint, "make the directory") {
		t.Errorf("%s; next: %s", f.Detail, f.Hint)
	}
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	wait("source_not_ready")
	if files, _ := filepath.Glob(path + "*"); len(files) != 1 {
		t.Errorf("an empty file was opened: %v", files)
	}
	// A file with a header and no tables, in both journal modes.
	w := openWriter(t, path)
	w.exec("PRAGMA journal_mode = DELETE")
	w.exec("PRAGMA user_version = 1")
	wait("source_not_ready")
	w.exec("PRAGMA journal_mode = WAL")
	wait("source_not_ready")
	w.exec("CREATE TABLE unrelated (x)")
	wait("source_not_ready")
	w.exec(messagesTable)
	w.messages(1)
	if got := len(read(t, s, replicator.Cursor{}, 10).Changes); got != 1 {
		t.Errorf("%d changes", got)
	}
}

func TestSource_refuses_what_is_no_log(t *testing.T) {
	at := func(t *testing.T, statements ...string) string {
		t.Helper()
		w := openWriter(t, filepath.Join(t.TempDir(), "messages.db"))
		for _, statement := range statements {
			w.exec(statement)
		}
		return w.path
	}
	t.Run("a_directory", func(t *testing.T) {
		refused(t, newSource(t, t.TempDir()), replicator.Cursor{}, replicator.Blocked, "source_not_a_file")
	})
	t.Run("a_file_that_is_no_database", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "messages.db")
		if err := os.WriteFile(path, []byte(strings.Repeat("not a database ", 1000)), 0o644); err != nil {
			t.Fatal(err)
		}
		f := refusal(t, newSource(t, path), replicator.Cursor{}, replicator.Blocked, "source_corrupt")
		if f.Code != "26" {
			t.Errorf("code %s", f.Code)
		}
	})
	t.Run("a_rollback_journal", func(t *testing.T) {
		refused(t, newSource(t, at(t, messagesTable, "PRAGMA journal_mode = DELETE")), replicator.Cursor{}, replicator.Blocked, "source_journal_mode")
	})
	columns := strings.TrimPrefix(messagesTable, "CREATE TABLE messages (\n\tseq INTEGER PRIMARY KEY AUTOINCREMENT,")
	for name, statements := range map[string][]string{
		"a_view":                    {strings.Replace(messagesTable, "messages", "log", 1), "CREATE VIEW messages AS SELECT * FROM log"},
		"a_missing_column":          {strings.Replace(messagesTable, "recipient_id TEXT", "recipient TEXT", 1)},
		"a_bare_rowid":              {"CREATE TABLE messages (seq INTEGER," + columns},
		"a_key_that_is_no_INTEGER":  {"CREATE TABLE messages (seq INT PRIMARY KEY," + columns},
		"a_key_in_descending_order": {"CREATE TABLE messages (seq INTEGER PRIMARY KEY DESC," + columns},
		"a_key_of_two_columns":      {"CREATE TABLE messages (seq INTEGER," + strings.Replace(columns, "UNIQUE (account_id", "PRIMARY KEY (seq, id), UNIQUE (account_id", 1)},
		"a_key_on_another_column":   {"CREATE TABLE messages (seq INTEGER, own INTEGER PRIMARY KEY," + columns},
		"a_table_without_rowids":    {strings.Replace(messagesTable, "AUTOINCREMENT", "", 1) + " WITHOUT ROWID"},
		"no_index_on_messages":      {strings.Replace(messagesTable, "UNIQUE (account_id, id, kind, version)", "UNIQUE (kind, account_id, id)", 1)},
		"only_a_partial_one":        {strings.Replace(messagesTable, "UNIQUE (account_id, id, kind, version)", "CHECK (1)", 1), changeIndex},
		"no_column_kind":            {strings.ReplaceAll(messagesTable, "kind", "sort")},
	} {
		t.Run(name, func(t *testing.T) {
			f := refusal(t, newSource(t, at(t, statements...)), replicator.Cursor{}, replicator.Blocked, "source_schema")
			if name == "a_missing_column" && !strings.Contains(f.Detail, "recipient_id") {
				t.Errorf("the detail does not name the column: %s", f.Detail)
			}
		})
	}
}

func TestSource_notices_schema_changes(t *testing.T) {
	w := newWriter(t)
	w.messages(3)
	s := newSource(t, w.path)
	after, _ := drain(t, s, replicator.Cursor{})
	if _, err := s.Pending(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	w.exec("ALTER TABLE messages ADD COLUMN added TEXT")
	w.exec(changeIndex)
	w.messages(1)
	after, changes := drain(t, s, after)
	if len(changes) != 1 {
		t.Errorf("%d changes after a harmless one", len(changes))
	}
	w.exec("DROP INDEX messages_changes")
	w.messages(1)
	if after, changes = drain(t, s, after); len(changes) != 1 {
		t.Errorf("%d changes after the index is gone", len(changes))
	}
	w.exec("ALTER TABLE messages RENAME COLUMN message_text TO body")
	f := refusal(t, s, after, replicator.Blocked, "source_schema")
	if !strings.Contains(f.Detail, "message_text") {
		t.Errorf("the detail does not name the column: %s", f.Detail)
	}
	if _, err := s.Pending(t.Context(), 0); replicator.AsFailure(err).Reason != "source_schema" {
		t.Errorf("pending: %v", err)
	}
	w.exec("ALTER TABLE messages RENAME COLUMN body TO message_text")
	w.messages(1)
	if _, changes := drain(t, s, after); len(changes) != 1 {
		t.Errorf("%d changes after it was taken back", len(changes))
	}
	w.exec("DROP TABLE messages")
	refused(t, s, after, replicator.Transient, "source_not_ready")
}

func TestSource_busy(t *testing.T) {
	w := newWriter(t)
	w.messages(2)
	w.close()
	// A connection in exclusive mode lets nobody else in.
	db, err := sql.Open("sqlite3", "file:"+w.path+"?_locking_mode=EXCLUSIVE")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.ExecContext(t.Context(), "UPDATE messages SET version = version"); err != nil {
		t.Fatal(err)
	}
	s := newSource(t, w.path, func(o *sqlite.Options) { o.BusyTimeout = 20 * time.Millisecond })
	f := refusal(t, s, replicator.Cursor{}, replicator.Transient, "source_busy")
	if f.Code == "" {
		t.Error("no code")
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if got := len(read(t, s, replicator.Cursor{}, 10).Changes); got != 2 {
		t.Errorf("%d changes once it is free", got)
	}
}

func TestSource_damaged(t *testing.T) {
	w := newWriter(t)
	w.messages(500)
	w.exec("PRAGMA wal_checkpoint(TRUNCATE)")
	w.close()
	content, err := os.ReadFile(w.path)
	if err != nil {
		t.Fatal(err)
	}
	// Page 1 stays as it is, the rest is noise.
	for i := 4096; i < len(content); i++ {
		content[i] = byte(i * 7)
	}
	if err := os.WriteFile(w.path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	f := refusal(t, newSource(t, w.path), replicator.Cursor{}, replicator.Blocked, "source_corrupt")
	if f.Code != "11" && f.Code != "267" {
		t.Errorf("code %s", f.Code)
	}
}

func TestSource_ends_with_its_context(t *testing.T) {
	w := newWriter(t)
	w.messages(1)
	s := newSource(t, w.path)
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := s.Read(ctx, replicator.Cursor{}, 1); err != nil {
		t.Fatal(err)
	}
	cancel()
	_, err := s.Read(ctx, replicator.Cursor{}, 1)
	if f := replicator.AsFailure(err); f.Class != replicator.Transient || f.Unknown || !isCanceled(err) {
		t.Errorf("got %v", err)
	}
	if got := len(read(t, s, replicator.Cursor{}, 10).Changes); got != 1 {
		t.Errorf("%d changes afterwards", got)
	}
}

func TestClose(t *testing.T) {
	w := newWriter(t)
	w.messages(2)
	s := newSource(t, w.path)
	read(t, s, replicator.Cursor{}, 1)
	if _, err := s.Pending(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	before := fileSizes(t, w.path)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if after := fileSizes(t, w.path); after != before {
		t.Errorf("closing changed the files from %v to %v", before, after)
	}
	refused(t, s, replicator.Cursor{}, replicator.Transient, "source_closed")
	if _, err := s.Pending(t.Context(), 0); replicator.AsFailure(err).Reason != "source_closed" {
		t.Errorf("pending: %v", err)
	}
	w.messages(1)
}
