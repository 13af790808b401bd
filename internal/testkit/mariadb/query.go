package mariadb

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

const (
	connectTimeout = 5 * time.Second
	queryTimeout   = 30 * time.Second
)

// baseConfig is what helpers connect with. Times are UTC on both ends.
func baseConfig(addr, user, password string) *mysql.Config {
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr = "tcp", addr
	cfg.User, cfg.Passwd = user, password
	cfg.ParseTime, cfg.Loc = true, time.UTC
	cfg.Params = map[string]string{"time_zone": "'+00:00'"}
	cfg.Timeout, cfg.ReadTimeout, cfg.WriteTimeout = connectTimeout, queryTimeout, queryTimeout
	// Tests break connections on purpose; the driver's words on it are noise.
	cfg.Logger = &mysql.NopLogger{}
	return cfg
}

// open never fails on account of the server: it does not connect.
func open(cfg *mysql.Config) (*sql.DB, error) {
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	return sql.OpenDB(connector), nil
}

// openFor opens a handle that is closed at the test's end.
func openFor(tb testing.TB, cfg *mysql.Config) *sql.DB {
	tb.Helper()
	db, err := open(cfg)
	if err != nil {
		tb.Fatalf("open: %v", err)
	}
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

// Open returns a handle of the server's admin user, without a database. It is
// closed at the test's end.
func (s *Server) Open(tb testing.TB) *sql.DB {
	tb.Helper()
	return openFor(tb, s.config)
}

// Exec runs one statement as the admin user.
func (s *Server) Exec(tb testing.TB, query string, args ...any) {
	tb.Helper()
	mustExec(tb, s.config, query, args)
}

// Text returns the first column of the first row, as text, as the admin user.
func (s *Server) Text(tb testing.TB, query string, args ...any) string {
	tb.Helper()
	return mustScan[sql.NullString](tb, s.config, query, args).String
}

// TryText is Text for a server that may be away at the moment.
func (s *Server) TryText(tb testing.TB, query string, args ...any) (string, error) {
	tb.Helper()
	var value sql.NullString
	err := withDB(lasting(tb), s.config, func(ctx context.Context, db *sql.DB) error {
		return db.QueryRowContext(ctx, query, args...).Scan(&value)
	})
	return value.String, err
}

// Int returns the first column of the first row, as a number, as the admin user.
func (s *Server) Int(tb testing.TB, query string, args ...any) int64 {
	tb.Helper()
	return mustScan[sql.NullInt64](tb, s.config, query, args).Int64
}

// try runs a statement and returns its error.
func (s *Server) try(ctx context.Context, query string) error {
	return withDB(ctx, s.config, func(ctx context.Context, db *sql.DB) error {
		_, err := db.ExecContext(ctx, query)
		return err
	})
}

// Helpers connect anew for every call: a pooled connection might be one that
// the test has just broken.
func withDB(ctx context.Context, cfg *mysql.Config, do func(context.Context, *sql.DB) error) error {
	ctx, cancel := context.WithTimeout(ctx, queryTimeout)
	defer cancel()
	db, err := open(cfg)
	if err != nil {
		return err
	}
	defer db.Close()
	return do(ctx, db)
}

// lasting is the test's context without its end: cleanups query too.
func lasting(tb testing.TB) context.Context {
	tb.Helper()
	return context.WithoutCancel(tb.Context())
}

func mustExec(tb testing.TB, cfg *mysql.Config, query string, args []any) int64 {
	tb.Helper()
	var affected int64
	err := withDB(lasting(tb), cfg, func(ctx context.Context, db *sql.DB) error {
		result, err := db.ExecContext(ctx, query, args...)
		if err != nil {
			return err
		}
		affected, err = result.RowsAffected()
		return err
	})
	if err != nil {
		tb.Fatalf("%s: %v", query, err)
	}
	return affected
}

func mustScan[T any](tb testing.TB, cfg *mysql.Config, query string, args []any) T {
	tb.Helper()
	var value T
	err := withDB(lasting(tb), cfg, func(ctx context.Context, db *sql.DB) error {
		return db.QueryRowContext(ctx, query, args...).Scan(&value)
	})
	if err != nil {
		tb.Fatalf("%s: %v", query, err)
	}
	return value
}
