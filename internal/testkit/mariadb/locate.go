package mariadb

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const (
	envRequire = "SIDESTREAM_TEST_REQUIRE_SERVER"
	envDSN     = "SIDESTREAM_TEST_MYSQL_DSN"
)

var errNotInstalled = errors.New("no MariaDB server on this machine (install mariadb-server, or point " + envDSN + " to a running server)")

// Missing skips the test because something that it needs is not installed, or
// fails it where the environment says that nothing may be missing.
func Missing(tb testing.TB, what string) {
	tb.Helper()
	if os.Getenv(envRequire) == "1" {
		tb.Fatalf("%s, and %s=1", what, envRequire)
	}
	tb.Skipf("skipped: %s", what)
}

// installation is where the programs are.
type installation struct {
	server  string
	install string
}

//nolint:gochecknoglobals // found once per test process; it does not change
var locate = sync.OnceValues(func() (installation, error) {
	in := installation{
		server:  find(isMariaDB, "mariadbd", "mysqld"),
		install: find(nil, "mariadb-install-db", "mysql_install_db"),
	}
	if in.server == "" || in.install == "" {
		return in, errNotInstalled
	}
	return in, nil
})

// find looks in PATH, and then where packages put servers, which is seldom in
// an ordinary user's PATH.
func find(ok func(path string) bool, names ...string) string {
	places := append(filepath.SplitList(os.Getenv("PATH")),
		"/usr/sbin", "/usr/local/sbin", "/usr/libexec", "/usr/bin", "/usr/local/bin",
		"/usr/local/mysql/bin", "/opt/homebrew/bin", "/opt/mariadb/bin")
	for _, name := range names {
		for _, place := range places {
			path, err := exec.LookPath(filepath.Join(place, name))
			if err == nil && (ok == nil || ok(path)) {
				return path
			}
		}
	}
	return ""
}

// isMariaDB keeps MySQL's mysqld out: it is set up in another way. MySQL is
// tested through envDSN.
func isMariaDB(path string) bool {
	out, err := exec.Command(path, "--no-defaults", "--version").Output() //nolint:noctx // ends by itself
	return err == nil && strings.Contains(string(out), "MariaDB")
}
