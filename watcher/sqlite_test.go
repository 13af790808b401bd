package watcher_test

import (
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3"

	"sidestream/watcher"
)

// patientRecheck outlasts the fsync of a slow disk: these tests ask whether a
// wake-up comes, not how soon.
const patientRecheck = 8 * time.Second

// open returns a database in WAL mode that commits to the disk as our writer
// does.
func open(tb testing.TB, path string) *sql.DB {
	tb.Helper()
	db, err := sql.Open("sqlite3", "file:"+path+"?_journal_mode=WAL&_synchronous=FULL&_busy_timeout=5000")
	must(tb, err)
	db.SetMaxOpenConns(1)
	_, err = db.Exec("CREATE TABLE IF NOT EXISTS messages (seq INTEGER PRIMARY KEY AUTOINCREMENT)")
	must(tb, err)
	return db
}

// insert commits one row.
func insert(tb testing.TB, db *sql.DB) {
	tb.Helper()
	_, err := db.Exec("INSERT INTO messages DEFAULT VALUES")
	must(tb, err)
}

// readUntil reads once per wake-up until it sees the row at position.
func readUntil(tb testing.TB, o *observer, reader *sql.DB, position int) {
	tb.Helper()
	deadline := time.After(patience)
	for {
		var head int
		must(tb, reader.QueryRow("SELECT COALESCE(MAX(seq), 0) FROM messages").Scan(&head))
		if head >= position {
			return
		}
		select {
		case <-o.Wakeups():
		case <-deadline:
			tb.Fatalf("no wake-up after position %d was readable; the reader saw %d", position, head)
		}
	}
}

func TestWatcher_with_sqlite(t *testing.T) {
	t.Run("a_reader_that_is_only_woken_by_events_sees_each_commit_of_a_foreign_writer", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "messages.db")
		writer := open(t, path)
		defer writer.Close()
		reader := open(t, path)
		defer reader.Close()
		o := observe(t, path, watcher.Options{PollInterval: never, Recheck: watcher.Recheck{Last: patientRecheck}})
		for position := 1; position <= 20; position++ {
			insert(t, writer)
			readUntil(t, o, reader, position)
		}
	})
	t.Run("and_after_each_restart_of_the_writer", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "messages.db")
		o := observe(t, path, watcher.Options{PollInterval: never, Recheck: watcher.Recheck{Last: patientRecheck}})
		for position := 1; position <= 20; position++ {
			writer := open(t, path)
			insert(t, writer)
			must(t, writer.Close()) // the last one to close deletes -wal
			reader := open(t, path)
			readUntil(t, o, reader, position)
			must(t, reader.Close())
		}
	})
	t.Run("the_doorbell_means_that_the_commit_is_readable", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "messages.db")
		writer := open(t, path)
		defer writer.Close()
		reader := open(t, path)
		defer reader.Close()
		write(t, path+"-doorbell")
		o := observe(t, path, watcher.Options{PollInterval: never, Recheck: watcher.Recheck{Last: never}})
		write(t, path+"-doorbell")
		o.until(t, watcher.CauseDoorbell, nil)
		for position := 1; position <= 20; position++ {
			insert(t, writer)
			write(t, path+"-doorbell")
			o.next(t, watcher.CauseDoorbell) // and -wal woke nobody before it
			var head int
			must(t, reader.QueryRow("SELECT MAX(seq) FROM messages").Scan(&head))
			if head != position {
				t.Fatalf("the doorbell rang for position %d, the reader saw %d", position, head)
			}
		}
	})
}
