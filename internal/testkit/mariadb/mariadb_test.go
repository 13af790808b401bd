package mariadb_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"sidestream/internal/testkit"
	"sidestream/internal/testkit/mariadb"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func TestShared(t *testing.T) {
	t.Parallel()

	t.Run("every_test_has_its_own_database", func(t *testing.T) {
		t.Parallel()
		s := mariadb.Shared(t)
		one, two := s.Database(t), s.Database(t)
		one.Exec(t, "INSERT INTO messages (user_id) VALUES (?)", "a")
		if n := two.Int(t, "SELECT COUNT(*) FROM messages"); n != 0 {
			t.Errorf("a row of one database shows in another: %d", n)
		}
		if again := mariadb.Shared(t); again != s {
			t.Error("a second server was started")
		}
	})

	t.Run("the_table_takes_any_text_and_times_are_utc", func(t *testing.T) {
		t.Parallel()
		db := mariadb.Shared(t).Database(t)
		db.Exec(t, "INSERT INTO messages (user_id, direction, message, created_at) VALUES ('u', 'in', ?, ?)",
			"привет 👋", time.Date(2026, 3, 29, 1, 30, 0, 0, time.UTC))
		got := db.Rows(t, "SELECT id, user_id, username, direction, message, created_at FROM messages")
		want := [][]string{{"1", "u", "NULL", "in", "привет 👋", "2026-03-29T01:30:00Z"}}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	})

	t.Run("databases_are_dropped_at_the_end", func(t *testing.T) {
		t.Parallel()
		s := mariadb.Shared(t)
		var name string
		t.Run("use", func(t *testing.T) { name = s.Database(t).Name })
		if n := s.Int(t, "SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ?", name); n != 0 {
			t.Error("the database is still there")
		}
		if n := s.Int(t, "SELECT COUNT(*) FROM mysql.user WHERE User = ?", name); n != 0 {
			t.Error("the user is still there")
		}
	})

	t.Run("a_database_can_have_another_character_set", func(t *testing.T) {
		t.Parallel()
		db := mariadb.Shared(t).EmptyDatabase(t, "CHARACTER SET latin1")
		db.Exec(t, mariadb.CRMTable)
		_, err := db.Open(t).ExecContext(t.Context(), "INSERT INTO messages (message) VALUES ('привет')")
		wantNumber(t, err, 1366)
	})

	t.Run("the_user_of_a_database_sees_nothing_else", func(t *testing.T) {
		t.Parallel()
		s := mariadb.Shared(t)
		one, two := s.Database(t), s.Database(t)
		_, err := one.Open(t).ExecContext(t.Context(), "SELECT * FROM "+two.Name+".messages")
		wantNumber(t, err, 1142)
	})
}

func wantNumber(t *testing.T, err error, number uint16) {
	t.Helper()
	var e *mysql.MySQLError
	if !errors.As(err, &e) || e.Number != number {
		t.Fatalf("got %v, want error %d", err, number)
	}
}

