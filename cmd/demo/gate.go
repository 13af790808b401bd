package main

import (
	"context"
	"sync/atomic"

	"github.com/dolthub/vitess/go/mysql"
	"github.com/dolthub/vitess/go/sqltypes"
	querypb "github.com/dolthub/vitess/go/vt/proto/query"
)

// gate lets one connection at a time into the embedded engine, for as long as
// its transaction lasts. The engine has no isolation: at the end of every
// transaction, even of one that only read, it puts back whole tables as that
// transaction saw them, and what others have committed meanwhile is gone.
// Behind the gate the replicator, the sums and whoever looks in with a client
// of their own cannot do that to each other.
type gate struct {
	mysql.Handler
	// free holds the one right to enter; owner is the id of the connection that
	// has it, or 0. A connection serves one command at a time, so only its own
	// goroutine sets owner to its id and away from it.
	free  chan struct{}
	owner atomic.Uint32
}

// newGate puts a gate in front of the engine's handler.
func newGate(h mysql.Handler) (mysql.Handler, error) {
	g := &gate{Handler: h, free: make(chan struct{}, 1)}
	g.free <- struct{}{}
	return g, nil
}

func (g *gate) enter(c *mysql.Conn) {
	if g.owner.Load() == c.ConnectionID {
		return // in the middle of its transaction
	}
	<-g.free
	g.owner.Store(c.ConnectionID)
}

// leave gives up the right unless a transaction goes on.
func (g *gate) leave(c *mysql.Conn) {
	if c.StatusFlags&uint16(mysql.ServerInTransaction) == 0 {
		g.release(c)
	}
}

func (g *gate) release(c *mysql.Conn) {
	if g.owner.CompareAndSwap(c.ConnectionID, 0) {
		g.free <- struct{}{}
	}
}

// ConnectionClosed rolls back what the connection left open.
func (g *gate) ConnectionClosed(c *mysql.Conn) {
	g.Handler.ConnectionClosed(c)
	g.release(c)
}

func (g *gate) ComInitDB(c *mysql.Conn, schema string) error {
	g.enter(c)
	defer g.leave(c)
	return g.Handler.ComInitDB(c, schema)
}

func (g *gate) ComQuery(ctx context.Context, c *mysql.Conn, query string, callback mysql.ResultSpoolFn) error {
	g.enter(c)
	defer g.leave(c)
	return g.Handler.ComQuery(ctx, c, query, callback)
}

func (g *gate) ComMultiQuery(ctx context.Context, c *mysql.Conn, query string, callback mysql.ResultSpoolFn) (string, error) {
	g.enter(c)
	defer g.leave(c)
	return g.Handler.ComMultiQuery(ctx, c, query, callback)
}

func (g *gate) ComPrepare(ctx context.Context, c *mysql.Conn, query string, prepare *mysql.PrepareData) ([]*querypb.Field, error) {
	g.enter(c)
	defer g.leave(c)
	return g.Handler.ComPrepare(ctx, c, query, prepare)
}

func (g *gate) ComStmtExecute(ctx context.Context, c *mysql.Conn, prepare *mysql.PrepareData, callback func(*sqltypes.Result) error) error {
	g.enter(c)
	defer g.leave(c)
	return g.Handler.ComStmtExecute(ctx, c, prepare, callback)
}
