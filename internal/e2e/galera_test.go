package e2e_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sidestream/internal/testkit"
	"sidestream/internal/testkit/galera"
	"sidestream/internal/testkit/mariadb"
	"sidestream/internal/testkit/proxy"
	"sidestream/replicator"
)

// everydayNodeKills is how often the node in use is killed in an ordinary run;
// SIDESTREAM_GALERA_KILLS asks for another number.
const everydayNodeKills = 1

// TestShowGalera takes nodes away from a cluster of three and fails its COMMITs.
func TestShowGalera(t *testing.T) {
	cluster := galera.StartCluster(t, 3)
	sizes := whole(t, cluster)
	t.Logf("three mariadbd processes on loopback; wsrep_cluster_size on each: %s", strings.Join(sizes, ", "))
	t.Run("a_second_writer_fails_the_COMMIT", func(t *testing.T) { certificationFails(t, cluster) })
	t.Run("nodes_in_use_go_away_under_load", func(t *testing.T) { nodesGoAway(t, cluster) })
}

// certificationFails has another node change the cursor's row between the
// compare-and-set and COMMIT, which no lock of the own node prevents: the
// cluster then refuses the COMMIT.
func certificationFails(t *testing.T, cluster *galera.Cluster) {
	rounds := max(3, number(t, "SIDESTREAM_GALERA_KILLS", everydayNodeKills))
	db := cluster.Database(t)
	way := proxy.New(t, cluster.Node(0).Addr())
	f := newFeed(t)
	l := newLoop(t, f.path, db.At(way.Addr()))
	// The state tables and the cursor's row must be there for the second writer.
	f.say(t, 20)
	l.persist(t)

	second := db.At(cluster.Node(1).Addr()).Open(t)
	var left, refused, failed atomic.Int64
	way.Intercept(func(e proxy.Event) proxy.Action {
		switch {
		case e.Text != "COMMIT":
		case e.Moment == proxy.Received && left.Add(-1) >= 0:
			if _, err := second.ExecContext(t.Context(), "UPDATE sidestream_cursor SET updated_at = updated_at + INTERVAL 1 SECOND WHERE source = 'main'"); err != nil {
				failed.Add(1)
			}
		case e.Moment == proxy.Answered && e.ErrorNumber == 1213:
			refused.Add(1)
		}
		return proxy.Pass()
	})
	reasons := map[string]int{}
	for range rounds {
		f.say(t, 5)
		left.Store(1)
		for {
			progress, err := l.Step(t.Context())
			if err != nil {
				failure := replicator.AsFailure(err)
				reasons[fmt.Sprintf("%s, %s, %s", failure.Class, failure.Reason, failure.Code)]++
				if failure.Doubtful {
					t.Error("a COMMIT that was refused counts as doubtful")
				}
			}
			if err == nil && !progress {
				break
			}
		}
	}
	sums := f.wantAll(t, db)
	if failed.Load() > 0 {
		t.Errorf("the second writer failed %d times", failed.Load())
	}
	// A retry that comes before the own node has applied the other one's change is
	// refused once more.
	if n := int(refused.Load()); n < rounds || reasons["transient, deadlock, 1213"] != n {
		t.Errorf("%d COMMITs were refused with 1213, want at least %d; failures: %v", n, rounds, reasons)
	}
	transient := 0
	l.counters(t, "sidestream_replicator_apply_failures_total", func(class string, value float64) {
		if class == "transient" {
			transient = int(value)
		}
	})
	if transient < rounds {
		t.Errorf("%d transient failures are counted, want %d", transient, rounds)
	}
	t.Logf("%d COMMITs answered with 1213 because of a second writer on another node; failures seen: %v; counted as transient: %d, as ambiguous: %v",
		refused.Load(), reasons, transient, l.ambiguous(t))
	t.Logf("messages %d, in the CRM %d, missing %d, doubled %d, reordered %d, differing %d", sums.Expected, sums.Got, sums.Missing, sums.Doubled, sums.Reordered, sums.Unexpected)
}

