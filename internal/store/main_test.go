package store

import (
	"context"
	"database/sql"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"sidestream/mapping"
)

// victimEnv makes the test binary a writer that is to be killed.
const victimEnv = "STORE_TEST_VICTIM"

func TestMain(m *testing.M) {
	if path := os.Getenv(victimEnv); path != "" {
		victim(path)
		return
	}
	goleak.VerifyTestMain(m)
}

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// testBase is what *testing.T, *testing.B and *rapid.T share.
type testBase interface {
	rapid.TB
}

// openAt opens a store that the caller closes.
func openAt(tb testBase, path string, change func(*Options)) *Store {
	tb.Helper()
	opts := Options{Path: path}
	if change != nil {
		change(&opts)
	}
	s, err := Open(context.Background(), opts)
	if err != nil {
		tb.Fatalf("open: %v", err)
	}
	return s
}

// openStore opens a store in a directory of its own and closes it with the test.
func openStore(tb testing.TB, change func(*Options)) *Store {
	tb.Helper()
	s := openAt(tb, filepath.Join(tb.TempDir(), "messages.db"), change)
	tb.Cleanup(func() { closeStore(tb, s) })
	return s
}

func closeStore(tb testBase, s *Store) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		tb.Fatalf("close: %v", err)
	}
}

func (s *Store) path() string { return s.writer.opts.Path }

// otherConn is a second connection to the file, as another process would have
// one, only within this one.
func otherConn(tb testing.TB, path string) *sql.Conn {
	tb.Helper()
	db, err := sql.Open("sqlite3", dsn(path, nil))
	if err != nil {
		tb.Fatal(err)
	}
	conn, err := db.Conn(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close(); db.Close() })
	return conn
}

func run(tb testing.TB, conn *sql.Conn, query string, args ...any) {
	tb.Helper()
	if _, err := conn.ExecContext(tb.Context(), query, args...); err != nil {
		tb.Fatalf("%s: %v", query, err)
	}
}

// scan reads one row through the store's reading connection.
func scan(tb testBase, s *Store, query string, dest ...any) {
	tb.Helper()
	if err := s.reading.QueryRowContext(context.Background(), query).Scan(dest...); err != nil {
		tb.Fatalf("%s: %v", query, err)
	}
}

func count(tb testBase, s *Store, query string) int {
	tb.Helper()
	var n int
	scan(tb, s, query, &n)
	return n
}

func commit(tb testBase, s *Store, d Delivery) Result {
	tb.Helper()
	result, err := s.Commit(context.Background(), d)
	if err != nil {
		tb.Fatalf("commit: %v", err)
	}
	return result
}

// eventually waits until the condition holds.
func eventually(tb testBase, what string, holds func() bool) {
	tb.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			tb.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// settled waits until no unsent text waits in the WAL any more.
func settled(tb testBase, s *Store) {
	tb.Helper()
	eventually(tb, "the wal is truncated", func() bool { return s.writer.wal.since.Load() == 0 })
}

func change(kind mapping.Kind, id, text string) mapping.Change {
	c := mapping.Change{
		MessageID: id, Kind: kind, AccountID: "17841400000000001", SenderID: "900000000000001",
		RecipientID: "17841400000000001", Direction: mapping.Inbound, Timestamp: 1_790_000_000_000,
	}
	if text != "" {
		c.Text = &text
	}
	return c
}

func message(id, text string) mapping.Change { return change(mapping.KindMessage, id, text) }
func unsend(id string) mapping.Change        { return change(mapping.KindUnsend, id, "") }

func edit(id string, version int64, text string) mapping.Change {
	c := change(mapping.KindEdit, id, text)
	c.Version = version
	return c
}

func delivery(changes ...mapping.Change) Delivery { return Delivery{Changes: changes} }

// logs collects log lines.
type logs struct {
	mu    sync.Mutex
	lines strings.Builder
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lines.Write(p)
}

func (l *logs) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.lines.String(), text)
}

func (l *logs) logger() *slog.Logger { return slog.New(slog.NewTextHandler(io.Writer(l), nil)) }
