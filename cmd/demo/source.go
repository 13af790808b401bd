package main

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
)

// source looks into the SQLite file, read-only.
type source struct {
	db *sql.DB
}

// openSource opens the file. The driver is the one that the writer's store has
// brought along.
func openSource(path string) (*source, error) {
	file := url.URL{Scheme: "file", Path: path, RawQuery: "mode=ro&_query_only=true&_busy_timeout=5000"}
	db, err := sql.Open("sqlite3", file.String())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return &source{db: db}, nil
}

func (s *source) close() error { return s.db.Close() }

// messages returns how many messages the file holds.
func (s *source) messages(ctx context.Context) (int, error) {
	var n int
	err := s.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM messages WHERE kind = 'message'").Scan(&n)
	return n, err
}

// accounts returns the business account of every message, in the order of
// commits.
func (s *source) accounts(ctx context.Context) (accounts []string, err error) {
	found, err := s.db.QueryContext(ctx, "SELECT account_id FROM messages WHERE kind = 'message' ORDER BY seq")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, found.Close()) }()
	for found.Next() {
		var account string
		if err := found.Scan(&account); err != nil {
			return nil, err
		}
		accounts = append(accounts, account)
	}
	return accounts, found.Err()
}
