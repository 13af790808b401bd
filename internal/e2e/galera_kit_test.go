package e2e_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sidestream/internal/mysql"
	"sidestream/internal/sqlite"
	"sidestream/internal/testkit/galera"
	"sidestream/internal/testkit/mariadb"
	"sidestream/mapping"
	"sidestream/replicator"
)

// noted is a target that keeps an account of its failures.
type noted struct {
	*mysql.Target
	mu       sync.Mutex
	failures map[string]int
}

func (n *noted) note(err error) {
	if err == nil {
		return
	}
	f := replicator.AsFailure(err)
	n.mu.Lock()
	defer n.mu.Unlock()
	what := strings.TrimSpace(fmt.Sprintf("%s %s %s", f.Class, f.Reason, f.Code))
	if f.Unknown {
		what += fmt.Sprintf(" (%v)", f.Err) // nobody's text but the driver's
	}
	n.failures[what]++
}

func (n *noted) Load(ctx context.Context) (replicator.Cursor, error) {
	c, err := n.Target.Load(ctx)
	n.note(err)
	return c, err
}

func (n *noted) Apply(ctx context.Context, p replicator.Prepared, attempt string) (replicator.Applied, error) {
	applied, err := n.Target.Apply(ctx, p, attempt)
	n.note(err)
	return applied, err
}

// seen returns how many failures there were with the given code or reason.
func (n *noted) seen(word string) (count int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for failure, times := range n.failures {
		if slices.Contains(strings.Fields(failure), word) {
			count += times
		}
	}
	return count
}

// member is a replicator of a cluster's clients, in this process, so that the
// node in use and every failure are known.
type member struct {
	loop     *replicator.Replicator
	target   *noted
	registry *prometheus.Registry
}

func join(t *testing.T, path string, db mariadb.DB, addresses []string) *member {
	t.Helper()
	m := &member{target: &noted{failures: map[string]int{}}, registry: prometheus.NewRegistry()}
	source, err := sqlite.New(sqlite.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	m.target.Target, err = mysql.New(mysql.Options{
		Addresses: addresses, User: db.User, Password: func() (string, error) { return db.Password, nil }, Database: db.Name, Table: "messages",
		Source: "main", ConnectTimeout: time.Second, ReadTimeout: 3 * time.Second, WriteTimeout: 3 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	mapper, err := mapping.New(mapping.Options{})
	if err != nil {
		t.Fatal(err)
	}
	wakeups := make(chan struct{})
	m.loop, err = replicator.New(replicator.Options{
		Source: source, Target: m.target, Mapper: mapper, Wakeups: wakeups, BatchRows: 50, MaxBackoff: 200 * time.Millisecond,
		IdleReload: time.Second, Registerer: m.registry,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = m.loop.Run(ctx) })
	running.Go(func() {
		for wait(ctx, 5*time.Millisecond) == nil {
			select {
			case wakeups <- struct{}{}:
			case <-ctx.Done():
			}
		}
	})
	t.Cleanup(func() {
		stop()
		running.Wait()
		_ = m.target.Close()
		_ = source.Close()
	})
	return m
}

// load stores changes until the returned function is called: messages, and
// edits and unsends of recent ones.
func load(t *testing.T, f *feed, seed uint64) (end func()) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	random := rand.New(rand.NewPCG(seed, 0))
	go func() {
		defer close(failed)
		for wait(ctx, 10*time.Millisecond) == nil {
			if err := f.mixed(context.WithoutCancel(ctx), 1+random.IntN(3), random.IntN); err != nil {
				failed <- err
				return
			}
		}
	}()
	return func() {
		t.Helper()
		stop()
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
	}
}

// whole waits until every node counts every node, and returns what they count.
func whole(t *testing.T, c *galera.Cluster) (sizes []string) {
	t.Helper()
	for i := range c.Size() {
		c.WaitSynced(t, i)
		c.WaitSize(t, i, c.Size())
		sizes = append(sizes, c.Status(t, i, "wsrep_cluster_size"))
	}
	return sizes
}

// ledgerSteps follows the ledger from every message's position to its CRM row,
// and fails the test where that is another message's. It returns how many runs
// and positions there are by step.
func ledgerSteps(t *testing.T, f *feed, db mariadb.DB) (runs, positions map[int64]int) {
	t.Helper()
	times := map[int64]int64{}
	for _, row := range db.Rows(t, "SELECT id, UNIX_TIMESTAMP(created_at) FROM messages") {
		times[parse(t, row[0])] = parse(t, row[1])
	}
	stored := storedTimes(t, f.path)
	runs, positions = map[int64]int{}, map[int64]int{}
	wrong := 0
	for _, row := range db.Rows(t, "SELECT first_position, length, first_crm_id, step FROM sidestream_ledger WHERE source = 'main'") {
		first, length, id, step := parse(t, row[0]), parse(t, row[1]), parse(t, row[2]), parse(t, row[3])
		runs[step]++
		for k := range length {
			positions[step]++
			if at, ok := stored[first+k]; !ok || times[id+step*k] != at {
				wrong++
			}
			delete(stored, first+k)
		}
	}
	if wrong > 0 || len(stored) > 0 {
		t.Errorf("the ledger leads %d positions to another row, and %d to none", wrong, len(stored))
	}
	return runs, positions
}

// storedTimes returns the messages' times in seconds by position: in a feed,
// they are all different.
func storedTimes(t *testing.T, path string) map[int64]int64 {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+filepath.ToSlash(path)+"?mode=ro&_query_only=true&_busy_timeout=10000")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), "SELECT seq, timestamp / 1000 FROM messages WHERE kind = 'message'")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	times := map[int64]int64{}
	for rows.Next() {
		var seq, at int64
		if err := rows.Scan(&seq, &at); err != nil {
			t.Fatal(err)
		}
		times[seq] = at
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return times
}

func parse(t *testing.T, text string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
