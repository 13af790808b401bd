package sqlite_test

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sidestream/internal/sqlite"
	"sidestream/mapping"
	"sidestream/replicator"
)

const benchRows = 100_000

// benchFile has rows of the size that Instagram's have: mids of 164 characters,
// texts of 58 on average, one in fifty an edit.
func benchFile(b *testing.B, statements ...string) string {
	b.Helper()
	w := newWriterAt(b, filepath.Join(b.TempDir(), "messages.db"), messagesTable)
	for _, statement := range statements {
		w.exec(statement)
	}
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	w.exec("BEGIN")
	previous := mapping.Change{}
	for i := range benchRows {
		if i%50 == 49 {
			w.store(of(mapping.KindEdit, 1, previous))
			continue
		}
		mid := []byte("aWdfZAG1faXRlbToxOklHTWVzc2FnZAUlEOjE3ODQx")
		for len(mid) < 164 {
			mid = append(mid, letters[rand.IntN(len(letters))])
		}
		text := strings.Repeat("x", 1+rand.IntN(115))
		previous = message(string(mid))
		previous.AccountID, previous.RecipientID, previous.Text = "17841400000000001", "17841400000000001", &text
		previous.SenderID = fmt.Sprint(1_000_000_000_000_000 + rand.IntN(20_000))
		w.store(previous)
	}
	w.exec("COMMIT")
	w.exec("PRAGMA wal_checkpoint(TRUNCATE)")
	w.close()
	return w.path
}

// BenchmarkRead reads a backlog in chunks of 1,000 with a cursor that has its
// anchors, beside a plain scan of the same file with database/sql; ratio is the
// speed relative to that scan.
func BenchmarkRead(b *testing.B) {
	for _, file := range []struct {
		name       string
		statements []string
	}{
		{"with_index_of_changes", []string{changeIndex}},
		{"without", nil},
	} {
		b.Run(file.name, func(b *testing.B) {
			path := benchFile(b, file.statements...)
			opt := sqlite.Options{Path: path}
			s, err := sqlite.New(opt)
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			var reading, scanning time.Duration
			rows := 0
			for b.Loop() {
				begin := time.Now()
				var after replicator.Cursor
				for {
					chunk, err := s.Read(b.Context(), after, 1000)
					if err != nil {
						b.Fatal(err)
					}
					rows += len(chunk.Changes)
					if after = apply(after, chunk); chunk.Until >= chunk.Head {
						break
					}
				}
				reading += time.Since(begin)
				begin = time.Now()
				plainScan(b, path)
				scanning += time.Since(begin)
			}
			b.ReportMetric(float64(rows)/reading.Seconds(), "rows/s")
			b.ReportMetric(scanning.Seconds()/reading.Seconds(), "ratio")
		})
	}
}

func plainScan(b *testing.B, path string) {
	b.Helper()
	db, err := sql.Open("sqlite3", "file:"+path+"?mode=ro")
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(b.Context(), `SELECT seq, id, kind, version, account_id, sender_id, recipient_id, direction,
		message_text, attachments, timestamp, created_at FROM messages ORDER BY seq`)
	if err != nil {
		b.Fatal(err)
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		var c mapping.Change
		if err := rows.Scan(&c.Position, &c.MessageID, &c.Kind, &c.Version, &c.AccountID, &c.SenderID, &c.RecipientID,
			&c.Direction, &c.Text, &c.Attachments, &c.Timestamp, &c.CommittedAt); err != nil {
			b.Fatal(err)
		}
		n++
	}
	if err := rows.Err(); err != nil || n != benchRows {
		b.Fatalf("%d rows, %v", n, err)
	}
}

// BenchmarkRead_idle is what a poll without news costs.
func BenchmarkRead_idle(b *testing.B) {
	w := newWriterAt(b, filepath.Join(b.TempDir(), "messages.db"), messagesTable)
	w.messages(500)
	s, err := sqlite.New(sqlite.Options{Path: w.path})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	chunk, err := s.Read(b.Context(), replicator.Cursor{}, 500)
	if err != nil {
		b.Fatal(err)
	}
	after := apply(replicator.Cursor{}, chunk)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Read(b.Context(), after, 1000); err != nil {
			b.Fatal(err)
		}
	}
}
