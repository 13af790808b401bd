package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"io"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// newCRM starts an embedded server for one test.
func newCRM(t *testing.T) *crm {
	t.Helper()
	c, err := startCRM(t.Context(), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// visitor is another client of the server.
func visitor(t *testing.T, c *crm) *sql.Conn {
	t.Helper()
	db, err := sql.Open("mysql", crmUser+"@tcp("+c.address+")/"+crmDatabase)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = conn.Close(), db.Close() })
	return conn
}

const anyRow = "INSERT INTO messages (user_id, direction, message) VALUES ('1', 'in', 'hello')"

func TestCRM_keeps_what_clients_do_side_by_side(t *testing.T) {
	const clients, each = 4, 50
	c := newCRM(t)
	var group errgroup.Group
	for range clients {
		conn := visitor(t, c)
		group.Go(func() error {
			for range each {
				for _, statement := range []string{"START TRANSACTION", anyRow, "SELECT COUNT(*) FROM messages", "COMMIT"} {
					if _, err := conn.ExecContext(t.Context(), statement); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if n, err := c.count(t.Context()); n != clients*each || err != nil {
		t.Errorf("%d rows of %d, %v", n, clients*each, err)
	}
}

func TestCRM_forgets_the_transaction_of_a_client_that_is_gone(t *testing.T) {
	c := newCRM(t)
	conn := visitor(t, c)
	for _, statement := range []string{"START TRANSACTION", anyRow} {
		if _, err := conn.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	// The driver closes a connection that is bad.
	_ = conn.Raw(func(any) error { return driver.ErrBadConn })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if n, err := c.count(ctx); n != 0 || err != nil {
		t.Errorf("%d rows, %v", n, err)
	}
}

func TestCRM_is_what_the_replicator_asks_for(t *testing.T) {
	c := newCRM(t)
	var engine, zone string
	err := c.db.QueryRowContext(t.Context(), "SELECT ENGINE, @@time_zone FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = 'messages'", crmDatabase).
		Scan(&engine, &zone)
	if err != nil || engine != "InnoDB" || zone != "+00:00" {
		t.Errorf("engine %q, zone %q, %v", engine, zone, err)
	}
	result, err := c.db.ExecContext(t.Context(), anyRow+", ('2', 'out', NULL)")
	if err != nil {
		t.Fatal(err)
	}
	if first, err := result.LastInsertId(); first != 1 || err != nil {
		t.Errorf("first id %d, %v", first, err)
	}
	if _, err := c.db.ExecContext(t.Context(), "INSERT INTO messages (direction) VALUES ('sideways')"); err == nil {
		t.Error("takes any direction")
	}
}
