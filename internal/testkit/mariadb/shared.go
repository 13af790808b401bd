package mariadb

import (
	"os"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// shared is the server that tests of one process share. Its guard ends it with
// the process; it has no goroutine, so leak checks need no exception.
//
//nolint:gochecknoglobals // one server per test process is the point of it
var shared struct {
	mu     sync.Mutex
	server *Server
}

// Shared returns the one server of this test process, started on first use; or
// the one that SIDESTREAM_TEST_MYSQL_DSN names. Tests share it, each with its
// own Database, so they must not kill, stop or reconfigure it.
func Shared(tb testing.TB) *Server {
	tb.Helper()
	dsn := os.Getenv(envDSN)
	if dsn == "" {
		requireInstalled(tb)
	}
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.server == nil {
		s, err := startShared(tb, dsn)
		if err != nil {
			tb.Fatalf("shared server: %v", err)
		}
		s.lasts = true
		shared.server = s
	}
	s := shared.server
	tb.Cleanup(func() { logOnFailure(tb, s) })
	return s
}

func startShared(tb testing.TB, dsn string) (*Server, error) {
	tb.Helper()
	if dsn == "" {
		return startLocal(tb)
	}
	return external(dsn)
}

// external wraps a server that runs already.
func external(dsn string) (*Server, error) {
	given, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, err
	}
	cfg := baseConfig(given.Addr, given.User, given.Passwd)
	cfg.Net, cfg.TLSConfig, cfg.TLS = given.Net, given.TLSConfig, given.TLS
	cfg.AllowNativePasswords = given.AllowNativePasswords
	return &Server{User: given.User, Password: given.Passwd, config: cfg}, nil
}
