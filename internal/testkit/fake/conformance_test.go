package fake_test

import (
	"strings"
	"testing"

	"sidestream/internal/testkit/conformance"
	"sidestream/internal/testkit/fake"
	"sidestream/mapping"
	"sidestream/replicator"
)

func TestTarget(t *testing.T) {
	const refused = "a message that this fake was told to refuse"
	conformance.RunTarget(t, func(testing.TB) conformance.CRM {
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
			Refused:     refused,
		}
	})
}
