package mariadb

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"sidestream/internal/testkit"
)

// startAttempts is for the port that somebody else took in between.
const startAttempts = 3

// Server is a MariaDB server. Its methods are safe for concurrent use. Those
// that may fail take the test that they fail; methods that wait or query must
// run on that test's goroutine, Kill, Stop and Cont need not.
type Server struct {
	// User may do everything, over TCP and the socket.
	User     string
	Password string

	config *mysql.Config
	// local is nil for a server that is not ours (SIDESTREAM_TEST_MYSQL_DSN).
	local *local
	// lasts is true where the server outlives the test.
	lasts bool
}

// local is a server that this package runs.
type local struct {
	in    installation
	opts  options
	id    identity
	guard *testkit.Guard
	dir   string
	data  string
	port  int

	mu  sync.Mutex
	cmd *exec.Cmd
	// alive is the reading end of a pipe that the server holds open: its end of
	// file tells of the server's end without a goroutine that waits for it.
	alive *os.File
}

// Start runs a private server until the test's end. It skips the test where no
// server is installed.
func Start(tb testing.TB, opts ...Option) *Server {
	tb.Helper()
	requireInstalled(tb)
	s, err := startLocal(tb, opts...)
	if err != nil {
		tb.Fatalf("start mariadbd: %v", err)
	}
	tb.Cleanup(func() {
		logOnFailure(tb, s)
		if err := s.local.close(); err != nil {
			tb.Errorf("end mariadbd: %v", err)
		}
	})
	return s
}

func requireInstalled(tb testing.TB) {
	tb.Helper()
	if _, err := locate(); err != nil {
		Missing(tb, err.Error())
	}
}

// startLocal starts a server that close ends; tb is used for nothing that
// lasts beyond the call.
func startLocal(tb testing.TB, opts ...Option) (*Server, error) {
	tb.Helper()
	l, err := newLocal(opts...)
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		l.port = testkit.Port(tb)
		s := &Server{User: adminUser, Password: adminPassword, local: l}
		s.config = baseConfig(fmt.Sprintf("127.0.0.1:%d", l.port), adminUser, adminPassword)
		err := s.launch(l.opts.firstArgs)
		if err == nil {
			return s, nil
		}
		if !errors.Is(err, errPortTaken) || attempt == startAttempts {
			return nil, errors.Join(fmt.Errorf("%w; its log ends with:\n%s", err, s.LogTail()), l.close())
		}
	}
}

// newLocal prepares the directories of a server.
func newLocal(opts ...Option) (*local, error) {
	l := &local{opts: options{ready: time.Minute}}
	for _, o := range opts {
		o(&l.opts)
	}
	var err error
	if l.in, err = locate(); err != nil {
		return nil, err
	}
	tpl, err := template()
	if err != nil {
		return nil, err
	}
	// Not the test's own TempDir: nobody but its owner can reach that one, and
	// socket paths have to be short.
	if l.dir, err = os.MkdirTemp("", "sidestream-db-"); err != nil {
		return nil, fmt.Errorf("server directory: %w", err)
	}
	if l.guard, err = testkit.NewGuard(l.dir); err != nil {
		return nil, errors.Join(err, os.RemoveAll(l.dir))
	}
	l.data, l.id = filepath.Join(l.dir, "data"), identityFor(os.TempDir())
	if l.opts.dir != "" {
		l.data, l.id = filepath.Join(l.opts.dir, "data"), identityFor(os.TempDir(), l.opts.dir)
	}
	err = os.Mkdir(filepath.Join(l.dir, "tmp"), 0o700)
	if err == nil {
		err = errors.Join(l.id.own(l.dir), tpl.copyTo(l.data, l.id))
	}
	if err != nil {
		return nil, errors.Join(err, l.guard.Close())
	}
	return l, nil
}

// args are all options of one run.
func (l *local) args(extra []string) []string {
	args := []string{
		"--no-defaults", // has to come first
		"--datadir=" + l.data,
		"--tmpdir=" + filepath.Join(l.dir, "tmp"),
		"--socket=" + l.socket(),
		"--pid-file=" + filepath.Join(l.dir, "server.pid"),
		fmt.Sprintf("--port=%d", l.port),
	}
	for _, more := range [][]string{l.id.args(), baseArgs(), l.opts.args, extra} {
		args = append(args, more...)
	}
	return args
}

func (l *local) socket() string  { return filepath.Join(l.dir, "s") }
func (l *local) logFile() string { return filepath.Join(l.dir, "server.log") }

// Addr returns host:port.
func (s *Server) Addr() string { return s.config.Addr }

// Socket returns the path of the unix socket, empty for a server that is not ours.
func (s *Server) Socket() string {
	if s.local == nil {
		return ""
	}
	return s.local.socket()
}

// DataDir returns the data directory, empty for a server that is not ours.
func (s *Server) DataDir() string {
	if s.local == nil {
		return ""
	}
	return s.local.data
}

// LogTail returns the last lines of the server's log.
func (s *Server) LogTail() string {
	if s.local == nil {
		return ""
	}
	text, err := os.ReadFile(s.local.logFile())
	if err != nil {
		return err.Error()
	}
	return lastLines(string(text))
}

func lastLines(text string) string {
	const most = 40
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-most):], "\n")
}

func logOnFailure(tb testing.TB, s *Server) {
	tb.Helper()
	if tb.Failed() && s.local != nil {
		tb.Logf("the log of mariadbd at %s ends with:\n%s", s.Addr(), s.LogTail())
	}
}
