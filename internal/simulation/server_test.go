package simulation_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"
	"time"

	"sidestream/internal/mysql"
	"sidestream/internal/testkit/fake"
	"sidestream/internal/testkit/mariadb"
	"sidestream/replicator"
)

// server is a CRM on a real MariaDB. What it refuses for its content a trigger
// refuses.
type server struct {
	tb      testing.TB
	db      mariadb.DB
	sql     *sql.DB
	targets []*mysql.Target
}

func newServer(tb testing.TB) *server {
	tb.Helper()
	s := &server{tb: tb, db: mariadb.Shared(tb).Database(tb)}
	s.sql = s.db.Open(tb)
	s.exec("CREATE TABLE willing (taste INT NOT NULL, moving BOOL NOT NULL, last_id INT NOT NULL)")
	s.exec("INSERT INTO willing VALUES (0, FALSE, 0)")
	for when, ids := range map[string]string{
		"INSERT": "IF (SELECT moving FROM willing) THEN UPDATE willing SET last_id = last_id + 2; SET NEW.id = (SELECT last_id FROM willing); END IF; ",
		"UPDATE": "",
	} {
		s.exec("CREATE TRIGGER picky_" + when + " BEFORE " + when + " ON messages FOR EACH ROW BEGIN " +
			"IF (SELECT taste FROM willing) = 2 THEN SIGNAL SQLSTATE '22001' SET MYSQL_ERRNO = 1366, MESSAGE_TEXT = 'refused'; END IF; " +
			"IF (SELECT taste FROM willing) = 0 THEN " +
			"IF NEW.message LIKE '" + badText + "%' THEN SIGNAL SQLSTATE '22001' SET MYSQL_ERRNO = 1406, MESSAGE_TEXT = 'refused'; END IF; " +
			"IF NEW.message LIKE '" + oddText + "%' THEN SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = 31001, MESSAGE_TEXT = 'refused'; END IF; " +
			"END IF; " + ids + "END")
	}
	// The first one to load creates the state tables.
	if _, err := s.connect().Load(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return s
}

// afresh empties everything for the next history.
func (s *server) afresh() *server {
	for _, t := range s.targets {
		_ = t.Close()
	}
	s.targets = nil
	s.truncate()
	s.dropState()
	return s
}

func (s *server) exec(query string, args ...any) {
	s.tb.Helper()
	if _, err := s.sql.ExecContext(s.tb.Context(), query, args...); err != nil {
		s.tb.Fatalf("%.80s: %v", query, err)
	}
}

// each calls scan for every row.
func (s *server) each(query string, scan func(*sql.Rows) error) {
	s.tb.Helper()
	rows, err := s.sql.QueryContext(s.tb.Context(), query)
	if err != nil {
		s.tb.Fatalf("%.80s: %v", query, err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := scan(rows); err != nil {
			s.tb.Fatalf("%.80s: %v", query, err)
		}
	}
	if err := rows.Err(); err != nil {
		s.tb.Fatalf("%.80s: %v", query, err)
	}
}

// desk makes the operator's side of a mysql.Target look like the fake's.
type desk struct{ *mysql.Target }

func (d desk) Tail(ctx context.Context) (replicator.Tail, error) {
	o, err := d.Overview(ctx)
	return o.Tail, err
}

func (d desk) Decide(ctx context.Context, expect, next replicator.Cursor, taken []replicator.Taken, letters []replicator.Letter) error {
	action, _, _ := strings.Cut(next.Decision, "-")
	return d.Target.Decide(ctx, mysql.Decision{Action: action, Expect: expect, Next: next, Taken: taken, Letters: letters})
}

func (d desk) Retry(ctx context.Context, l fake.Letter, compute func(replicator.Cursor) (replicator.Item, error)) (string, error) {
	if _, err := d.Load(ctx); err != nil {
		return "", err
	}
	outcome, err := d.Target.Retry(ctx, mysql.DeadLetter{Generation: l.Generation, Position: l.Position, MessageID: l.MessageID}, compute)
	return string(outcome), err
}

func (s *server) connect() client {
	target, err := mysql.New(mysql.Options{
		Addresses: []string{s.db.Addr}, User: s.db.User, Password: func() (string, error) { return s.db.Password, nil },
		Database: s.db.Name, Table: "messages", Source: source,
	})
	if err != nil {
		s.tb.Fatal(err)
	}
	s.targets = append(s.targets, target)
	s.tb.Cleanup(func() { _ = target.Close() })
	return desk{target}
}

func (s *server) rows() []row {
	var all []row
	s.each("SELECT id, user_id, username, direction, message, UNIX_TIMESTAMP(created_at) FROM messages ORDER BY id", func(rows *sql.Rows) error {
		var r row
		var seconds int64
		err := rows.Scan(&r.id, &r.userID, &r.username, &r.direction, &r.message, &seconds)
		r.createdAt = time.Unix(seconds, 0).UTC()
		all = append(all, r)
		return err
	})
	return all
}

func (s *server) cursor() replicator.Cursor {
	var c replicator.Cursor
	s.each("SELECT generation, position, start_position, attempt FROM sidestream_cursor", func(rows *sql.Rows) error {
		c.Known = true
		return rows.Scan(&c.Generation, &c.Position, &c.StartPosition, &c.Attempt)
	})
	return c
}

func (s *server) letters() []fake.Letter {
	var all []fake.Letter
	s.each("SELECT generation, position, message_id FROM sidestream_dead_letters WHERE resolved_at IS NULL ORDER BY 1, 2", func(rows *sql.Rows) error {
		var l fake.Letter
		err := rows.Scan(&l.Generation, &l.Position, &l.MessageID)
		all = append(all, l)
		return err
	})
	return all
}

func (s *server) stranger() {
	s.exec("INSERT INTO messages (user_id, username, direction, message, created_at) VALUES ('a stranger', 'a stranger', 'in', 'not ours', ?)", strangers)
}

func (s *server) taste(t taste) { s.exec("UPDATE willing SET taste = ?", int(t)) }

func (s *server) mute(bool) {}

// move has a trigger give out the ids, two at a time, or lets the server do it.
func (s *server) move(on bool) {
	s.exec("UPDATE willing SET moving = ?, last_id = (SELECT COALESCE(MAX(id), 0) FROM messages)", on)
}

// stateTables are those that a restore without them loses.
func stateTables() []string {
	return []string{"sidestream_cursor", "sidestream_ledger", "sidestream_dead_letters"}
}

// dump holds the rows of each table.
func (s *server) dump() any {
	tables := map[string][][]any{}
	for _, table := range append(stateTables(), "messages") {
		s.each("SELECT * FROM "+table, func(rows *sql.Rows) error {
			columns, err := rows.Columns()
			if err != nil {
				return err
			}
			values, into := make([]any, len(columns)), make([]any, len(columns))
			for i := range values {
				into[i] = &values[i]
			}
			err = rows.Scan(into...)
			tables[table] = append(tables[table], values)
			return err
		})
	}
	return tables
}

// put makes tables what they were at a dump.
func (s *server) put(dump any, tables ...string) {
	held, _ := dump.(map[string][][]any)
	for _, table := range tables {
		s.exec("TRUNCATE TABLE " + table)
		for _, values := range held[table] {
			s.exec("INSERT INTO "+table+" VALUES (?"+strings.Repeat(",?", len(values)-1)+")", values...)
		}
	}
}

func (s *server) restore(dump any) {
	s.restoreTable(dump)
	s.put(dump, stateTables()...)
	s.exec("DELETE FROM sidestream_meta WHERE name LIKE 'rewound:%'")
}

func (s *server) restoreTable(dump any) {
	moving := mariadb.Shared(s.tb).Int(s.tb, "SELECT moving FROM "+s.db.Name+".willing") > 0
	s.move(false)
	s.taste(anything)
	s.put(dump, "messages")
	s.taste(usual)
	s.move(moving)
}

func (s *server) restoreCursor(dump any) { s.put(dump, "sidestream_cursor") }
func (s *server) truncate()              { s.restoreTable(nil) }

func (s *server) dropState() {
	s.put(nil, stateTables()...)
	s.exec("DELETE FROM sidestream_meta WHERE name LIKE 'rewound:%'")
}

// waiting reports whether a transaction waits for a row that another one holds.
func (s *server) waiting() bool {
	return mariadb.Shared(s.tb).Int(s.tb, "SELECT COUNT(*) FROM information_schema.processlist WHERE command <> 'Sleep' AND info LIKE 'UPDATE%sidestream_cursor%'") > 0
}
