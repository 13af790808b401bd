package proxy_test

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"go.uber.org/goleak"

	"sidestream/internal/testkit"
	"sidestream/internal/testkit/mariadb"
	"sidestream/internal/testkit/proxy"
)

const patience = 30 * time.Second

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// rig is a database behind a proxy.
type rig struct {
	db    mariadb.DB
	proxy *proxy.Proxy
	// through is a handle with one connection through the proxy.
	through *sql.DB
}

func newRig(t *testing.T, change ...func(*mysql.Config)) rig {
	t.Helper()
	return rigOn(t, mariadb.Shared(t), change...)
}

func rigOn(t *testing.T, s *mariadb.Server, change ...func(*mysql.Config)) rig {
	t.Helper()
	db := s.Database(t)
	p := proxy.New(t, s.Addr())
	cfg := db.At(p.Addr()).Config()
	for _, f := range change {
		f(cfg)
	}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	through := sql.OpenDB(connector)
	through.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = through.Close() })
	return rig{db: db, proxy: p, through: through}
}

func readTimeout(d time.Duration) func(*mysql.Config) {
	return func(cfg *mysql.Config) { cfg.ReadTimeout = d }
}

// insert begins a transaction with one row in it.
func (r rig) insert(t *testing.T) *sql.Tx {
	t.Helper()
	tx, err := r.through.BeginTx(context.WithoutCancel(t.Context()), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tx.Rollback() })
	if _, err := tx.ExecContext(t.Context(), "INSERT INTO messages (user_id) VALUES ('a')"); err != nil {
		t.Fatal(err)
	}
	return tx
}

func (r rig) wantRows(t *testing.T, want int64) {
	t.Helper()
	if got := r.db.Int(t, "SELECT COUNT(*) FROM messages"); got != want {
		t.Errorf("%d rows, want %d", got, want)
	}
}

// sessions counts the server's connections of the rig's user, beside the one
// that asks.
func (r rig) sessions(t *testing.T) int64 {
	t.Helper()
	return r.db.Int(t, "SELECT COUNT(*) - 1 FROM information_schema.PROCESSLIST")
}

func (r rig) wantCount(t *testing.T, kind proxy.Kind, want int) {
	t.Helper()
	if got := r.proxy.Count(kind); got != want {
		t.Errorf("%s happened %d times, want %d; all: %v", kind, got, want, r.proxy.Counts())
	}
}

