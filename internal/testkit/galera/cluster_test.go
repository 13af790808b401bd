package galera_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"sidestream/internal/testkit"
	"sidestream/internal/testkit/galera"
	"sidestream/internal/testkit/mariadb"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// TestCluster runs one fault after the other on one cluster: each ends with all
// nodes back.
func TestCluster(t *testing.T) {
	t.Parallel()
	c := galera.StartCluster(t, 3)
	db := c.Database(t)
	inserted := 0
	insert := func(t *testing.T, node int) {
		t.Helper()
		inserted++
		db.At(c.Node(node).Addr()).Exec(t, "INSERT INTO messages (user_id) VALUES (?)", fmt.Sprint(inserted))
	}
	wantWhole := func(t *testing.T) {
		t.Helper()
		var want []string
		for i := range inserted {
			want = append(want, fmt.Sprint(i+1))
		}
		for i, addr := range c.Addrs() {
			c.WaitSize(t, i, c.Size())
			// Reads do not wait for what other nodes have committed.
			testkit.Eventually(t, time.Minute, func() bool {
				return cmp.Equal(users(t, db.At(addr)), want)
			}, fmt.Sprintf("node %d has all rows", i))
		}
	}

	t.Run("every_node_takes_rows_for_all", func(t *testing.T) {
		for i := range c.Size() {
			insert(t, i)
		}
		wantWhole(t)
		db.Exec(t, "CREATE TABLE steps (id INT AUTO_INCREMENT PRIMARY KEY, x INT)")
		db.Exec(t, "INSERT INTO steps (x) VALUES (1), (2), (3)")
		if got := db.Int(t, "SELECT (MAX(id) - MIN(id)) DIV 2 FROM steps"); got != 3 {
			t.Errorf("ids come in steps of %d, want 3", got)
		}
	})

	t.Run("two_nodes_go_on_without_a_killed_one", func(t *testing.T) {
		c.Kill(t, 2)
		c.WaitSize(t, 0, 2)
		insert(t, 1)
		c.Rejoin(t, 2)
		wantWhole(t)
	})

	t.Run("the_first_node_is_no_exception", func(t *testing.T) {
		c.Kill(t, 0)
		c.WaitSize(t, 1, 2)
		insert(t, 1)
		c.Rejoin(t, 0)
		wantWhole(t)
	})

	t.Run("a_frozen_node_is_put_out_and_comes_back", func(t *testing.T) {
		c.Freeze(t, 1)
		c.WaitSize(t, 0, 2)
		insert(t, 0)
		c.Thaw(t, 1)
		c.WaitSize(t, 0, 3)
		c.WaitSynced(t, 1)
		wantWhole(t)
	})

	t.Run("a_node_without_majority_refuses", func(t *testing.T) {
		c.Partition(t, 2)
		c.WaitCut(t, 2)
		c.WaitSize(t, 0, 2)
		insert(t, 0)
		_, err := db.At(c.Node(2).Addr()).Open(t).ExecContext(t.Context(), "INSERT INTO messages (user_id) VALUES ('x')")
		var e *mysql.MySQLError
		if !errors.As(err, &e) || e.Number != 1047 {
			t.Errorf("got %v, want error 1047", err)
		}
		c.Heal(t, 2)
		c.WaitSynced(t, 2)
		wantWhole(t)
	})
}

func users(t *testing.T, db mariadb.DB) []string {
	t.Helper()
	var all []string
	for _, row := range db.Rows(t, "SELECT user_id FROM messages ORDER BY CAST(user_id AS UNSIGNED)") {
		all = append(all, row[0])
	}
	return all
}
