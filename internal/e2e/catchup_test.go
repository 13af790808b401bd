package e2e_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sidestream/internal/mysql"
	"sidestream/internal/sqlite"
	"sidestream/internal/store"
	"sidestream/internal/testkit/mariadb"
	"sidestream/mapping"
	"sidestream/replicator"
)

// backlog stores n messages and returns the database's path.
func backlog(tb testing.TB, n int) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "messages.db")
	s, err := store.Open(tb.Context(), store.Options{Path: path})
	if err != nil {
		tb.Fatal(err)
	}
	random := rand.New(rand.NewPCG(7, 7))
	for stored := 0; stored < n; {
		var d store.Delivery
		for range min(1000, n-stored) {
			stored++
			d.Changes = append(d.Changes, sampleChange(random, stored))
		}
		if _, err := s.Commit(tb.Context(), d); err != nil {
			tb.Fatal(err)
		}
	}
	if err := s.Close(context.WithoutCancel(tb.Context())); err != nil {
		tb.Fatal(err)
	}
	return path
}

func sampleChange(random *rand.Rand, i int) mapping.Change {
	words := []string{"hello", "привет", "when do you open", "thanks 😀", "price?", "можно заказать", "ok"}
	var text strings.Builder
	for range 1 + random.IntN(12) {
		text.WriteString(words[random.IntN(len(words))])
		text.WriteByte(' ')
	}
	c := mapping.Change{
		MessageID: fmt.Sprintf("%0164d", i), Kind: mapping.KindMessage, AccountID: "17841400000000001", RecipientID: "17841400000000001",
		SenderID: fmt.Sprintf("9%016d", random.IntN(20_000)), Direction: mapping.Inbound, Text: new(text.String()), Timestamp: 1_790_000_000_000 + int64(i),
	}
	if i%5 > 2 {
		c.Direction, c.SenderID, c.RecipientID = mapping.Outbound, c.RecipientID, c.SenderID
	}
	return c
}

// drainInto applies a database file into a CRM and returns how long it took.
func drainInto(tb testing.TB, path string, db mariadb.DB) time.Duration {
	tb.Helper()
	source, err := sqlite.New(sqlite.Options{Path: path})
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = source.Close() }()
	target, err := mysql.New(mysql.Options{
		Addresses: []string{db.Addr}, User: db.User, Password: func() (string, error) { return db.Password, nil }, Database: db.Name, Table: "messages", Source: "main",
	})
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = target.Close() }()
	mapper, err := mapping.New(mapping.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	loop, err := replicator.New(replicator.Options{Source: source, Target: target, Mapper: mapper})
	if err != nil {
		tb.Fatal(err)
	}
	started := time.Now()
	if err := loop.Drain(tb.Context(), 0); err != nil {
		tb.Fatal(err)
	}
	return time.Since(started)
}

// limit is how long the same rows take as ready-made statements of 1,000 rows,
// one transaction each: what the server can do with INSERT at all.
func limit(tb testing.TB, from, into mariadb.DB) time.Duration {
	tb.Helper()
	statements := readyMade(tb, from)
	handle := into.Open(tb)
	started := time.Now()
	for _, statement := range statements {
		if _, err := handle.ExecContext(tb.Context(), statement); err != nil {
			tb.Fatal(err)
		}
	}
	return time.Since(started)
}

func readyMade(tb testing.TB, from mariadb.DB) []string {
	tb.Helper()
	rows, err := from.Open(tb).QueryContext(tb.Context(), "SELECT HEX(user_id), HEX(username), direction, HEX(message), DATE_FORMAT(created_at, '%Y-%m-%d %H:%i:%s') FROM messages ORDER BY id")
	if err != nil {
		tb.Fatal(err)
	}
	defer func(rows *sql.Rows) { _ = rows.Close() }(rows)
	var statements []string
	var b strings.Builder
	n := 0
	flush := func() {
		if n > 0 {
			statements = append(statements, b.String())
		}
		b.Reset()
		n = 0
	}
	for rows.Next() {
		var user, name, direction, message, at string
		if err := rows.Scan(&user, &name, &direction, &message, &at); err != nil {
			tb.Fatal(err)
		}
		if n == 0 {
			b.WriteString("INSERT INTO messages (user_id, username, direction, message, created_at) VALUES ")
		} else {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "(_utf8mb4 X'%s',_utf8mb4 X'%s','%s',_utf8mb4 X'%s','%s')", user, name, direction, message, at)
		if n++; n == 1000 {
			flush()
		}
	}
	flush()
	if err := rows.Err(); err != nil {
		tb.Fatal(err)
	}
	return statements
}

// BenchmarkCatchUp applies a backlog from SQLite into MariaDB, against the
// server's own limit for the same rows as ready-made INSERTs in the same run.
func BenchmarkCatchUp(b *testing.B) {
	const messages = 100_000
	path := backlog(b, messages)
	server := mariadb.Shared(b)
	var ours, theirs time.Duration
	for b.Loop() {
		db := server.Database(b)
		ours += drainInto(b, path, db)
		theirs += limit(b, db, server.Database(b))
	}
	b.ReportMetric(float64(b.N)*messages/ours.Seconds(), "rows/s")
	b.ReportMetric(float64(b.N)*messages/theirs.Seconds(), "limit-rows/s")
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "of-limit")
	b.ReportMetric(0, "ns/op")
}