func TestCommit(t *testing.T) {
	t.Parallel()

	// What a client can know after each fault, and what is true then.
	for name, c := range map[string]struct {
		moment proxy.Moment
		action proxy.Action
		rows   int64
		counts proxy.Kind
	}{
		"dropped_before_it_is_sent_leaves_no_row":          {proxy.Received, proxy.Drop(), 0, proxy.KindDrop},
		"closed_before_it_is_sent_leaves_no_row":           {proxy.Received, proxy.Close(), 0, proxy.KindClose},
		"half_closed_before_it_is_sent_leaves_no_row":      {proxy.Received, proxy.HalfClose(), 0, proxy.KindHalfClose},
		"with_its_ok_swallowed_leaves_the_row":             {proxy.Received, proxy.SwallowResponse(), 1, proxy.KindSwallow},
		"with_its_ok_swallowed_once_sent_leaves_the_row":   {proxy.Sent, proxy.SwallowResponse(), 1, proxy.KindSwallow},
		"with_its_ok_swallowed_at_the_end_leaves_the_row":  {proxy.Answered, proxy.SwallowResponse(), 1, proxy.KindSwallow},
		"dropped_when_it_is_answered_leaves_the_row":       {proxy.Answered, proxy.Drop(), 1, proxy.KindDrop},
		"closed_when_it_is_answered_leaves_the_row":        {proxy.Answered, proxy.Close(), 1, proxy.KindClose},
		"half_closed_when_it_is_answered_leaves_the_row":   {proxy.Answered, proxy.HalfClose(), 1, proxy.KindHalfClose},
		"swallowed_and_then_closed_leaves_the_row":         {proxy.Sent, proxy.SwallowResponse().Then(proxy.Close()), 1, proxy.KindClose},
		"delayed_and_then_dropped_leaves_no_row":           {proxy.Received, proxy.Delay(time.Millisecond).Then(proxy.Drop()), 0, proxy.KindDelay},
		"delayed_and_then_swallowed_leaves_the_row":        {proxy.Received, proxy.Delay(time.Millisecond).Then(proxy.SwallowResponse()), 1, proxy.KindSwallow},
		"black_holed_at_the_answer_times_out_with_the_row": {proxy.Answered, proxy.BlackHole(), 1, proxy.KindBlackHole},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, readTimeout(2*time.Second))
			r.proxy.Intercept(proxy.Once(proxy.At(c.moment, "COMMIT", c.action)))
			if err := r.insert(t).Commit(); err == nil {
				t.Error("the client believes in its commit")
			}
			if c.rows == 0 {
				// The server notices the end of the connection and rolls back.
				testkit.Eventually(t, patience, func() bool { return r.sessions(t) == 0 }, "session ended")
			}
			r.wantRows(t, c.rows)
			r.wantCount(t, c.counts, 1)

			r.insert(t) // a new connection works
			if n := r.proxy.Accepted(); n != 2 {
				t.Errorf("%d connections, want 2", n)
			}
		})
	}

	t.Run("passes_where_nothing_is_asked", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		if err := r.insert(t).Commit(); err != nil {
			t.Error(err)
		}
		r.wantRows(t, 1)
		if n := len(r.proxy.Counts()); n != 0 {
			t.Errorf("something happened: %v", r.proxy.Counts())
		}
	})

	t.Run("delayed_passes_in_the_end", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		r.proxy.Intercept(proxy.At(proxy.Answered, "COMMIT", proxy.Delay(10*time.Millisecond)))
		if err := r.insert(t).Commit(); err != nil {
			t.Error(err)
		}
		r.wantCount(t, proxy.KindDelay, 1)
	})

	t.Run("held_before_it_is_sent_shows_no_row_until_it_is_let_go", func(t *testing.T) {
		t.Parallel()
		holdCommit(t, proxy.Received, 0)
	})

	t.Run("held_once_sent_is_not_answered_until_it_is_let_go", func(t *testing.T) {
		t.Parallel()
		holdCommit(t, proxy.Sent, 1)
	})

	t.Run("held_at_its_answer_shows_the_row_before_the_client_knows", func(t *testing.T) {
		t.Parallel()
		holdCommit(t, proxy.Answered, 1)
	})
}

// holdCommit checks how many rows others see while a COMMIT is held, and that
// it succeeds after all.
func holdCommit(t *testing.T, moment proxy.Moment, rows int64) {
	t.Helper()
	r := newRig(t)
	until := make(chan struct{})
	r.proxy.Intercept(proxy.At(moment, "COMMIT", proxy.Hold(until)))
	tx := r.insert(t)
	result := make(chan error, 1)
	go func() { result <- tx.Commit() }()
	testkit.Eventually(t, patience, func() bool { return r.proxy.Count(proxy.KindHold) == 1 }, "COMMIT held")
	if moment == proxy.Sent {
		// Here the server has only begun.
		testkit.Eventually(t, patience, func() bool { return r.db.Int(t, "SELECT COUNT(*) FROM messages") == rows }, "row committed")
	}
	r.wantRows(t, rows)
	select {
	case err := <-result:
		t.Fatalf("the client has its answer already: %v", err)
	default:
	}
	close(until)
	select {
	case err := <-result:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("COMMIT was never let go")
	}
	r.wantRows(t, 1)
}

