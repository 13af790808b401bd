package mariadb

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// CRMTable is the CRM's table as it exists in the field.
const CRMTable = `CREATE TABLE messages (id INT AUTO_INCREMENT PRIMARY KEY, user_id VARCHAR(100), username VARCHAR(100),
  direction ENUM('in','out'), message TEXT, created_at TIMESTAMP)`

// DB is a database with a user of its own, who may do everything inside it and
// nothing outside: server settings such as read_only hold for that user.
type DB struct {
	Name     string
	Addr     string
	User     string
	Password string
	// DSN is for go-sql-driver/mysql: UTC, parsed times, timeouts.
	DSN string

	config *mysql.Config
}

// Database creates a fresh database in utf8mb4 with the CRM's table. It is
// dropped at the test's end.
func (s *Server) Database(tb testing.TB) DB {
	tb.Helper()
	db := s.EmptyDatabase(tb, "CHARACTER SET utf8mb4")
	db.Exec(tb, CRMTable)
	return db
}

// EmptyDatabase creates a fresh database without tables; options is the end of
// its CREATE DATABASE statement, "CHARACTER SET latin1" for example. It is
// dropped at the test's end.
func (s *Server) EmptyDatabase(tb testing.TB, options string) DB {
	tb.Helper()
	id := "t" + randomID(tb)
	s.Exec(tb, "CREATE DATABASE "+id+" "+options)
	// MySQL takes names of users up to 32 characters.
	s.Exec(tb, "CREATE USER "+id+"@'%' IDENTIFIED BY '"+id+"'")
	s.Exec(tb, "GRANT ALL PRIVILEGES ON "+id+".* TO "+id+"@'%'")
	tb.Cleanup(func() { s.drop(tb, id) })
	cfg := s.config.Clone()
	cfg.DBName, cfg.User, cfg.Passwd = id, id, id
	return newDB(cfg)
}

// drop tidies up on servers that live on. A private one goes away as a whole,
// and may be down or frozen by now.
func (s *Server) drop(tb testing.TB, id string) {
	tb.Helper()
	if s.local != nil && !s.lasts {
		return
	}
	err := withDB(lasting(tb), s.config, func(ctx context.Context, db *sql.DB) error {
		conn, err := db.Conn(ctx)
		if err != nil {
			return err
		}
		defer conn.Close()
		for _, query := range []string{
			// A transaction that the test left open must not hold it up for long.
			"SET SESSION lock_wait_timeout = 5",
			"DROP USER " + id + "@'%'",
			"DROP DATABASE " + id,
		} {
			if _, err := conn.ExecContext(ctx, query); err != nil {
				return fmt.Errorf("%s: %w", query, err)
			}
		}
		return nil
	})
	if err != nil {
		tb.Logf("tidy up: %v", err)
	}
}

func randomID(tb testing.TB) string {
	tb.Helper()
	raw := make([]byte, 8)
	if _, err := rand.Read(raw); err != nil {
		tb.Fatalf("random name: %v", err)
	}
	return fmt.Sprintf("%x", raw)
}

func newDB(cfg *mysql.Config) DB {
	return DB{
		Name: cfg.DBName, Addr: cfg.Addr, User: cfg.User, Password: cfg.Passwd,
		DSN: cfg.FormatDSN(), config: cfg,
	}
}

// At returns the same database behind another address: a proxy's, or another
// node's of a cluster.
func (d DB) At(addr string) DB {
	cfg := d.config.Clone()
	cfg.Addr = addr
	return newDB(cfg)
}

// Config returns a copy of the settings behind DSN, to be changed at will.
func (d DB) Config() *mysql.Config { return d.config.Clone() }

// Open returns a handle that is closed at the test's end.
func (d DB) Open(tb testing.TB) *sql.DB {
	tb.Helper()
	return openFor(tb, d.config)
}

// Exec runs one statement and returns the number of affected rows.
func (d DB) Exec(tb testing.TB, query string, args ...any) int64 {
	tb.Helper()
	return mustExec(tb, d.config, query, args)
}

// Text returns the first column of the first row as text, empty for NULL.
func (d DB) Text(tb testing.TB, query string, args ...any) string {
	tb.Helper()
	return mustScan[sql.NullString](tb, d.config, query, args).String
}

// Int returns the first column of the first row as a number, 0 for NULL.
func (d DB) Int(tb testing.TB, query string, args ...any) int64 {
	tb.Helper()
	return mustScan[sql.NullInt64](tb, d.config, query, args).Int64
}

// Rows returns all rows as text: NULL as "NULL", times as in RFC 3339.
func (d DB) Rows(tb testing.TB, query string, args ...any) [][]string {
	tb.Helper()
	var all [][]string
	err := withDB(lasting(tb), d.config, func(ctx context.Context, db *sql.DB) error {
		rows, err := db.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		all, err = scanAll(rows)
		return err
	})
	if err != nil {
		tb.Fatalf("%s: %v", query, err)
	}
	return all
}

func scanAll(rows *sql.Rows) ([][]string, error) {
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var all [][]string
	for rows.Next() {
		values := make([]sql.NullString, len(columns))
		into := make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		row := make([]string, len(columns))
		for i, v := range values {
			row[i] = "NULL"
			if v.Valid {
				row[i] = v.String
			}
		}
		all = append(all, row)
	}
	return all, rows.Err()
}
