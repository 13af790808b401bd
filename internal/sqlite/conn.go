package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/mattn/go-sqlite3"
)

// conn is one connection through the driver itself: database/sql would cost a
// quarter of the reading speed, and a pool is what a pinned reader must not be.
// It has one user at a time.
type conn struct {
	db *sqlite3.SQLiteConn
}

// dsn is the only place where a connection string is made. The driver drops the
// parameters of a name without "file:", immutable and nolock would hide the
// writer's commits, and no mutex is needed for one user at a time.
func dsn(path string, busy time.Duration) string {
	uri := url.URL{Scheme: "file", OmitHost: true, Path: path}
	return fmt.Sprintf("%s?mode=ro&_query_only=1&_mutex=no&_busy_timeout=%d", uri.String(), busy.Milliseconds())
}

func dial(dsn string) (*conn, error) {
	opened, err := (&sqlite3.SQLiteDriver{}).Open(dsn)
	if err != nil {
		return nil, err
	}
	db, ok := opened.(*sqlite3.SQLiteConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("the driver opened a %T", opened), opened.Close())
	}
	return &conn{db: db}, nil
}

// exec runs a statement without parameters to its end; it cannot be cancelled,
// because it is what ends transactions.
func (c *conn) exec(query string) error {
	_, err := c.db.Exec(query, nil)
	return err
}

// errStop ends an each early.
var errStop = errors.New("stop")

// each runs a query once and hands its rows to fn.
func (c *conn) each(ctx context.Context, query string, args []any, fn func(row []driver.Value) error) error {
	st, err := c.prepare(query)
	if err != nil {
		return err
	}
	return errors.Join(st.each(ctx, fn, args...), st.close())
}

// one returns the first column of the first row, or nil.
func (c *conn) one(ctx context.Context, query string, args ...any) (driver.Value, error) {
	var value driver.Value
	err := c.each(ctx, query, args, func(row []driver.Value) error {
		value = row[0]
		return errStop
	})
	return value, err
}

// statement is a prepared query with buffers that its executions share.
type statement struct {
	st   *sqlite3.SQLiteStmt
	args []driver.NamedValue
	row  []driver.Value
}

func (c *conn) prepare(query string) (*statement, error) {
	prepared, err := c.db.Prepare(query)
	if err != nil {
		return nil, err
	}
	st, ok := prepared.(*sqlite3.SQLiteStmt)
	if !ok {
		return nil, errors.Join(fmt.Errorf("the driver prepared a %T", prepared), prepared.Close())
	}
	return &statement{st: st}, nil
}

// each hands the rows to fn until it returns an error; errStop ends it without
// one. The row's slice is used again, its values are not. No cursor stays open.
func (s *statement) each(ctx context.Context, fn func(row []driver.Value) error, args ...any) error {
	s.args = s.args[:0]
	for i, arg := range args {
		s.args = append(s.args, driver.NamedValue{Ordinal: i + 1, Value: arg})
	}
	rows, err := s.st.QueryContext(ctx, s.args)
	if err != nil {
		return err
	}
	defer rows.Close()
	if s.row == nil || len(s.row) != len(rows.Columns()) {
		s.row = make([]driver.Value, len(rows.Columns()))
	}
	for {
		err := rows.Next(s.row)
		if err == nil {
			err = fn(s.row)
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF), errors.Is(err, errStop):
			return nil
		default:
			return err
		}
	}
}

// one returns the first column of the first row, or nil.
func (s *statement) one(ctx context.Context, args ...any) (driver.Value, error) {
	var value driver.Value
	err := s.each(ctx, func(row []driver.Value) error {
		value = row[0]
		return errStop
	}, args...)
	return value, err
}

func (s *statement) close() error { return s.st.Close() }
