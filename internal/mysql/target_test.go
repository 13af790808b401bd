package mysql_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"sidestream/internal/mysql"
	"sidestream/internal/testkit/conformance"
	"sidestream/internal/testkit/fake"
	"sidestream/internal/testkit/mariadb"
	"sidestream/replicator"
)

func options(db mariadb.DB) mysql.Options {
	return mysql.Options{
		Addresses: []string{db.Addr}, User: db.User, Password: func() (string, error) { return db.Password, nil },
		Database: db.Name, Table: "messages", Source: "main",
	}
}

func newTarget(tb testing.TB, opt mysql.Options) *mysql.Target {
	tb.Helper()
	target, err := mysql.New(opt)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = target.Close() })
	return target
}

func readRows(tb testing.TB, db mariadb.DB) []conformance.Row {
	tb.Helper()
	rows, err := db.Open(tb).QueryContext(tb.Context(), "SELECT id, user_id, username, direction, message, UNIX_TIMESTAMP(created_at) FROM messages ORDER BY id")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var all []conformance.Row
	for rows.Next() {
		var r conformance.Row
		var seconds int64
		if err := rows.Scan(&r.ID, &r.UserID, &r.Username, &r.Direction, &r.Message, &seconds); err != nil {
			tb.Fatal(err)
		}
		r.CreatedAt = time.Unix(seconds, 0).UTC()
		all = append(all, r)
	}
	if err := rows.Err(); err != nil {
		tb.Fatal(err)
	}
	return all
}

func readDeadLetters(tb testing.TB, db mariadb.DB) []int64 {
	tb.Helper()
	rows, err := db.Open(tb).QueryContext(tb.Context(), "SELECT position FROM sidestream_dead_letters WHERE resolved_at IS NULL ORDER BY position")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var all []int64
	for rows.Next() {
		var p int64
		if err := rows.Scan(&p); err != nil {
			tb.Fatal(err)
		}
		all = append(all, p)
	}
	if err := rows.Err(); err != nil {
		tb.Fatal(err)
	}
	return all
}

func TestTarget_conforms(t *testing.T) { conformance.RunTarget(t, newCRM) }

func TestTarget_desk_conforms(t *testing.T) { conformance.RunDesk(t, newCRM) }

// desk is the operator's side under the names of the suite.
type desk struct{ *mysql.Target }

func (d desk) Tail(ctx context.Context) (replicator.Tail, error) {
	o, err := d.Overview(ctx)
	return o.Tail, err
}

func (d desk) Decide(ctx context.Context, expect, next replicator.Cursor, taken []replicator.Taken, letters []replicator.Letter) error {
	return d.Target.Decide(ctx, mysql.Decision{Action: "decided", Expect: expect, Next: next, Taken: taken, Letters: letters})
}

func (d desk) Retry(ctx context.Context, l fake.Letter, compute func(replicator.Cursor) (replicator.Item, error)) (string, error) {
	outcome, err := d.Target.Retry(ctx, mysql.DeadLetter{Generation: l.Generation, Position: l.Position, MessageID: l.MessageID}, compute)
	return string(outcome), err
}

func newCRM(tb testing.TB) conformance.CRM {
	tb.Helper()
	db := mariadb.Shared(tb).Database(tb)
	return conformance.CRM{
		New:    func() replicator.Target { return newTarget(tb, options(db)) },
		Rows:   func() []conformance.Row { return readRows(tb, db) },
		Delete: func(id int64) { db.Exec(tb, "DELETE FROM messages WHERE id = ?", id) },
		Insert: func(r conformance.Row) int64 {
			db.Exec(tb, "INSERT INTO messages (user_id, username, direction, message, created_at) VALUES (?,?,?,?,FROM_UNIXTIME(?))", r.UserID, r.Username, r.Direction, r.Message, r.CreatedAt.Unix())
			return db.Int(tb, "SELECT MAX(id) FROM messages")
		},
		Change: func(id int64, userID string, createdAt time.Time) {
			db.Exec(tb, "UPDATE messages SET user_id = ?, created_at = FROM_UNIXTIME(?) WHERE id = ?", userID, createdAt.Unix(), id)
		},
		DeadLetters: func() []int64 { return readDeadLetters(tb, db) },
		Desk:        func() conformance.Desk { return desk{newTarget(tb, options(db))} },
		PutCursor:   func(position int64) { db.Exec(tb, "UPDATE sidestream_cursor SET position = ?", position) },
		Truncate:    func() { db.Exec(tb, "TRUNCATE TABLE messages") },
		Refused:     strings.Repeat("too long for a TEXT column ", 2500),
	}
}
