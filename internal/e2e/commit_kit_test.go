package e2e_test

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sidestream/internal/mysql"
	"sidestream/internal/simulate"
	"sidestream/internal/sqlite"
	"sidestream/internal/store"
	"sidestream/internal/testkit/mariadb"
	"sidestream/mapping"
	"sidestream/replicator"
)

const feedStart = 1_790_000_000

// feed is a writer's store with an account of what the CRM must hold: every row
// is unlike every other one. It is safe for concurrent use.
type feed struct {
	path  string
	store *store.Store
	// word begins every text and every message id, people every user id.
	word, people string

	mu      sync.Mutex
	rows    []simulate.Row
	edits   map[int]int64
	unsent  map[int]bool
	changes int64
}

func newFeed(tb testing.TB) *feed {
	tb.Helper()
	return newFeedAt(tb, filepath.Join(tb.TempDir(), "messages.db"))
}

func newFeedAt(tb testing.TB, path string) *feed {
	tb.Helper()
	f := &feed{path: path, word: "message", people: "9", edits: map[int]int64{}, unsent: map[int]bool{}}
	f.open(tb)
	return f
}

func (f *feed) open(tb testing.TB) {
	tb.Helper()
	s, err := store.Open(tb.Context(), store.Options{Path: f.path})
	if err != nil {
		tb.Fatal(err)
	}
	f.store = s
	tb.Cleanup(func() {
		if err := s.Close(context.WithoutCancel(tb.Context())); err != nil {
			tb.Error(err)
		}
	})
}

// clone copies the file to path, as somebody does who moves an installation to
// a second host, and returns a feed that goes on there by itself.
func (f *feed) clone(tb testing.TB, path, word, people string) *feed {
	tb.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.store.Close(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	data, err := os.ReadFile(f.path)
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		tb.Fatal(err)
	}
	f.open(tb)
	other := &feed{path: path, word: word, people: people, rows: slices.Clone(f.rows), edits: maps.Clone(f.edits), unsent: maps.Clone(f.unsent), changes: f.changes}
	other.open(tb)
	return other
}

// message makes up the next message. f.mu is held.
func (f *feed) message() mapping.Change {
	c, row := f.nth(len(f.rows) + 1)
	f.rows = append(f.rows, row)
	return c
}

// nth is the n-th message and the CRM row that it becomes.
func (f *feed) nth(n int) (mapping.Change, simulate.Row) {
	text := fmt.Sprintf("%s %d", f.word, n)
	c := f.about(n, mapping.KindMessage)
	c.Text = &text
	return c, simulate.Row{UserID: c.SenderID, Direction: "in", Message: text, CreatedAt: c.Timestamp / 1000}
}

// about is a change that concerns the n-th message.
func (f *feed) about(n int, kind mapping.Kind) mapping.Change {
	return mapping.Change{
		MessageID: fmt.Sprintf("mid.%s.%d", f.word, n), Kind: kind, AccountID: simulate.DefaultAccountID, RecipientID: simulate.DefaultAccountID,
		SenderID: fmt.Sprintf("%s%06d", f.people, n%97), Direction: mapping.Inbound, Timestamp: (feedStart + int64(n)) * 1000,
	}
}

// edit makes up an edit of the n-th message. f.mu is held.
func (f *feed) edit(n int) mapping.Change {
	f.edits[n]++
	c := f.about(n, mapping.KindEdit)
	text := fmt.Sprintf("%s %d, edit %d", f.word, n, f.edits[n])
	c.Version, c.Text = f.edits[n], &text
	if !f.unsent[n] {
		f.rows[n-1].Message = text
	}
	return c
}

// unsend makes up that the n-th message is taken back. f.mu is held.
func (f *feed) unsend(n int) mapping.Change {
	f.unsent[n] = true
	f.rows[n-1].Message = "[message unsent]"
	return f.about(n, mapping.KindUnsend)
}

// say stores n messages in one delivery.
func (f *feed) say(tb testing.TB, n int) {
	tb.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	var d store.Delivery
	for range n {
		d.Changes = append(d.Changes, f.message())
	}
	if err := f.commit(tb.Context(), d); err != nil {
		tb.Fatal(err)
	}
}

// mixed stores a delivery of messages in which every tenth change is an edit or
// an unsend of a recent message. pick returns a number below its argument.
func (f *feed) mixed(ctx context.Context, n int, pick func(int) int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var d store.Delivery
	for range n {
		recent := len(f.rows) - pick(min(40, len(f.rows)+1))
		switch what := pick(20); {
		case what == 0 && recent > 0:
			d.Changes = append(d.Changes, f.edit(recent))
		case what == 1 && recent > 0 && !f.unsent[recent]:
			d.Changes = append(d.Changes, f.unsend(recent))
		default:
			d.Changes = append(d.Changes, f.message())
		}
	}
	return f.commit(ctx, d)
}

