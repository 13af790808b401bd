package fake_test

import (
	"strings"
	"testing"

	"sidestream/internal/testkit/conformance"
	"sidestream/internal/testkit/fake"
	"sidestream/mapping"
	"sidestream/replicator"
)

func TestTarget(t *testing.T) { conformance.RunTarget(t, newCRM) }

func TestTarget_desk(t *testing.T) { conformance.RunDesk(t, newCRM) }

func TestSource(t *testing.T) {
	conformance.RunSource(t, func(testing.TB) conformance.Log {
		source := fake.NewSource("source")
		return conformance.Log{Source: source, Append: source.Append}
	})
}

func newCRM(testing.TB) conformance.CRM {
	const refused = "a message that this fake was told to refuse"
	server := fake.NewServer(nil)
	server.Refuse = func(r mapping.Record) *replicator.Failure {
		if strings.HasPrefix(r.Message, refused) {
			return &replicator.Failure{Class: replicator.Data, Reason: "too_long"}
		}
		return nil
	}
	return conformance.CRM{
		New: func() replicator.Target { return server.Target("main") },
		Rows: func() []conformance.Row {
			var rows []conformance.Row
			for _, r := range server.Rows() {
				rows = append(rows, conformance.Row{ID: r.ID, UserID: r.UserID, Username: r.Username, Direction: r.Direction, Message: r.Message, CreatedAt: r.CreatedAt})
			}
			return rows
		},
		Delete: func(id int64) { server.Delete(id) },
		Insert: func(r conformance.Row) int64 {
			return server.Insert(mapping.Record{UserID: r.UserID, Username: r.Username, Direction: r.Direction, Message: r.Message, CreatedAt: r.CreatedAt})
		},
		Change:      server.Change,
		DeadLetters: func() []int64 { return server.DeadLetters("main") },
		Desk:        func() conformance.Desk { return server.Target("main") },
		PutCursor: func(position int64) {
			c := server.Cursor("main")
			c.Position = position
			server.SetCursor("main", c)
		},
		Truncate: server.Truncate,
		Refused:  refused,
	}
}
