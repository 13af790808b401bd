// Package galera starts a Galera cluster of private MariaDB servers for tests,
// all on 127.0.0.1, and takes nodes away from it in the ways that nodes go
// away: killed, frozen, cut off from the others.
//
// A cluster takes about ten seconds to start and some hundred megabytes of
// disk, so tests that do not disturb each other should share one.
package galera

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"sidestream/internal/testkit"
	"sidestream/internal/testkit/mariadb"
)

// patience is how long anything in a cluster may take. A state transfer on a
// busy machine is slow.
const patience = 2 * time.Minute

// Cluster is a number of nodes that replicate to each other. Its methods must
// run on the test's goroutine.
type Cluster struct {
	nodes []*mariadb.Server
}

// StartCluster starts a cluster and waits until every node is in it and in
// step. It ends with the test, and skips it where Galera is not installed.
func StartCluster(tb testing.TB, size int) *Cluster {
	tb.Helper()
	library := provider(tb)
	ports := make([]nodePorts, size)
	var members []string
	for i := range ports {
		ports[i] = nodePorts{group: testkit.Port(tb), ist: testkit.Port(tb), sst: testkit.Port(tb)}
		members = append(members, address(ports[i].group))
	}
	c := &Cluster{}
	for i := range ports {
		opts := []mariadb.Option{
			mariadb.Args(nodeArgs(library, strings.Join(members, ","), i, ports[i])...),
			mariadb.ReadyWithin(patience),
		}
		if i == 0 {
			opts = append(opts, mariadb.FirstArgs("--wsrep-new-cluster"))
		}
		c.nodes = append(c.nodes, mariadb.Start(tb, opts...))
		// One at a time: a donor serves one joiner, and a failure has one cause.
		c.WaitSynced(tb, i)
		c.WaitSize(tb, i, i+1)
	}
	return c
}

type nodePorts struct{ group, ist, sst int }

func address(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

func nodeArgs(library, members string, i int, ports nodePorts) []string {
	return []string{
		"--wsrep-on=ON",
		"--wsrep-provider=" + library,
		"--wsrep-cluster-name=sidestream-test",
		"--wsrep-cluster-address=gcomm://" + members,
		"--wsrep-node-name=node" + strconv.Itoa(i),
		"--wsrep-node-address=127.0.0.1",
		"--wsrep-sst-method=rsync",
		"--wsrep-sst-receive-address=" + address(ports.sst),
		"--binlog-format=ROW",
		"--default-storage-engine=InnoDB",
		"--innodb-autoinc-lock-mode=2",
		"--wsrep-provider-options=" + strings.Join([]string{
			"gmcast.listen_addr=tcp://" + address(ports.group),
			"ist.recv_addr=" + address(ports.ist),
			"gcache.size=32M",
			// A node that is gone is noticed in seconds, yet not one that a busy
			// machine keeps waiting.
			"evs.keepalive_period=PT1S",
			"evs.suspect_timeout=PT4S",
			"evs.inactive_timeout=PT8S",
		}, ";"),
	}
}

// provider finds Galera's library and what its state transfer needs.
func provider(tb testing.TB) string {
	tb.Helper()
	for _, tool := range []string{"rsync", "lsof"} {
		if _, err := exec.LookPath(tool); err != nil {
			mariadb.Missing(tb, "no "+tool+" on this machine (install "+tool+" for Galera's state transfer)")
		}
	}
	for _, path := range []string{
		"/usr/lib/galera/libgalera_smm.so",
		"/usr/lib/libgalera_smm.so",
		"/usr/lib64/galera-4/libgalera_smm.so",
		"/usr/lib64/galera/libgalera_smm.so",
		"/usr/local/lib/libgalera_smm.so",
	} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	mariadb.Missing(tb, "no Galera library on this machine (install galera-4)")
	return ""
}

// Size returns the number of nodes, in the cluster or not.
func (c *Cluster) Size() int { return len(c.nodes) }

// Node returns a node's server.
func (c *Cluster) Node(i int) *mariadb.Server { return c.nodes[i] }

// Database creates a database as mariadb.Server.Database does. Its address is
// the first node's; DB.At gives the others'.
func (c *Cluster) Database(tb testing.TB) mariadb.DB {
	tb.Helper()
	return c.nodes[0].Database(tb)
}

// Addrs returns the nodes' addresses in order.
func (c *Cluster) Addrs() []string {
	var all []string
	for _, n := range c.nodes {
		all = append(all, n.Addr())
	}
	return all
}

// Status returns a status variable of a node, "wsrep_cluster_size" for example.
func (c *Cluster) Status(tb testing.TB, i int, name string) string {
	tb.Helper()
	return c.nodes[i].Text(tb, statusQuery, name)
}

const statusQuery = "SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS WHERE VARIABLE_NAME = ?"