// nodesGoAway kills, freezes and cuts off the node in use, again and again,
// under load, and brings it back each time. Two replicators of one file are at
// work on different nodes: one in this process, and the built program.
func nodesGoAway(t *testing.T, cluster *galera.Cluster) {
	kills := number(t, "SIDESTREAM_GALERA_KILLS", everydayNodeKills)
	others := max(1, kills/10)
	db := cluster.Database(t)
	if step := db.Int(t, "SELECT @@auto_increment_increment"); step != 3 {
		t.Fatalf("auto_increment_increment is %d, want 3", step)
	}
	addresses := cluster.Addrs()
	r := newRig(t, db)
	f := newFeedAt(t, filepath.Join(r.dir, "messages.db"))
	m := join(t, f.path, db, addresses)
	program := testkit.StartProcess(t, testkit.ProcessOptions{
		Path: testkit.BuildBinary(t, "sidestream/cmd/replicator"), Args: []string{"-c", r.config}, Dir: r.dir,
		Env: []string{
			"SIDESTREAM_CRM_ADDRESSES=" + strings.Join([]string{addresses[1], addresses[2], addresses[0]}, ","),
			"SIDESTREAM_CRM_CONNECT_TIMEOUT=1s", "SIDESTREAM_CRM_READ_TIMEOUT=3s", "SIDESTREAM_CRM_WRITE_TIMEOUT=3s",
		},
	})
	end := load(t, f, 1)

	position := func() int64 { return m.loop.State().Cursor.Position }
	took := map[string][]time.Duration{}
	survive := func(what string, hurt, mend func(*galera.Cluster, int)) {
		t.Helper()
		before := position()
		testkit.Eventually(t, 2*time.Minute, func() bool { return position() > before && m.target.Address() != "" }, "applying before "+what)
		node := slices.Index(addresses, m.target.Address())
		hurt(cluster, node)
		before = position()
		began := time.Now()
		testkit.Eventually(t, 2*time.Minute, func() bool { return position() > before+20 && m.target.Address() != addresses[node] }, "applying on another node after "+what)
		took[what] = append(took[what], time.Since(began))
		mend(cluster, node)
		whole(t, cluster)
	}
	for range kills {
		survive("kill", func(c *galera.Cluster, i int) { c.Kill(t, i) }, func(c *galera.Cluster, i int) { c.Rejoin(t, i) })
	}
	for range others {
		survive("freeze", func(c *galera.Cluster, i int) { c.Freeze(t, i) }, func(c *galera.Cluster, i int) { c.Thaw(t, i) })
		survive("partition", func(c *galera.Cluster, i int) { c.Partition(t, i) }, func(c *galera.Cluster, i int) { c.Heal(t, i) })
	}
	end()
	testkit.Eventually(t, 2*time.Minute, func() bool { return position() >= f.head() }, "everything applied")
	r.drained(t)
	program.Term(t)
	program.WantExit(t, patient, 0)

	if m.target.seen("1047") == 0 {
		t.Error("no node without a majority was met (1047)")
	}
	if m.target.seen("1213") == 0 && kills >= 20 {
		t.Error("the two replicators never failed each other's transaction (1213)")
	}
	t.Logf("node in use killed %d times, frozen %d, cut off %d, each time rejoined, under load from two replicators with three addresses", kills, others, others)
	for _, what := range []string{"kill", "freeze", "partition"} {
		times := took[what]
		slices.Sort(times)
		t.Logf("fail-over after a %-9s: %d, shortest %v, median %v, longest %v", what, len(times), round(times[0]), round(times[len(times)/2]), round(times[len(times)-1]))
	}
	t.Logf("failures met meanwhile: %v", m.target.failures)
	wantOnEveryNode(t, cluster, db, f)
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// wantOnEveryNode compares every node with what was stored, and the ledger with
// the rows.
func wantOnEveryNode(t *testing.T, cluster *galera.Cluster, db mariadb.DB, f *feed) {
	t.Helper()
	differences := 0
	for i, address := range cluster.Addrs() {
		at := db.At(address)
		// Nodes apply what others have committed a moment later.
		testkit.Eventually(t, time.Minute, func() bool {
			return at.Int(t, "SELECT position FROM sidestream_cursor WHERE source = 'main'") == f.head()
		}, fmt.Sprintf("node %d has all", i))
		sums := f.wantAll(t, at)
		differences += sums.Missing + sums.Doubled + sums.Reordered + sums.Unexpected
		t.Logf("node %d: changes %d, messages %d, in the CRM %d, missing %d, doubled %d, reordered %d, differing %d",
			i, f.head(), sums.Expected, sums.Got, sums.Missing, sums.Doubled, sums.Reordered, sums.Unexpected)
	}
	runs, positions := ledgerSteps(t, f, db)
	if positions[3] <= runs[3] {
		t.Errorf("no run of the ledger has steps of 3: runs %v, positions %v", runs, positions)
	}
	t.Logf("ledger: runs by step %v, positions by step %v, each position verified to lead to its row", runs, positions)
	t.Logf("%d differences", differences)
}
