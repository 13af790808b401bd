package simulation_test

import (
	"context"
	"time"

	"sidestream/internal/testkit/fake"
	"sidestream/mapping"
	"sidestream/replicator"
)

// crm is a CRM that histories are played on: in memory, or a real server.
type crm interface {
	// connect returns a connection for one more program.
	connect() client
	// rows returns the CRM's table in id order.
	rows() []row
	cursor() replicator.Cursor
	letters() []fake.Letter
	// stranger adds a row that is not ours.
	stranger()
	// taste says what the table takes.
	taste(taste)
	// mute leaves out which row was refused, as some servers do.
	mute(bool)

	dump() any
	// The restores end what transactions are open.
	restore(dump any)
	restoreTable(dump any)
	restoreCursor(dump any)
	truncate()
	dropState()
}

// client is what the loop and the operator's commands call.
type client interface {
	replicator.Target
	replicator.Table
	Tail(ctx context.Context) (replicator.Tail, error)
	Decide(ctx context.Context, expect, next replicator.Cursor, taken []replicator.Taken, letters []replicator.Letter) error
	Retry(ctx context.Context, letter fake.Letter, compute func(replicator.Cursor) (replicator.Item, error)) (string, error)
}

// row is a row of the CRM's table.
type row struct {
	id                                   int64
	userID, username, direction, message string
	createdAt                            time.Time
}

const source = "main"

// taste is what the CRM's table takes: all but what is refused for its content,
// everything, or nothing at all.
type taste int

const (
	usual taste = iota
	anything
	nothing
)

// What the CRM refuses for what it contains, by number and by an unknown one.
const (
	badText = "bad text"
	oddText = "odd text"
)

// memory is the CRM in memory.
type memory struct {
	server *fake.Server
	takes  taste
}

func newMemory() *memory {
	m := &memory{server: fake.NewServer(func() time.Time { return epoch })}
	m.server.Refuse = func(r mapping.Record) *replicator.Failure {
		switch {
		case m.takes == anything:
		case m.takes == nothing:
			return &replicator.Failure{Class: replicator.Data, Reason: "bad_value", Code: "1366"}
		case begins(r.Message, badText):
			return &replicator.Failure{Class: replicator.Data, Reason: "too_long", Code: "1406"}
		case begins(r.Message, oddText):
			return &replicator.Failure{Class: replicator.Transient, Reason: "unknown", Code: "31001", Unknown: true}
		}
		return nil
	}
	return m
}

func (m *memory) connect() client           { return m.server.Target(source) }
func (m *memory) cursor() replicator.Cursor { return m.server.Cursor(source) }
func (m *memory) letters() []fake.Letter    { return m.server.Letters(source) }
func (m *memory) taste(t taste)             { m.takes = t }
func (m *memory) mute(on bool)              { m.server.Mute = on }
func (m *memory) dump() any                 { return m.server.Dump() }
func (m *memory) truncate()                 { m.server.Truncate() }
func (m *memory) dropState()                { m.server.DropState() }

func (m *memory) restore(dump any) {
	if d, ok := dump.(*fake.Dump); ok {
		m.server.Restore(d)
	}
}

func (m *memory) restoreTable(dump any) {
	if d, ok := dump.(*fake.Dump); ok {
		m.server.RestoreTable(d)
	}
}

func (m *memory) restoreCursor(dump any) {
	if d, ok := dump.(*fake.Dump); ok {
		m.server.RestoreCursor(d)
	}
}

func (m *memory) stranger() {
	m.server.Insert(mapping.Record{UserID: "a stranger", Username: "a stranger", Direction: "in", Message: "not ours", CreatedAt: strangers})
}

func (m *memory) rows() []row {
	var all []row
	for _, r := range m.server.Rows() {
		all = append(all, row{id: r.ID, userID: r.UserID, username: r.Username, direction: r.Direction, message: r.Message, createdAt: r.CreatedAt})
	}
	return all
}
