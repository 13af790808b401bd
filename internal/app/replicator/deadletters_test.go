package replicator

import (
	"strings"
	"testing"
	"time"

	"sidestream/internal/store"
	"sidestream/internal/testkit/mariadb"
)

func TestDeadLetters_retry_of_a_pruned_message(t *testing.T) {
	db := mariadb.Shared(t).Database(t)
	i := install(t, db)
	i.fill(t, "one", strings.Repeat("z", 70_000), "three")
	i.run(t, 0, "once")
	i.store(t, func(s *store.Store) {
		if _, err := s.Prune(t.Context(), time.Now().Add(time.Hour), 3, false); err != nil {
			t.Fatal(err)
		}
	})
	db.Exec(t, "ALTER TABLE messages MODIFY message MEDIUMTEXT")
	stdout, _ := i.run(t, 0, "dead-letters", "retry")
	wants(t, stdout, "position 2: resolved: its text was pruned from the source, so there is nothing to send")
	if rows := db.Rows(t, "SELECT message FROM messages ORDER BY id"); len(rows) != 2 || rows[0][0] != "one" || rows[1][0] != "three" {
		t.Errorf("the CRM holds %q", rows)
	}
	wants(t, db.Text(t, "SELECT detail FROM sidestream_audit ORDER BY id DESC LIMIT 1"), "position 2", "pruned")
	stdout, _ = i.run(t, 0, "dead-letters", "list")
	wants(t, stdout, "no dead letters")

	// A CRM that is filled anew holds a row for each message all the same.
	db.Exec(t, "TRUNCATE messages")
	i.run(t, 0, "cursor", "set", "--at", "beginning", "--yes")
	i.run(t, 0, "once")
	if n := db.Int(t, "SELECT COUNT(*) FROM messages WHERE message = '[unsupported message]'"); n != 3 {
		t.Errorf("%d stand-ins, want 3", n)
	}
}
