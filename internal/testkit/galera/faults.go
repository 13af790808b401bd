package galera

import (
	"fmt"
	"strconv"
	"testing"

	"sidestream/internal/testkit"
)

// Kill ends a node with SIGKILL. The others notice at once.
func (c *Cluster) Kill(tb testing.TB, i int) {
	tb.Helper()
	c.nodes[i].Kill(tb)
}

// Freeze stops a node's process. The others put it out after some seconds
// during which commits hang.
func (c *Cluster) Freeze(tb testing.TB, i int) {
	tb.Helper()
	c.nodes[i].Stop(tb)
}

// Thaw lets a frozen node go on. It joins again by itself: see WaitSynced.
func (c *Cluster) Thaw(tb testing.TB, i int) {
	tb.Helper()
	c.nodes[i].Cont(tb)
}

// Rejoin starts a node that was killed or shut down and waits until it is in
// step again. At least one other node has to be up.
func (c *Cluster) Rejoin(tb testing.TB, i int) {
	tb.Helper()
	c.nodes[i].Restart(tb)
	c.WaitSynced(tb, i)
}

// Partition cuts a node's links to all others; clients still reach it. A node
// without the majority refuses queries (error 1047).
func (c *Cluster) Partition(tb testing.TB, i int) {
	tb.Helper()
	c.nodes[i].Exec(tb, "SET GLOBAL wsrep_provider_options = 'gmcast.isolate=1'")
}

// Heal ends a node's partition. It joins again by itself: see WaitSynced.
func (c *Cluster) Heal(tb testing.TB, i int) {
	tb.Helper()
	c.nodes[i].Exec(tb, "SET GLOBAL wsrep_provider_options = 'gmcast.isolate=0'")
}

// WaitSynced waits until a node serves queries again.
func (c *Cluster) WaitSynced(tb testing.TB, i int) {
	tb.Helper()
	c.waitStatus(tb, i, "wsrep_local_state_comment", "Synced")
	c.waitStatus(tb, i, "wsrep_ready", "ON")
}

// WaitSize waits until a node counts so many members in its part of the cluster.
func (c *Cluster) WaitSize(tb testing.TB, i, size int) {
	tb.Helper()
	c.waitStatus(tb, i, "wsrep_cluster_size", strconv.Itoa(size))
}

// WaitCut waits until a node knows that it is without the majority.
func (c *Cluster) WaitCut(tb testing.TB, i int) {
	tb.Helper()
	c.waitStatus(tb, i, "wsrep_cluster_status", "non-Primary")
}

func (c *Cluster) waitStatus(tb testing.TB, i int, name, want string) {
	tb.Helper()
	testkit.EventuallyNil(tb, patience, func() error {
		// A node that joins again takes a while until it answers at all.
		got, err := c.nodes[i].TryText(tb, statusQuery, name)
		if err == nil && got != want {
			err = fmt.Errorf("it is %q", got)
		}
		return err
	}, fmt.Sprintf("%s of node %d is %s", name, i, want))
}
