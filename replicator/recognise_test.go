package replicator_test

import (
	"testing"
	"time"

	"sidestream/mapping"
	"sidestream/replicator"
)

// spread are messages a second apart, so that no row looks like another.
func spread(from, to int) []mapping.Change {
	all := sayMany(from, to)
	for i := range all {
		all[i].Timestamp += int64(from+i) * 1000
	}
	return all
}

func TestReplicator_recognises(t *testing.T) {
	blocked := func(t *testing.T, b *bundle, reason string) {
		t.Helper()
		_, err := b.Step(t.Context())
		if f := replicator.AsFailure(err); err == nil || f.Class != replicator.Blocked || f.Reason != reason {
			t.Fatalf("%v, want blocked: %s", err, reason)
		}
	}
	t.Run("a_table_whose_ids_were_given_out_again", func(t *testing.T) {
		b := setup(t)
		b.source.Append(spread(1, 20)...)
		b.drain(t)
		rows := b.server.Rows()
		for _, r := range rows[12:] {
			b.server.Change(r.ID, "somebody else", time.Unix(1, 0))
		}
		// Even where there is nothing to apply.
		b.join(t)
		blocked(t, b, "target_rewound")
		b.source.Append(spread(21, 22)...)
		blocked(t, b, "target_rewound")
		for _, r := range rows[12:] {
			b.server.Change(r.ID, r.UserID, r.CreatedAt)
		}
		// It stays so until a person has decided.
		blocked(t, b, "target_rewound")
		c := b.server.Cursor("main")
		next := c
		next.Decision, next.Attempt = "resume", "resume"
		if err := b.target.Decide(t.Context(), c, next, nil, nil); err != nil {
			t.Fatal(err)
		}
		b.drain(t)
		want(t, b, texts(1, 22)...)
	})
	t.Run("a_table_that_holds_what_is_to_come", func(t *testing.T) {
		b := setup(t, func(o *replicator.Options) { o.BatchRows = 5 })
		b.source.Append(spread(1, 5)...)
		b.drain(t)
		older := b.server.Dump()
		b.source.Append(spread(6, 20)...)
		b.drain(t)
		b.server.RestoreState(older)
		b.join(t)
		blocked(t, b, "target_ahead")
		blocked(t, b, "target_ahead")
		if n := len(b.server.Rows()); n != 20 {
			t.Errorf("%d rows, want 20", n)
		}
		// A person who has moved the cursor back by hand is not asked again.
		c := b.server.Cursor("main")
		c.Decision, c.Attempt = "set", "set"
		b.server.SetCursor("main", c)
		b.drain(t)
		if n := len(b.server.Rows()); n != 35 {
			t.Errorf("%d rows, want 35", n)
		}
	})
}
