package sqlite_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"sidestream/internal/sqlite"
	"sidestream/mapping"
	"sidestream/replicator"
)

// TestSource_never_skips_or_doubles lets an operator do what operators do to a
// file while a source follows it. Whenever Read succeeds, every row up to the
// cursor that is in the file has been delivered as it stands there; and it
// refuses only after something was done that can break that.
func TestSource_never_skips_or_doubles(t *testing.T) {
	for name, table := range map[string]string{"with_AUTOINCREMENT": messagesTable, "where_numbers_are_used_again": reusingTable} {
		t.Run(name, func(t *testing.T) {
			dir, files := t.TempDir(), 0
			rapid.Check(t, func(rt *rapid.T) {
				files++
				w := newWriterAt(t, filepath.Join(dir, fmt.Sprint(files, ".db")), table)
				o := &operator{
					writer: w, t: t, source: newSource(t, w.path), reuses: table == reusingTable,
					delivered: map[int64]string{}, hashes: map[string]bool{},
				}
				defer func() {
					_ = o.source.Close()
					o.close()
				}()
				rt.Repeat(map[string]func(*rapid.T){
					"commit":     o.commit,
					"read":       o.read,
					"prune":      o.prune,
					"delete_max": o.deleteMax,
					"maintain":   o.maintain,
					"restart":    o.restart,
					"back_up":    o.backUp,
					"restore":    o.restore,
				})
				o.read(rt)
			})
		})
	}
}

// operator owns a database and the cursor behind it.
type operator struct {
	*writer

	t      *testing.T
	source *sqlite.Source
	reuses bool
	after  replicator.Cursor
	// delivered has the hash of each row by its position, hashes all of them.
	delivered map[int64]string
	hashes    map[string]bool
	backups   []string
	// dangerous is set by what may make positions mean other rows.
	dangerous bool
}

func (o *operator) commit(rt *rapid.T) { o.messages(rapid.IntRange(1, 12).Draw(rt, "rows")) }

// prune and deleteMax leave rows alone that were not delivered yet: those are
// lost, and a backup would bring them back below the cursor.
func (o *operator) prune(rt *rapid.T) {
	o.exec("DELETE FROM messages WHERE seq <= ? AND seq IN (SELECT seq FROM messages ORDER BY seq LIMIT ?)",
		o.after.Position, rapid.IntRange(1, 6).Draw(rt, "rows"))
	o.dangerous = o.dangerous || o.reuses
}

func (o *operator) deleteMax(rt *rapid.T) {
	o.exec("DELETE FROM messages WHERE seq <= ? AND seq IN (SELECT seq FROM messages ORDER BY seq DESC LIMIT ?)",
		o.after.Position, rapid.IntRange(1, 3).Draw(rt, "rows"))
	o.dangerous = o.dangerous || o.reuses
}

func (o *operator) maintain(rt *rapid.T) {
	o.exec(rapid.SampledFrom([]string{
		"VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA wal_checkpoint(PASSIVE)", "REINDEX", "ANALYZE",
		"UPDATE messages SET message_text = NULL", "CREATE TABLE IF NOT EXISTS other (x)", "DROP TABLE IF EXISTS other",
	}).Draw(rt, "statement"))
}

func (o *operator) restart(*rapid.T) {
	n := o.n
	o.close()
	o.writer = openWriter(o.t, o.path)
	o.n = n
}

func (o *operator) backUp(*rapid.T) { o.backups = append(o.backups, o.backup()) }

func (o *operator) restore(rt *rapid.T) {
	if len(o.backups) == 0 {
		rt.Skip("no backup yet")
	}
	i := rapid.IntRange(0, len(o.backups)-1).Draw(rt, "backup")
	n := o.n
	o.writer = o.replaceBy(o.backups[i])
	o.n = n
	o.backups = append(o.backups[:i], o.backups[i+1:]...)
	o.dangerous = true
}

func (o *operator) read(rt *rapid.T) {
	chunk, err := o.source.Read(o.t.Context(), o.after, rapid.IntRange(1, 30).Draw(rt, "limit"))
	if err != nil {
		if f := replicator.AsFailure(err); f.Class != replicator.Blocked || !o.dangerous {
			rt.Fatalf("refused without a reason: %v (%v)", f, f.Err)
		}
		o.decide(rt)
		return
	}
	for _, c := range chunk.Changes {
		hash := replicator.AnchorHash(c)
		if c.Position <= o.after.Position || o.hashes[hash] {
			rt.Fatalf("the row at %d was delivered before", c.Position)
		}
		o.delivered[c.Position], o.hashes[hash] = hash, true
	}
	o.after = apply(o.after, chunk)
	for position, hash := range o.stored(rt) {
		if position <= o.after.Position && o.delivered[position] != hash {
			rt.Fatalf("the row at %d was skipped: the cursor is at %d", position, o.after.Position)
		}
	}
}

// decide puts the cursor at the end of what the file has now, and begins a new
// history with it: a backup of the former one could not be told from this.
func (o *operator) decide(rt *rapid.T) {
	_, last, _, err := o.source.Bounds(o.t.Context())
	if err != nil {
		rt.Fatal(err)
	}
	anchors, id, err := o.source.Anchors(o.t.Context(), last)
	if err != nil {
		rt.Fatal(err)
	}
	o.after = replicator.Cursor{Known: true, SourceID: id, Position: last, Anchors: anchors}
	o.delivered, o.hashes, o.backups, o.dangerous = map[int64]string{}, map[string]bool{}, nil, false
	for position, hash := range o.stored(rt) {
		o.delivered[position], o.hashes[hash] = hash, true
	}
}

// stored is what the writer sees.
func (o *operator) stored(rt *rapid.T) map[int64]string {
	rows, err := o.db.QueryContext(o.t.Context(), "SELECT seq, account_id, id, kind, version FROM messages")
	if err != nil {
		rt.Fatal(err)
	}
	defer rows.Close()
	all := map[int64]string{}
	for rows.Next() {
		var c mapping.Change
		if err := rows.Scan(&c.Position, &c.AccountID, &c.MessageID, &c.Kind, &c.Version); err != nil {
			rt.Fatal(err)
		}
		all[c.Position] = replicator.AnchorHash(c)
	}
	if err := rows.Err(); err != nil {
		rt.Fatal(err)
	}
	return all
}
