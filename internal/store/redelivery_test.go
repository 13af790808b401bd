package store

import (
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"sidestream/mapping"
)

// tempDir is a directory for one run of a property.
func tempDir(t *rapid.T) string {
	dir, err := os.MkdirTemp("", "store")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func TestStore_Commit_of_redeliveries(t *testing.T) {
	type key struct {
		account, id string
		kind        mapping.Kind
		version     int64
	}
	changes := rapid.Custom(func(t *rapid.T) mapping.Change {
		c := message("mid-"+strconv.Itoa(rapid.IntRange(1, 8).Draw(t, "id")), rapid.StringN(1, 20, 60).Draw(t, "text"))
		c.AccountID = rapid.SampledFrom([]string{"1", "2"}).Draw(t, "account")
		c.Kind = rapid.SampledFrom([]mapping.Kind{mapping.KindMessage, mapping.KindMessage, mapping.KindEdit, mapping.KindUnsend, mapping.KindTest}).Draw(t, "kind")
		if c.Kind == mapping.KindEdit {
			c.Version = int64(rapid.IntRange(0, 2).Draw(t, "version"))
		}
		return c
	})
	rapid.Check(t, func(t *rapid.T) {
		deliveries := rapid.SliceOfN(rapid.SliceOfN(changes, 1, 6), 1, 12).Draw(t, "deliveries")
		together := rapid.Bool().Draw(t, "together")
		s := openAt(t, filepath.Join(tempDir(t), "messages.db"), func(o *Options) {
			o.MaxBatch = rapid.IntRange(1, 20).Draw(t, "max_batch")
		})
		defer closeStore(t, s)

		distinct, all := map[key]bool{}, 0
		for _, d := range deliveries {
			for _, c := range d {
				distinct[key{c.AccountID, c.MessageID, c.Kind, c.Version}] = true
				all++
			}
		}
		results := make([]Result, len(deliveries))
		errs := make([]error, len(deliveries))
		var wg sync.WaitGroup
		for i, d := range deliveries {
			store := func() { results[i], errs[i] = s.Commit(t.Context(), delivery(d...)) }
			if together {
				wg.Go(store)
			} else {
				store()
			}
		}
		wg.Wait()

		var sum Result
		for i, r := range results {
			if errs[i] != nil {
				t.Fatalf("commit: %v", errs[i])
			}
			sum.Inserted += r.Inserted
			sum.Duplicates += r.Duplicates
		}
		if sum.Inserted != len(distinct) || sum.Duplicates != all-len(distinct) {
			t.Fatalf("told %+v, want %d inserted of %d", sum, len(distinct), all)
		}
		if n := count(t, s, "SELECT count(*) FROM messages"); n != len(distinct) {
			t.Fatalf("%d rows, want %d", n, len(distinct))
		}
		if n := count(t, s, "SELECT max(seq) FROM messages"); n != len(distinct) {
			t.Fatalf("highest number %d, want %d", n, len(distinct))
		}
		if n := count(t, s, "SELECT seq FROM sqlite_sequence WHERE name = 'messages'"); n != len(distinct) {
			t.Fatalf("%d numbers used, want %d", n, len(distinct))
		}
		if n := count(t, s, `SELECT count(*) FROM messages AS a JOIN messages AS b ON b.seq = a.seq + 1 WHERE b.created_at < a.created_at`); n != 0 {
			t.Fatal("created_at goes back while numbers go on")
		}
	})
}

func TestStore_Commit_keeps_what_was_first(t *testing.T) {
	s := openStore(t, nil)
	commit(t, s, delivery(message("m", "first"), message("m", "second")))
	commit(t, s, delivery(message("m", "third")))
	var text string
	scan(t, s, "SELECT message_text FROM messages", &text)
	if text != "first" {
		t.Errorf("stored %q", text)
	}
}

func TestStore_Commit_tells_messages_apart(t *testing.T) {
	for name, other := range map[string]func(*mapping.Change){
		"by_the_case_of_their_id": func(c *mapping.Change) { c.MessageID = "MID" },
		"by_account":              func(c *mapping.Change) { c.AccountID = "2" },
		"by_kind":                 func(c *mapping.Change) { c.Kind = mapping.KindTest },
		"by_version":              func(c *mapping.Change) { c.Version = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			s := openStore(t, nil)
			a, b := message("mid", "a"), message("mid", "b")
			other(&b)
			if r := commit(t, s, delivery(a, b)); r.Inserted != 2 {
				t.Errorf("%+v", r)
			}
		})
	}
}
