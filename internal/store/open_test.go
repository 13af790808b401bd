package store

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// raw makes a database without the store.
func raw(t *testing.T, path, statements string) {
	t.Helper()
	db, err := sql.Open("sqlite3", dsn(path, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statements); err != nil {
		t.Fatal(err)
	}
}

func TestOpen_makes_the_schema_once(t *testing.T) {
	path := filepath.Join(t.TempDir(), "messages.db")
	s := openAt(t, path, nil)
	id := s.SourceID()
	if len(id) != 32 {
		t.Errorf("source id %q", id)
	}
	commit(t, s, delivery(message("m", "text")))
	closeStore(t, s)

	s = openAt(t, path, nil)
	defer closeStore(t, s)
	if s.SourceID() != id {
		t.Error("the source id changed")
	}
	if n := count(t, s, "SELECT count(*) FROM messages"); n != 1 {
		t.Errorf("%d rows", n)
	}
	if n := count(t, s, "SELECT value FROM meta WHERE key = 'schema_version'"); n != 1 {
		t.Errorf("schema version %d", n)
	}
	other := openStore(t, nil)
	if other.SourceID() == id {
		t.Error("two files have one source id")
	}
}

func TestOpen_refuses(t *testing.T) {
	t.Run("a_missing_directory", func(t *testing.T) {
		_, err := Open(t.Context(), Options{Path: filepath.Join(t.TempDir(), "missing", "messages.db")})
		if err == nil || !strings.Contains(err.Error(), "create it") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("an_empty_path", func(t *testing.T) {
		if _, err := Open(t.Context(), Options{}); err == nil {
			t.Error("no error")
		}
	})
	t.Run("a_directory", func(t *testing.T) {
		if _, err := Open(t.Context(), Options{Path: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("got %v", err)
		}
	})
	for name, one := range map[string]struct{ statements, want string }{
		"a_newer_schema": {
			"CREATE TABLE meta (key TEXT, value TEXT); INSERT INTO meta VALUES ('schema_version', '99')",
			"schema version 99",
		},
		"a_foreign_file":               {"CREATE TABLE messages (id INTEGER)", "another program's"},
		"a_foreign_file_with_meta":     {"CREATE TABLE meta (key TEXT, value TEXT)", "another program's"},
		"a_foreign_meta_with_versions": {"CREATE TABLE meta (key TEXT, value TEXT); INSERT INTO meta VALUES ('schema_version', 'two')", "another program's"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "messages.db")
			raw(t, path, one.statements)
			before, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Open(t.Context(), Options{Path: path}); err == nil || !strings.Contains(err.Error(), one.want) {
				t.Errorf("got %v", err)
			}
			if after, err := os.Stat(path); err != nil || after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) {
				t.Errorf("the file was touched: %v", err)
			}
			if files, err := filepath.Glob(path + "*"); err != nil || len(files) != 1 {
				t.Errorf("files were put beside it: %v, %v", files, err)
			}
		})
	}
	t.Run("what_is_no_database", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "messages.db")
		if err := os.WriteFile(path, []byte(strings.Repeat("no database at all. ", 100)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(t.Context(), Options{Path: path}); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("got %v", err)
		}
	})
}

func TestOpen_takes_odd_paths(t *testing.T) {
	for _, name := range []string{"with space.db", "what?.db", "50%.db", "a#b.db", "a&mode=ro.db", "plus+.db", "ключ.db"} {
		dir := t.TempDir()
		s := openAt(t, filepath.Join(dir, name), nil)
		commit(t, s, delivery(message("m", "text")))
		closeStore(t, s)
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

// The group gets what the umask lets it have, so that a sidecar with another
// user id can work.
func TestOpen_creates_files_for_owner_and_group(t *testing.T) {
	s := openStore(t, nil)
	commit(t, s, delivery(message("m", "text")))
	probe, err := os.OpenFile(s.path()+"-probe", os.O_CREATE|os.O_WRONLY, 0o660)
	if err != nil {
		t.Fatal(err)
	}
	probe.Close()
	want, err := os.Stat(probe.Name())
	if err != nil {
		t.Fatal(err)
	}
	for _, suffix := range []string{"", "-wal", "-shm", "-doorbell"} {
		info, err := os.Stat(s.path() + suffix)
		if err != nil || info.Mode() != want.Mode() {
			t.Errorf("%q: %v, %v; want %v", suffix, info.Mode(), err, want.Mode())
		}
	}
}

func TestOpen_leaves_the_mode_of_a_file_alone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "messages.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := openAt(t, path, nil)
	defer closeStore(t, s)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestOpen_beside_another_store(t *testing.T) {
	a := openStore(t, nil)
	b := openAt(t, a.path(), nil)
	defer closeStore(t, b)
	commit(t, a, delivery(message("1", "text")))
	commit(t, b, delivery(message("1", "text"), message("2", "text")))
	if n := count(t, a, "SELECT max(seq) FROM messages"); n != 2 {
		t.Errorf("highest number %d", n)
	}
}

func TestOpen_follows_symbolic_links(t *testing.T) {
	dir, links := t.TempDir(), t.TempDir()
	closeStore(t, openAt(t, filepath.Join(dir, "messages.db"), nil))
	for link, target := range map[string]string{"to-dir": dir, "to-file.db": filepath.Join(dir, "messages.db")} {
		if err := os.Symlink(target, filepath.Join(links, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{"to-dir/messages.db", "to-file.db"} {
		s := openAt(t, filepath.Join(links, path), nil)
		commit(t, s, delivery(message(path, "text")))
		if _, err := os.Stat(filepath.Join(dir, "messages.db-wal")); err != nil {
			t.Error(err)
		}
		closeStore(t, s)
	}
}

func TestStatements_scan_no_messages(t *testing.T) {
	s := openStore(t, nil)
	conn := otherConn(t, s.path())
	for query, args := range map[string]int{insertChange: 11, blankMessage: 2, findTombstone: 1} {
		rows, err := conn.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, make([]any, args)...)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var id, parent, unused int
			var detail string
			if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
				t.Fatal(err)
			}
			if strings.HasPrefix(detail, "SCAN messages") {
				t.Errorf("%s: %s", query, detail)
			}
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		rows.Close()
	}
}