func TestServer(t *testing.T) {
	t.Parallel()

	t.Run("committed_rows_survive_a_kill", func(t *testing.T) {
		t.Parallel()
		s := mariadb.Start(t)
		db := s.Database(t)
		db.Exec(t, "INSERT INTO messages (user_id) VALUES ('a')")
		addr := s.Addr()
		s.Kill(t)
		if s.Running() {
			t.Error("it runs after a kill")
		}
		if err := db.Open(t).PingContext(t.Context()); err == nil {
			t.Error("it answers after a kill")
		}
		s.Kill(t) // twice is fine
		s.Restart(t)
		if s.Addr() != addr {
			t.Errorf("address changed from %s to %s", addr, s.Addr())
		}
		if n := db.Int(t, "SELECT COUNT(*) FROM messages"); n != 1 {
			t.Errorf("%d rows, want 1", n)
		}
	})

	t.Run("options_hold_for_every_run_or_for_one", func(t *testing.T) {
		t.Parallel()
		s := mariadb.Start(t, mariadb.Args("--wait-timeout=77"), mariadb.FirstArgs("--interactive-timeout=78"))
		wantSettings(t, s, "77", "78", "0")
		s.Restart(t, "--read-only=1")
		wantSettings(t, s, "77", "28800", "1")
		s.Shutdown(t)
		s.Restart(t)
		wantSettings(t, s, "77", "28800", "0")
		if s.Text(t, "SELECT @@innodb_flush_log_at_trx_commit") != "1" {
			t.Error("commits are not durable")
		}
	})

	t.Run("the_user_of_a_database_is_held_by_read_only", func(t *testing.T) {
		t.Parallel()
		s := mariadb.Start(t)
		db := s.Database(t)
		s.Exec(t, "SET GLOBAL read_only = 1")
		_, err := db.Open(t).ExecContext(t.Context(), "INSERT INTO messages (user_id) VALUES ('a')")
		wantNumber(t, err, 1290)
	})

	t.Run("a_frozen_server_answers_later", func(t *testing.T) {
		t.Parallel()
		s := mariadb.Start(t)
		db := s.Database(t).Open(t)
		if err := db.PingContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.Stop(t)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := db.PingContext(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("frozen server: %v", err)
		}
		if !s.Running() {
			t.Error("a frozen server counts as ended")
		}
		s.Cont(t)
		if err := db.PingContext(t.Context()); err != nil {
			t.Errorf("after going on: %v", err)
		}
	})

	t.Run("data_can_live_elsewhere", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		s := mariadb.Start(t, mariadb.Dir(dir))
		if filepath.Dir(s.DataDir()) != dir {
			t.Errorf("data directory is %s", s.DataDir())
		}
		name := s.Database(t).Name
		if _, err := os.Stat(filepath.Join(s.DataDir(), name, "messages.ibd")); err != nil {
			t.Error(err)
		}
	})

	t.Run("a_handle_works_over_the_socket_too", func(t *testing.T) {
		t.Parallel()
		s := mariadb.Start(t)
		cfg := s.Database(t).Config()
		cfg.Net, cfg.Addr = "unix", s.Socket()
		connector, err := mysql.NewConnector(cfg)
		if err != nil {
			t.Fatal(err)
		}
		db := sql.OpenDB(connector)
		defer db.Close()
		if err := db.PingContext(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func wantSettings(t *testing.T, s *mariadb.Server, wait, interactive, readOnly string) {
	t.Helper()
	got := s.Text(t, "SELECT CONCAT_WS(' ', @@global.wait_timeout, @@global.interactive_timeout, IF(@@global.read_only, 1, 0))")
	if want := strings.Join([]string{wait, interactive, readOnly}, " "); got != want {
		t.Errorf("settings %q, want %q", got, want)
	}
}

// The tests below run this test binary again, in an environment of their own.
const envChild = "SIDESTREAM_TEST_CHILD"

func child(t *testing.T, what string, env ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$", "-test.v")
	cmd.Env = append(append(os.Environ(), env...), envChild+"="+what)
	return cmd
}

// TestChild does what its environment tells; on its own it does nothing.
func TestChild(t *testing.T) {
	t.Parallel()
	switch os.Getenv(envChild) {
	case "shared":
		t.Logf("database on %s", mariadb.Shared(t).Database(t).Addr)
	case "missing":
		mariadb.Missing(t, "no such thing")
	case "die":
		s := mariadb.Start(t, mariadb.Dir(os.Getenv("SIDESTREAM_TEST_DATA")))
		t.Logf("data in %s on %s.", s.DataDir(), s.Addr())
		if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		<-t.Context().Done() // no cleanup runs
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()

	t.Run("skips_the_test", func(t *testing.T) {
		t.Parallel()
		out, err := child(t, "missing", "SIDESTREAM_TEST_REQUIRE_SERVER=").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "SKIP: TestChild") || !strings.Contains(string(out), "skipped: no such thing") {
			t.Errorf("%v\n%s", err, out)
		}
	})

	t.Run("fails_it_where_nothing_may_be_missing", func(t *testing.T) {
		t.Parallel()
		out, err := child(t, "missing", "SIDESTREAM_TEST_REQUIRE_SERVER=1").CombinedOutput()
		if err == nil || !strings.Contains(string(out), "no such thing, and") {
			t.Errorf("%v\n%s", err, out)
		}
	})

	t.Run("is_not_said_of_a_server_that_is_named_but_away", func(t *testing.T) {
		t.Parallel()
		out, err := child(t, "shared", "SIDESTREAM_TEST_MYSQL_DSN=x:y@tcp(127.0.0.1:1)/").CombinedOutput()
		if err == nil || !strings.Contains(string(out), "refused") {
			t.Errorf("%v\n%s", err, out)
		}
	})
}

func TestExternalServer(t *testing.T) {
	t.Parallel()
	s := mariadb.Start(t)
	out, err := child(t, "shared", "SIDESTREAM_TEST_MYSQL_DSN="+s.User+":"+s.Password+"@tcp("+s.Addr()+")/").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !strings.Contains(string(out), "database on "+s.Addr()) {
		t.Errorf("another server was used:\n%s", out)
	}
	if n := s.Int(t, "SELECT COUNT(*) FROM mysql.user WHERE User LIKE 't%'"); n != 0 {
		t.Errorf("%d users were left behind", n)
	}
}

func TestNothingOutlivesAKilledTestBinary(t *testing.T) {
	t.Parallel()
	// The data stays: a server whose files are gone might end because of that.
	tmp, data := t.TempDir(), t.TempDir()
	out, err := child(t, "die", "TMPDIR="+tmp, "SIDESTREAM_TEST_DATA="+data).CombinedOutput()
	if err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("the child was not killed: %v\n%s", err, out)
	}
	server := regexp.MustCompile(`data in (\S+) on (\S+)\.`).FindStringSubmatch(string(out))
	if server == nil || !strings.HasPrefix(server[1], data) {
		t.Fatalf("the child did not start a server on %s:\n%s", data, out)
	}
	testkit.EventuallyNil(t, 30*time.Second, func() error {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", server[2])
		if err == nil {
			_ = c.Close()
			return errors.New("it takes connections")
		}
		return nil
	}, "server ended")
	testkit.EventuallyNil(t, 30*time.Second, func() error {
		left, err := os.ReadDir(tmp)
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("%s is left", left[0].Name())
		}
		return err
	}, "everything removed")
}
