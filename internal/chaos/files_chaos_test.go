//go:build chaos

package chaos_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3" // registers the driver
)

// open opens a source from this process, which holds no other connection to it.
// Like the writer it leaves no copies of what it changes.
func open(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+path+"?mode=rw&_busy_timeout=10000&_secure_delete=on")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	return db
}

func onFile(t *testing.T, path string, statements ...string) {
	t.Helper()
	db := open(t, path)
	defer db.Close()
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// head returns the highest position of a file.
func head(t *testing.T, path string) (position int64) {
	t.Helper()
	db := open(t, path)
	defer db.Close()
	if err := db.QueryRowContext(t.Context(), "SELECT coalesce(max(seq), 0) FROM messages").Scan(&position); err != nil {
		t.Fatal(err)
	}
	return position
}

// duplicate makes a copy of a database as the pages say.
func duplicate(t *testing.T, path string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy.db")
	onFile(t, path, "VACUUM INTO '"+to+"'")
	return to
}

// put renames a file to where the database is, without -wal and -shm.
func put(t *testing.T, from, path string) {
	t.Helper()
	for _, beside := range []string{"-wal", "-shm"} {
		if err := os.Remove(path + beside); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	if err := os.Rename(from, path); err != nil {
		t.Fatal(err)
	}
}

// move replaces the file by an equal copy, the writer stopped.
func (s *storm) move(site *site, f fault) {
	site.startWriter(s.T)
	site.stopWriter(s.T)
	put(s.T, duplicate(s.T, site.path), site.path)
	site.startWriter(s.T)
	s.counts.add(f.kind, 1)
}

// restore puts an older copy back, and runs the command that is printed then.
// For its time everything else is calm, because what is promised about a lost
// file is little: what is said between the copy and its return are messages
// that are in the CRM by then and that nobody talks about again.
func (s *storm) restore(site *site, f fault) {
	s.calm()
	s.crmUp()
	site.startWriter(s.T)
	site.startReplicator(s.T, 0)
	for i := range site.slots {
		site.slots[i].thaw(s.T)
	}
	if err := s.restoreOlder(site, f); err != nil {
		s.findings.add(programFailed, "source %d: restored: %v", site.source, err)
		return
	}
	s.counts.add(f.kind, 1)
}

func (s *storm) restoreOlder(site *site, f fault) error {
	const enough, printed = 25 * time.Second, "replicator cursor resume"
	if err := s.lose(site, 3+int(f.choice%6)); err != nil {
		return err
	}
	site.startWriter(s.T)
	err := s.eventually(enough, func() error {
		found, err := site.status(s.T, 0)
		switch {
		case err != nil:
			return err
		case found.State != "blocked" || found.Reason != "source_rewound" && found.Reason != "source_diverged":
			return fmt.Errorf("not blocked by the file, but %s %s", found.State, found.Reason)
		case !strings.Contains(found.Hint, printed):
			return fmt.Errorf("blocked by %s; next: %s", found.Reason, found.Hint)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if _, err := site.command(s.T, "replicator", strings.Fields(printed)[1:]...); err != nil {
		return err
	}
	return s.eventually(enough, func() error {
		found, err := site.status(s.T, 0)
		if err == nil && found.State != "running" {
			err = fmt.Errorf("resumed, but %s %s", found.State, found.Reason)
		}
		return err
	})
}

// lose copies the file, has n more messages in the CRM, and puts the copy back.
func (s *storm) lose(site *site, n int) error {
	site.gate.Lock()
	defer site.gate.Unlock()
	older := duplicate(s.T, site.path)
	behind := head(s.T, older)
	for range n {
		d, m := site.talk.doomed()
		if _, err := site.sender.Post(s.Context(), d); err != nil {
			return err
		}
		site.lostBehind[m.mid] = behind
		s.counts.add(messagesSent, 1)
	}
	if err := s.eventually(25*time.Second, func() error { return site.drained(s.T, 0) }); err != nil {
		return fmt.Errorf("before the copy was put back: %w", err)
	}
	site.stopWriter(s.T)
	put(s.T, older, site.path)
	return nil
}
