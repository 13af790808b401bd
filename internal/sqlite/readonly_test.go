package sqlite

import (
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mattn/go-sqlite3"

	"sidestream/replicator"
)

func TestDSN(t *testing.T) {
	for _, path := range []string{"/data/messages.db", "/a b/c?immutable=1#x%41&mode=rwc.db", "/?nolock=1", `/ü/"q'`} {
		got := dsn(path, 1500*time.Millisecond)
		name, query, _ := strings.Cut(got, "?")
		if !strings.HasPrefix(name, "file:/") || query != "mode=ro&_query_only=1&_mutex=no&_busy_timeout=1500" {
			t.Errorf("%s became %s", path, got)
		}
		if strings.ContainsAny(name, "#? ") {
			t.Errorf("%s is not escaped in %s", path, got)
		}
	}
}

// newFile makes a database with one row, of which everything is in the file.
func newFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "messages.db")
	c, err := dial("file:" + path + "?_journal_mode=WAL")
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		"CREATE TABLE messages (seq INTEGER PRIMARY KEY, id TEXT)", "INSERT INTO messages VALUES (1, 'x')",
		"PRAGMA wal_checkpoint(TRUNCATE)",
	} {
		if err := c.exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.db.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// contents hash the database and its -wal; no connection may be open, or its
// locks would be lost.
func contents(t *testing.T, path string) (sums [2][32]byte) {
	t.Helper()
	for i, suffix := range []string{"", "-wal"} {
		content, err := os.ReadFile(path + suffix)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		sums[i] = sha256.Sum256(content)
	}
	return sums
}

func TestProveReadOnly(t *testing.T) {
	for _, test := range []struct {
		name, parameters string
		reason           string
	}{
		{"accepts_a_connection_that_is_read_only_twice", "mode=ro&_query_only=1", ""},
		{"refuses_one_without_query_only", "mode=ro", reasonWritable},
		{"refuses_one_that_only_query_only_holds_back", "mode=rw&_query_only=1", reasonWritable},
		{"refuses_one_that_writes", "mode=rw", reasonWritable},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := newFile(t)
			before := contents(t, path)
			c, err := dial("file:" + path + "?" + test.parameters)
			if err != nil {
				t.Fatal(err)
			}
			err = proveReadOnly(t.Context(), c, "messages", "seq")
			if closing := c.db.Close(); closing != nil {
				t.Fatal(closing)
			}
			failure, ok := errors.AsType[*replicator.Failure](err)
			switch {
			case test.reason == "" && err != nil:
				t.Errorf("got %v", err)
			case test.reason != "" && (!ok || failure.Reason != test.reason || failure.Class != replicator.Blocked):
				t.Errorf("got %v", err)
			}
			if contents(t, path) != before {
				t.Error("the proof has changed the file")
			}
		})
	}
}

func TestSession_cannot_write(t *testing.T) {
	path := newFile(t)
	c, err := dial(dsn(path, time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer c.db.Close()
	for _, guard := range []string{"with query_only", "without query_only"} {
		for _, statement := range []string{
			"INSERT INTO messages VALUES (2, 'y')", "UPDATE messages SET id = 'y'", "DELETE FROM messages", "DROP TABLE messages",
			"CREATE TABLE other (x)", "PRAGMA user_version = 7", "PRAGMA application_id = 7", "VACUUM", "ANALYZE",
		} {
			if err := c.exec(statement); err == nil {
				t.Errorf("%s worked %s", statement, guard)
			}
		}
		if err := c.exec("PRAGMA query_only = 0"); err != nil {
			t.Fatal(err)
		}
	}
}

func TestClassify(t *testing.T) {
	for _, test := range []struct {
		code   int
		class  replicator.Class
		reason string
	}{
		{5, replicator.Transient, "source_busy"},           // BUSY
		{5 | 1<<8, replicator.Transient, "source_busy"},    // BUSY_RECOVERY
		{5 | 2<<8, replicator.Transient, "source_busy"},    // BUSY_SNAPSHOT
		{6, replicator.Transient, "source_busy"},           // LOCKED
		{9, replicator.Transient, "source_busy"},           // INTERRUPT
		{15, replicator.Transient, "source_busy"},          // PROTOCOL
		{17, replicator.Transient, "source_busy"},          // SCHEMA
		{10, replicator.Transient, "source_io"},            // IOERR
		{10 | 2<<8, replicator.Transient, "source_io"},     // IOERR_SHORT_READ
		{7, replicator.Transient, "source_io"},             // NOMEM
		{13, replicator.Transient, "source_io"},            // FULL
		{14, replicator.Transient, "source_idle"},          // CANTOPEN
		{8, replicator.Transient, "source_idle"},           // READONLY
		{8 | 3<<8, replicator.Transient, "source_idle"},    // READONLY_ROLLBACK
		{8 | 5<<8, replicator.Transient, "source_idle"},    // READONLY_CANTINIT
		{11, replicator.Blocked, "source_corrupt"},         // CORRUPT
		{11 | 3<<8, replicator.Blocked, "source_corrupt"},  // CORRUPT_INDEX
		{26, replicator.Blocked, "source_corrupt"},         // NOTADB
		{10 | 32<<8, replicator.Blocked, "source_corrupt"}, // IOERR_DATA
		{10 | 33<<8, replicator.Blocked, "source_corrupt"}, // IOERR_CORRUPTFS
		{3, replicator.Blocked, "source_permission"},       // PERM
		{23, replicator.Blocked, "source_permission"},      // AUTH
		{1, replicator.Blocked, "source_schema"},           // ERROR
		{20, replicator.Transient, "source_io"},            // MISMATCH: nothing we know
	} {
		err := sqlite3.Error{Code: sqlite3.ErrNo(test.code & 0xff), ExtendedCode: sqlite3.ErrNoExtended(test.code)}
		f := classify(errors.Join(errors.New("around it"), err))
		if f.Class != test.class || f.Reason != test.reason || f.Unknown != (test.code == 20) {
			t.Errorf("code %d is %v", test.code, f)
		}
		if f.Code == "" || !errors.Is(f, err) {
			t.Errorf("code %d: %q, %v", test.code, f.Code, f.Err)
		}
	}
	t.Run("keeps_failures_as_they_are", func(t *testing.T) {
		want := blocked("x", "", "y")
		if classify(errors.Join(want, errors.New("and the rollback"))) != want {
			t.Error("another failure")
		}
	})
	t.Run("says_that_it_does_not_know_other_errors", func(t *testing.T) {
		if f := classify(os.ErrClosed); f.Class != replicator.Transient || !f.Unknown || !errors.Is(f, os.ErrClosed) {
			t.Errorf("got %v", f)
		}
	})
}
