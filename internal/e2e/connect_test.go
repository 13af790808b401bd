package e2e_test

import (
	"testing"

	"sidestream/internal/testkit/mariadb"
	"sidestream/internal/testkit/proxy"
	"sidestream/replicator"
)

// TestConnect_lost cuts the connection while it is set up, at the questions
// that a server need not be able to answer: the loss must not pass for that.
func TestConnect_lost(t *testing.T) {
	for _, question := range []string{"SELECT @@innodb_read_only", "SELECT @@wsrep_on"} {
		t.Run(question, func(t *testing.T) {
			server := mariadb.Shared(t)
			way := proxy.New(t, server.Addr())
			f := newFeed(t)
			db := server.Database(t)
			l := newLoop(t, f.path, db.At(way.Addr()))
			f.say(t, 1)
			way.Intercept(proxy.Once(proxy.At(proxy.Received, question, proxy.Drop())))
			_, err := l.Step(t.Context())
			if failure := replicator.AsFailure(err); failure.Reason != "connection_lost" || failure.Unknown {
				t.Errorf("%s, unknown %v: %v", failure.Reason, failure.Unknown, failure.Err)
			}
			l.persist(t)
			f.wantAll(t, db)
		})
	}
}
