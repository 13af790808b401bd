package e2e_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sidestream/internal/mysql"
	"sidestream/internal/sqlite"
	"sidestream/internal/store"
	"sidestream/internal/testkit"
	"sidestream/internal/testkit/galera"
	"sidestream/internal/testkit/mariadb"
	"sidestream/mapping"
	"sidestream/replicator"
)

// member is one replicator of a cluster test, in this process.
type member struct {
	loop   *replicator.Replicator
	source *sqlite.Source
	target *mysql.Target
	nudge  chan struct{}
}

func join(t *testing.T, path string, db mariadb.DB, addresses []string) *member {
	t.Helper()
	m := &member{nudge: make(chan struct{}, 1)}
	var err error
	if m.source, err = sqlite.New(sqlite.Options{Path: path}); err != nil {
		t.Fatal(err)
	}
	m.target, err = mysql.New(mysql.Options{
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
	m.loop, err = replicator.New(replicator.Options{
		Source: m.source, Target: m.target, Mapper: mapper, Wakeups: m.nudge, BatchRows: 50, MaxBackoff: 200 * time.Millisecond,
		IdleReload: time.Second, Registerer: prometheus.NewRegistry(), Logger: testkit.Logger(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = m.loop.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-done
		_ = m.target.Close()
		_ = m.source.Close()
	})
	return m
}

// TestShowGalera kills the node that is in use, again and again, under load
// from two replicators on different nodes, and freezes and cuts one off too.
func TestShowGalera(t *testing.T) {
	kills := 2
	if n, err := strconv.Atoi(os.Getenv("SIDESTREAM_GALERA_KILLS")); err == nil {
		kills = n
	}
	cluster := galera.StartCluster(t, 3)
	db := cluster.Database(t)
	path := t.TempDir() + "/messages.db"
	s, err := store.Open(t.Context(), store.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close(context.WithoutCancel(t.Context())) }()
	addresses := cluster.Addrs()
	members := []*member{join(t, path, db, addresses), join(t, path, db, []string{addresses[1], addresses[2], addresses[0]})}

	sent := load(t, s, members)
	var failovers []time.Duration
	survive := func(what string, node int, hurt, mend func()) {
		t.Helper()
		before := members[0].loop.State().Cursor.Position
		began := time.Now()
		hurt()
		testkit.Eventually(t, 2*time.Minute, func() bool { return members[0].loop.State().Cursor.Position > before+20 }, "applying again after "+what)
		failovers = append(failovers, time.Since(began))
		mend()
		cluster.WaitSynced(t, node)
		for i := range cluster.Size() {
			cluster.WaitSize(t, i, cluster.Size())
		}
	}
	inUse := func() int { return max(0, slices.Index(addresses, members[0].target.Address())) }
	for k := range kills {
		node := inUse()
		survive(fmt.Sprintf("kill %d", k+1), node, func() { cluster.Kill(t, node) }, func() { cluster.Rejoin(t, node) })
	}
	node := inUse()
	survive("a freeze", node, func() { cluster.Freeze(t, node) }, func() { cluster.Thaw(t, node) })
	node = inUse()
	survive("a partition", node, func() { cluster.Partition(t, node) }, func() { cluster.Heal(t, node) })

	total := sent()
	testkit.Eventually(t, 2*time.Minute, func() bool { return members[0].loop.State().Cursor.Position >= total }, "everything applied")
	// Nodes apply what others have committed a moment later.
	at := db.At(cluster.Node(inUse()).Addr())
	testkit.Eventually(t, time.Minute, func() bool { return at.Int(t, "SELECT COUNT(*) FROM messages") >= total }, "all rows on the node in use")
	rows, distinct := at.Int(t, "SELECT COUNT(*) FROM messages"), at.Int(t, "SELECT COUNT(DISTINCT message) FROM messages")
	reordered := at.Int(t, "SELECT COUNT(*) FROM (SELECT message, LAG(message) OVER (ORDER BY id) AS before_it FROM messages) x WHERE message < before_it")
	if rows != total || distinct != total || reordered != 0 {
		t.Errorf("%d sent, %d rows, %d different, %d out of order", total, rows, distinct, reordered)
	}
	slices.Sort(failovers)
	t.Logf("wsrep_cluster_size=3; node in use killed %d times, frozen once, cut off once, under load from two replicators", kills)
	t.Logf("sent %d, missing %d, doubled %d, reordered %d", total, total-distinct, rows-distinct, reordered)
	t.Logf("fail-over: median %s, longest %s", failovers[len(failovers)/2].Round(time.Millisecond), failovers[len(failovers)-1].Round(time.Millisecond))
}

// load stores messages until the returned function is called, which tells how
// many there were.
func load(t *testing.T, s *store.Store, members []*member) func() int64 {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	stored := make(chan int64, 1)
	go func() {
		n := int64(0)
		for wait(ctx, 5*time.Millisecond) == nil {
			c := mapping.Change{
				MessageID: fmt.Sprint("m", n+1), Kind: mapping.KindMessage, AccountID: "1784", SenderID: "900", RecipientID: "1784",
				Direction: mapping.Inbound, Text: new(fmt.Sprintf("%08d", n+1)), Timestamp: 1_790_000_000_000,
			}
			// Whole or not at all: a cancelled one may be stored all the same.
			if _, err := s.Commit(context.WithoutCancel(ctx), store.Delivery{Changes: []mapping.Change{c}}); err != nil {
				break
			}
			n++
			for _, m := range members {
				select {
				case m.nudge <- struct{}{}:
				default:
				}
			}
		}
		stored <- n
	}()
	return func() int64 {
		stop()
		return <-stored
	}
}
