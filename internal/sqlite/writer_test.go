package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	_ "github.com/mattn/go-sqlite3"

	"sidestream/internal/sqlite"
	"sidestream/mapping"
	"sidestream/replicator"
)

// messagesTable is the log as the writer makes it.
const messagesTable = `CREATE TABLE messages (
	seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, kind TEXT NOT NULL, version INTEGER NOT NULL,
	account_id TEXT NOT NULL, sender_id TEXT NOT NULL, recipient_id TEXT NOT NULL, direction TEXT NOT NULL,
	message_text TEXT, attachments TEXT, timestamp INTEGER NOT NULL, created_at INTEGER NOT NULL,
	UNIQUE (account_id, id, kind, version))`

// reusingTable gives out numbers of deleted rows again.
const reusingTable = `CREATE TABLE messages (
	seq INTEGER PRIMARY KEY, id TEXT NOT NULL, kind TEXT NOT NULL, version INTEGER NOT NULL,
	account_id TEXT NOT NULL, sender_id TEXT NOT NULL, recipient_id TEXT NOT NULL, direction TEXT NOT NULL,
	message_text TEXT, attachments TEXT, timestamp INTEGER NOT NULL, created_at INTEGER NOT NULL,
	UNIQUE (account_id, id, kind, version))`

// looseTable takes any storage class in any column.
const looseTable = `CREATE TABLE messages (
	seq INTEGER PRIMARY KEY AUTOINCREMENT, id, kind, version, account_id, sender_id, recipient_id, direction,
	message_text, attachments, timestamp TIMESTAMP, created_at DATETIME, UNIQUE (account_id, id, kind, version))`

const (
	metaTable   = `CREATE TABLE meta (key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL)`
	changeIndex = `CREATE INDEX messages_changes ON messages (account_id, id) WHERE kind <> 'message'`
)

// writer is the other program: a second connection that writes.
type writer struct {
	tb   testing.TB
	path string
	db   *sql.DB
	n    int
}

// newWriter makes a database as our writer does, in a directory of its own.
func newWriter(tb testing.TB) *writer {
	tb.Helper()
	return newWriterAt(tb, filepath.Join(tb.TempDir(), "messages.db"), messagesTable)
}

func newWriterAt(tb testing.TB, path, table string) *writer {
	tb.Helper()
	w := openWriter(tb, path)
	w.exec(table)
	w.exec(metaTable)
	w.exec(`INSERT INTO meta (key, value) VALUES ('source_id', lower(hex(randomblob(16))))`)
	return w
}

