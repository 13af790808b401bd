package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	sqle "github.com/dolthub/go-mysql-server"
	"github.com/dolthub/go-mysql-server/memory"
	"github.com/dolthub/go-mysql-server/server"
	enginesql "github.com/dolthub/go-mysql-server/sql"
	"github.com/go-sql-driver/mysql"
	"github.com/sirupsen/logrus"

	"sidestream/internal/simulate"
)

// What the CRM is called, and who may log in. The server asks for no password.
const (
	crmUser     = "crm"
	crmDatabase = "crm"
)

// crmTable is a table as CRMs have it: made long ago, for people to read.
const crmTable = `CREATE TABLE messages (id INT AUTO_INCREMENT PRIMARY KEY, user_id VARCHAR(100), username VARCHAR(100),
  direction ENUM('in','out'), message TEXT, created_at TIMESTAMP)`

// crm is a MySQL-compatible server inside of this process, with the CRM's
// database in memory, and a connection to it such as the CRM's people have.
type crm struct {
	address string
	db      *sql.DB
	server  *server.Server
	engine  *sqle.Engine
	served  chan error
}

// startCRM starts the server on a free port. Its warnings go to log.
func startCRM(ctx context.Context, log io.Writer) (*crm, error) {
	// The engine logs through logrus's own logger and takes no other.
	logrus.SetOutput(log)
	logrus.SetLevel(logrus.WarnLevel)

	database := memory.NewDatabase(crmDatabase)
	database.EnablePrimaryKeyIndexes()
	provider := memory.NewDBProvider(database)
	engine := sqle.NewDefault(provider)
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	c := &crm{address: listener.Addr().String(), engine: engine, served: make(chan error, 1)}
	c.server, err = server.NewServerWithHandler(server.Config{Protocol: "tcp", Address: c.address, Listener: listener},
		engine, enginesql.NewContext, memory.NewSessionBuilder(provider), nil, newGate)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	go func() { c.served <- c.server.Start() }()

	settings := mysql.NewConfig()
	settings.User, settings.Net, settings.Addr, settings.DBName = crmUser, "tcp", c.address, crmDatabase
	settings.InterpolateParams = true
	settings.Params = map[string]string{"time_zone": "'+00:00'"}
	connector, err := mysql.NewConnector(settings)
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	c.db = sql.OpenDB(connector)
	c.db.SetMaxOpenConns(1)
	if _, err := c.db.ExecContext(ctx, crmTable); err != nil {
		return nil, errors.Join(fmt.Errorf("create the CRM's table: %w", err), c.close())
	}
	return c, nil
}

// close ends the server. Whoever is still connected is cut off when the process
// ends.
func (c *crm) close() error {
	var err error
	if c.db != nil {
		err = c.db.Close()
	}
	err = errors.Join(err, c.server.Close(), <-c.served)
	logrus.SetOutput(io.Discard) // the log is the caller's, who may close it now
	// The engine's background threads report the end that Close asks for.
	if ended := c.engine.Close(); !errors.Is(ended, context.Canceled) {
		err = errors.Join(err, ended)
	}
	return err
}

// count returns how many rows the CRM's table holds.
func (c *crm) count(ctx context.Context) (int, error) {
	var n int
	err := c.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM messages").Scan(&n)
	return n, err
}

// unnamed returns how many rows show a user's id for want of a name.
func (c *crm) unnamed(ctx context.Context) (int, error) {
	var n int
	err := c.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM messages WHERE username = user_id").Scan(&n)
	return n, err
}

// deadLetters returns how many changes the replicator has put aside.
func (c *crm) deadLetters(ctx context.Context) (int, error) {
	var n int
	err := c.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM sidestream_dead_letters").Scan(&n)
	return n, err
}

// contact is a CRM row as a person sees it.
type contact struct {
	id                int64
	username, message string
}

// last returns the newest row. Without any its id is 0.
func (c *crm) last(ctx context.Context) (contact, error) {
	var row contact
	err := c.db.QueryRowContext(ctx, "SELECT id, username, message FROM messages ORDER BY id DESC LIMIT 1").
		Scan(&row.id, &row.username, &row.message)
	if errors.Is(err, sql.ErrNoRows) {
		return contact{}, nil
	}
	return row, err
}

// rows returns everything that the CRM's table holds, in the order of its ids.
func (c *crm) rows(ctx context.Context) (rows []simulate.Row, err error) {
	found, err := c.db.QueryContext(ctx, "SELECT user_id, direction, message, created_at FROM messages ORDER BY id")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, found.Close()) }()
	for found.Next() {
		var row simulate.Row
		var createdAt string
		if err := found.Scan(&row.UserID, &row.Direction, &row.Message, &createdAt); err != nil {
			return nil, err
		}
		at, err := time.Parse(time.DateTime, createdAt)
		if err != nil {
			return nil, err
		}
		row.CreatedAt = at.Unix()
		rows = append(rows, row)
	}
	return rows, found.Err()
}
