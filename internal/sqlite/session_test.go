package sqlite

import (
	"path/filepath"
	"testing"
	"time"
)

func TestSession_chooses_an_index_of_changes(t *testing.T) {
	for _, test := range []struct {
		name    string
		indexes []string
		want    string
	}{
		{"none", nil, ""},
		{"that_has_all_kinds_but_messages", []string{"CREATE INDEX c ON messages (account_id, id) WHERE kind <> 'message'"}, "c"},
		{"with_the_message_alone", []string{"CREATE INDEX c ON messages (id) WHERE kind <> 'message'"}, "c"},
		{"not_one_of_some_kinds", []string{"CREATE INDEX c ON messages (id) WHERE kind IN ('unsend', 'erase')"}, ""},
		{"not_one_of_another_column", []string{"CREATE INDEX c ON messages (kind) WHERE kind <> 'message'"}, ""},
		{
			"passing_over_one_that_does_not_fit",
			[]string{"CREATE INDEX a ON messages (id) WHERE version > 0", "CREATE INDEX c ON messages (id) WHERE kind <> 'message'"},
			"c",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "messages.db")
			c, err := dial("file:" + path + "?_journal_mode=WAL")
			if err != nil {
				t.Fatal(err)
			}
			defer c.db.Close()
			for _, statement := range append([]string{`CREATE TABLE messages (seq INTEGER PRIMARY KEY, id, kind, version, account_id,
				sender_id, recipient_id, direction, message_text, attachments, timestamp, created_at, UNIQUE (account_id, id, kind, version))`},
				test.indexes...) {
				if err := c.exec(statement); err != nil {
					t.Fatal(err)
				}
			}
			opt, err := Options{Path: path, BusyTimeout: time.Second}.withDefaults()
			if err != nil {
				t.Fatal(err)
			}
			s, err := openSession(t.Context(), opt, path)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := s.close(); err != nil {
					t.Error(err)
				}
			}()
			if s.indexedBy != test.want {
				t.Errorf("got %q, want %q", s.indexedBy, test.want)
			}
		})
	}
}