// unwritten stores n messages and keeps no account of them, which would take
// memory: recall does so later.
func (f *feed) unwritten(tb testing.TB, n int) {
	tb.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	var d store.Delivery
	for i := range n {
		c, _ := f.nth(int(f.changes) + 1 + i)
		d.Changes = append(d.Changes, c)
	}
	if err := f.commit(tb.Context(), d); err != nil {
		tb.Fatal(err)
	}
}

// recall makes up for unwritten, where nothing but messages was stored.
func (f *feed) recall() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for n := len(f.rows) + 1; n <= int(f.changes); n++ {
		_, row := f.nth(n)
		f.rows = append(f.rows, row)
	}
}

func (f *feed) commit(ctx context.Context, d store.Delivery) error {
	_, err := f.store.Commit(ctx, d)
	f.changes += int64(len(d.Changes))
	return err
}

// head is the highest position.
func (f *feed) head() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changes
}

// wantAll fails the test unless the CRM holds exactly what was fed.
func (f *feed) wantAll(tb testing.TB, db mariadb.DB) simulate.Sums {
	tb.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	sums := simulate.Compare(f.rows, crmRows(tb, db))
	if !sums.Clean() {
		tb.Errorf("the CRM differs from what was stored: %v", sums)
	}
	return sums
}

// crmRows reads the CRM's table in id order.
func crmRows(tb testing.TB, db mariadb.DB) []simulate.Row {
	tb.Helper()
	rows, err := db.Open(tb).QueryContext(tb.Context(), "SELECT user_id, direction, message, UNIX_TIMESTAMP(created_at) FROM messages ORDER BY id")
	if err != nil {
		tb.Fatal(err)
	}
	defer func(rows *sql.Rows) { _ = rows.Close() }(rows)
	var all []simulate.Row
	for rows.Next() {
		var row simulate.Row
		if err := rows.Scan(&row.UserID, &row.Direction, &row.Message, &row.CreatedAt); err != nil {
			tb.Fatal(err)
		}
		all = append(all, row)
	}
	if err := rows.Err(); err != nil {
		tb.Fatal(err)
	}
	return all
}

// loop is a replicator inside the test process.
type loop struct {
	*replicator.Replicator
	source   *sqlite.Source
	target   *mysql.Target
	registry *prometheus.Registry
}

// newLoop wires a loop between a database file and a CRM at an address.
func newLoop(tb testing.TB, path string, db mariadb.DB, change ...func(*mysql.Options, *replicator.Options)) *loop {
	tb.Helper()
	l := &loop{registry: prometheus.NewRegistry()}
	target := mysql.Options{
		Addresses: []string{db.Addr}, User: db.User, Password: func() (string, error) { return db.Password, nil },
		Database: db.Name, Table: "messages", Source: "main",
		ConnectTimeout: time.Second, ReadTimeout: 2 * time.Second, WriteTimeout: 2 * time.Second,
	}
	options := replicator.Options{BatchRows: 10, MaxBackoff: time.Millisecond, ShutdownTimeout: time.Second, Registerer: l.registry}
	for _, c := range change {
		c(&target, &options)
	}
	var err error
	if l.source, err = sqlite.New(sqlite.Options{Path: path}); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.source.Close() })
	if l.target, err = mysql.New(target); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.target.Close() })
	if options.Mapper, err = mapping.New(mapping.Options{}); err != nil {
		tb.Fatal(err)
	}
	options.Source, options.Target = l.source, l.target
	if l.Replicator, err = replicator.New(options); err != nil {
		tb.Fatal(err)
	}
	return l
}

// persist steps through failures until nothing is left to apply.
func (l *loop) persist(tb testing.TB) {
	tb.Helper()
	deadline := time.Now().Add(patient)
	for {
		progress, err := l.Step(tb.Context())
		if err == nil && !progress {
			return
		}
		if time.Now().After(deadline) || l.State().Phase == replicator.Stuck {
			tb.Fatalf("not drained; last error: %v", err)
		}
		if err != nil {
			if err := wait(tb.Context(), time.Millisecond); err != nil {
				tb.Fatal(err)
			}
		}
	}
}

// resolutions counts COMMITs without an answer by how they were settled.
type resolutions map[string]int

// ambiguous reads sidestream_replicator_ambiguous_commits_total.
func (l *loop) ambiguous(tb testing.TB) resolutions {
	tb.Helper()
	found := resolutions{}
	l.counters(tb, "sidestream_replicator_ambiguous_commits_total", func(label string, value float64) {
		if value > 0 {
			found[label] = int(value)
		}
	})
	return found
}

// applied reads sidestream_replicator_changes_applied_total over all kinds.
func (l *loop) applied(tb testing.TB) (total int64) {
	tb.Helper()
	l.counters(tb, "sidestream_replicator_changes_applied_total", func(_ string, value float64) { total += int64(value) })
	return total
}

func (l *loop) counters(tb testing.TB, name string, each func(label string, value float64)) {
	tb.Helper()
	families, err := l.registry.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			each(m.GetLabel()[0].GetValue(), m.GetCounter().GetValue())
		}
		return
	}
	tb.Fatalf("no metric %s", name)
}