func TestBlackHole(t *testing.T) {
	t.Parallel()

	t.Run("leaves_a_transaction_open_that_holds_its_locks", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, readTimeout(time.Second))
		r.db.Exec(t, "INSERT INTO messages (id, user_id) VALUES (7, 'old')")
		r.proxy.Intercept(proxy.Once(proxy.At(proxy.Received, "COMMIT", proxy.BlackHole())))
		tx, err := r.through.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.ExecContext(t.Context(), "UPDATE messages SET user_id = 'new' WHERE id = 7"); err != nil {
			t.Fatal(err)
		}
		if err := tx.Commit(); err == nil {
			t.Error("the client believes in its commit")
		}
		// The client is gone; the server does not know.
		other := r.db.Open(t)
		_, err = other.ExecContext(t.Context(), "SET STATEMENT innodb_lock_wait_timeout = 1 FOR DELETE FROM messages WHERE id = 7")
		var e *mysql.MySQLError
		if !errors.As(err, &e) || e.Number != 1205 {
			t.Errorf("got %v, want a lock wait timeout", err)
		}
		_ = other.Close()
		r.proxy.All(t, proxy.Drop())
		testkit.Eventually(t, patience, func() bool { return r.sessions(t) == 0 }, "session ended")
		if got := r.db.Text(t, "SELECT user_id FROM messages"); got != "old" {
			t.Errorf("user_id is %q", got)
		}
	})

	t.Run("can_fall_over_all_connections_at_once", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, readTimeout(time.Second))
		if err := r.through.PingContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.proxy.All(t, proxy.BlackHole())
		r.proxy.All(t, proxy.BlackHole())
		if err := r.through.PingContext(t.Context()); err == nil {
			t.Error("a ping came back")
		}
		r.wantCount(t, proxy.KindBlackHole, 1)
		if n := r.sessions(t); n != 1 {
			t.Errorf("the server has %d sessions, want the old one", n)
		}
	})

	t.Run("can_take_a_connection_before_it_exists", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, readTimeout(time.Second))
		r.proxy.Intercept(proxy.At(proxy.Connecting, "", proxy.BlackHole()))
		if err := r.through.PingContext(t.Context()); err == nil {
			t.Error("a ping came back")
		}
		if n := r.sessions(t); n != 0 {
			t.Errorf("the server has %d sessions", n)
		}
	})
}

func TestConnections(t *testing.T) {
	t.Parallel()

	t.Run("refused_while_the_port_is_closed_only", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		tx := r.insert(t)
		r.proxy.Refuse(t, true)
		if err := r.db.At(r.proxy.Addr()).Open(t).PingContext(t.Context()); err == nil {
			t.Error("a new connection got through")
		}
		if err := tx.Commit(); err != nil {
			t.Errorf("the old connection: %v", err)
		}
		r.proxy.Refuse(t, false)
		if err := r.db.At(r.proxy.Addr()).Open(t).PingContext(t.Context()); err != nil {
			t.Error(err)
		}
	})

	t.Run("dropped_or_closed_when_they_come", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		for _, action := range []proxy.Action{proxy.Drop(), proxy.Close(), proxy.HalfClose()} {
			r.proxy.Intercept(proxy.At(proxy.Connecting, "", action))
			if err := r.through.PingContext(t.Context()); err == nil {
				t.Error("a connection got through")
			}
		}
		r.proxy.Intercept(nil)
		if err := r.through.PingContext(t.Context()); err != nil {
			t.Error(err)
		}
	})

	t.Run("end_for_the_client_in_the_way_that_was_asked_for", func(t *testing.T) {
		t.Parallel()
		for want, action := range map[error]proxy.Action{syscall.ECONNRESET: proxy.Drop(), io.EOF: proxy.Close()} {
			p := proxy.New(t, greeter(t, 10))
			c, err := new(net.Dialer).DialContext(t.Context(), "tcp", p.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(patience))
			if _, err := io.WriteString(c, hello); err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(c, make([]byte, 10)); err != nil {
				t.Fatal(err)
			}
			p.All(t, action)
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
		}
	})

	t.Run("reset_where_the_server_is_away", func(t *testing.T) {
		t.Parallel()
		s := mariadb.Start(t)
		r := rigOn(t, s)
		if err := r.through.PingContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.Kill(t)
		// The first one may still meet the old connection.
		for range 2 {
			if err := r.through.PingContext(t.Context()); err == nil {
				t.Error("a ping came back")
			}
		}
		if r.proxy.Count(proxy.KindDialError) == 0 {
			t.Errorf("no dial failed: %v", r.proxy.Counts())
		}
		s.Restart(t)
		if err := r.through.PingContext(t.Context()); err != nil {
			t.Error(err)
		}
	})

	t.Run("released_when_client_and_server_are_done", func(t *testing.T) {
		t.Parallel()
		r := newRig(t)
		if err := r.insert(t).Rollback(); err != nil {
			t.Error(err)
		}
		if n := r.proxy.Open(); n != 1 {
			t.Errorf("%d connections, want 1", n)
		}
		_ = r.through.Close()
		testkit.Eventually(t, patience, func() bool { return r.proxy.Open() == 0 }, "connection released")
	})
}