// openWriter opens an existing database or makes an empty one.
func openWriter(tb testing.TB, path string) *writer {
	tb.Helper()
	uri := url.URL{Scheme: "file", OmitHost: true, Path: path}
	db, err := sql.Open("sqlite3", uri.String()+"?_journal_mode=WAL&_busy_timeout=5000&_synchronous=OFF")
	if err != nil {
		tb.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	tb.Cleanup(func() { db.Close() })
	if err := db.PingContext(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return &writer{tb: tb, path: path, db: db}
}

func (w *writer) exec(query string, args ...any) {
	w.tb.Helper()
	if _, err := w.db.ExecContext(context.WithoutCancel(w.tb.Context()), query, args...); err != nil {
		w.tb.Fatalf("the writer failed, which must never happen: %s: %v", query, err)
	}
}

const insertRow = `INSERT INTO messages (seq, id, kind, version, account_id, sender_id, recipient_id, direction, message_text,
	attachments, timestamp, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

// store commits one change; a Position of 0 takes the next number.
func (w *writer) store(c mapping.Change) {
	w.tb.Helper()
	var seq any
	if c.Position != 0 {
		seq = c.Position
	}
	w.exec(insertRow, seq, c.MessageID, string(c.Kind), c.Version, c.AccountID, c.SenderID, c.RecipientID,
		string(c.Direction), c.Text, c.Attachments, c.Timestamp, c.CommittedAt)
}

// messages commits n new messages, one by one.
func (w *writer) messages(n int) {
	w.tb.Helper()
	for range n {
		w.n++
		// The name tells the rows of one writer from those of another.
		w.store(message(fmt.Sprintf("mid-%p-%d", w, w.n)))
	}
}

func message(id string) mapping.Change {
	text := "text of " + id
	return mapping.Change{
		MessageID: id, Kind: mapping.KindMessage, AccountID: "account", SenderID: "person", RecipientID: "account",
		Direction: mapping.Inbound, Text: &text, Timestamp: 1_700_000_000_000, CommittedAt: 1_700_000_000_500,
	}
}

// of returns a change of another kind that concerns the message.
func of(kind mapping.Kind, version int64, c mapping.Change) mapping.Change {
	c.Kind, c.Version = kind, version
	return c
}

func (w *writer) close() {
	w.tb.Helper()
	if err := w.db.Close(); err != nil {
		w.tb.Fatal(err)
	}
}

// backup copies the database as it should be done.
func (w *writer) backup() string {
	w.tb.Helper()
	path := filepath.Join(w.tb.TempDir(), "backup.db")
	w.exec(`VACUUM INTO ?`, path)
	return path
}

// replaceBy puts a backup in the place of the database, as an operator does with
// the writer stopped, and starts the writer again.
func (w *writer) replaceBy(backup string) *writer {
	w.tb.Helper()
	w.close()
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Remove(w.path + suffix); err != nil && !os.IsNotExist(err) {
			w.tb.Fatal(err)
		}
	}
	if err := os.Rename(backup, w.path); err != nil {
		w.tb.Fatal(err)
	}
	return openWriter(w.tb, w.path)
}

func newSource(tb testing.TB, path string, change ...func(*sqlite.Options)) *sqlite.Source {
	tb.Helper()
	opt := sqlite.Options{Path: path, BusyTimeout: 200 * time.Millisecond}
	for _, f := range change {
		f(&opt)
	}
	s, err := sqlite.New(opt)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func read(tb testing.TB, s *sqlite.Source, after replicator.Cursor, limit int) replicator.Chunk {
	tb.Helper()
	chunk, err := s.Read(tb.Context(), after, limit)
	if err != nil {
		tb.Fatalf("read after %d: %v", after.Position, err)
	}
	return chunk
}

// apply moves a cursor over a chunk as the loop does.
func apply(after replicator.Cursor, chunk replicator.Chunk) replicator.Cursor {
	return replicator.Cursor{
		Known: true, SourceID: chunk.SourceID, Position: chunk.Until,
		Anchors: replicator.NextAnchors(after.Anchors, chunk.Changes, chunk.Until),
	}
}

// drain reads everything, and returns the cursor behind it and the changes.
func drain(tb testing.TB, s *sqlite.Source, after replicator.Cursor) (replicator.Cursor, []mapping.Change) {
	tb.Helper()
	var changes []mapping.Change
	for {
		chunk := read(tb, s, after, 7)
		changes = append(changes, chunk.Changes...)
		after = apply(after, chunk)
		if len(chunk.Changes) == 0 && chunk.Until >= chunk.Head {
			return after, changes
		}
	}
}

// refused wants Read to fail for a reason.
func refused(tb testing.TB, s *sqlite.Source, after replicator.Cursor, class replicator.Class, reason string) {
	tb.Helper()
	_ = refusal(tb, s, after, class, reason)
}

// refusal is refused, and returns the failure.
func refusal(tb testing.TB, s *sqlite.Source, after replicator.Cursor, class replicator.Class, reason string) *replicator.Failure {
	tb.Helper()
	chunk, err := s.Read(tb.Context(), after, 100)
	if err == nil {
		tb.Fatalf("read %d changes, want %s", len(chunk.Changes), reason)
	}
	failure := replicator.AsFailure(err)
	if failure.Class != class || failure.Reason != reason || failure.Unknown {
		tb.Fatalf("got %v (%v), want %s: %s", failure, failure.Err, class, reason)
	}
	return failure
}

func positions(changes []mapping.Change) (list []int64) {
	for _, c := range changes {
		list = append(list, c.Position)
	}
	return list
}
