//go:build container

package containertest

import (
	"database/sql"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/go-sql-driver/mysql"

	"sidestream/internal/simulate"
	"sidestream/internal/testkit"
	"sidestream/internal/testkit/mariadb"
)

const (
	crmUser     = "crm"
	crmPassword = "password-for-tests"
	rootPass    = "a root password for tests"
)

// crm is a MariaDB in a container; each test has a database of its own in it.
type crm struct {
	*container
	// port is the one that this machine reaches it by.
	port int
}

// startCRM starts a server and waits until it answers.
func startCRM(tb testing.TB) *crm {
	tb.Helper()
	s := &crm{port: testkit.Port(tb)}
	s.container = startContainer(tb, "crm", mariadbImage, []string{
		"--env", "MARIADB_ROOT_PASSWORD=" + rootPass,
		"--publish", "127.0.0.1:" + strconv.Itoa(s.port) + ":3306",
	}, []string{"--skip-name-resolve", "--innodb-buffer-pool-size=256M"})
	s.waitUp(tb)
	return s
}

// waitUp waits until the server answers a query.
func (s *crm) waitUp(tb testing.TB) {
	tb.Helper()
	db := s.open(tb, "")
	testkit.EventuallyNil(tb, patient, func() error { return db.PingContext(tb.Context()) }, "the CRM answers")
}

// open returns a handle of root's, closed at the test's end.
func (s *crm) open(tb testing.TB, database string) *sql.DB {
	tb.Helper()
	return openAt(tb, net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)), database)
}

// openAt is open for any address of the server's.
func openAt(tb testing.TB, address, database string) *sql.DB {
	tb.Helper()
	config := mysql.NewConfig()
	config.User, config.Passwd, config.DBName = "root", rootPass, database
	config.Net, config.Addr = "tcp", address
	config.Logger = quiet{}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		tb.Fatal(err)
	}
	db := sql.OpenDB(connector)
	tb.Cleanup(func() { _ = db.Close() })
	return db
}

// quiet drops what the driver says of a server that is not up yet.
type quiet struct{}

func (quiet) Print(...any) {}

// databases numbers the databases of a run.
var databases atomic.Int64

// database makes a database with the CRM's table, and returns its name and a handle.
func (s *crm) database(tb testing.TB) (string, *sql.DB) {
	tb.Helper()
	name := fmt.Sprintf("crm_%d", databases.Add(1))
	root := s.open(tb, "")
	for _, statement := range []string{
		"CREATE DATABASE " + name + " CHARACTER SET utf8mb4",
		"CREATE USER IF NOT EXISTS '" + crmUser + "'@'%' IDENTIFIED BY '" + crmPassword + "'",
		"GRANT ALL ON " + name + ".* TO '" + crmUser + "'@'%'",
	} {
		if _, err := root.ExecContext(tb.Context(), statement); err != nil {
			tb.Fatal(err)
		}
	}
	db := s.open(tb, name)
	if _, err := db.ExecContext(tb.Context(), mariadb.CRMTable); err != nil {
		tb.Fatal(err)
	}
	return name, db
}

// rows reads the CRM's table in the order of its ids.
func rows(tb testing.TB, db *sql.DB) []simulate.Row {
	tb.Helper()
	all, err := readRows(tb.Context(), db)
	if err != nil {
		tb.Fatal(err)
	}
	return all
}
