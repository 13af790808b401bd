package e2e_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sidestream/internal/mysql"
	"sidestream/internal/testkit"
	"sidestream/internal/testkit/mariadb"
	"sidestream/internal/testkit/proxy"
	"sidestream/replicator"
)

const isCommit = "COMMIT"

// commitCase is one loop behind a proxy, with a few batches applied already.
type commitCase struct {
	*loop
	feed  *feed
	db    mariadb.DB
	proxy *proxy.Proxy
}

func newCommitCase(t *testing.T, server *mariadb.Server, change ...func(*mysql.Options, *replicator.Options)) *commitCase {
	t.Helper()
	c := &commitCase{feed: newFeed(t), db: server.Database(t), proxy: proxy.New(t, server.Addr())}
	c.loop = newLoop(t, c.feed.path, c.db.At(c.proxy.Addr()), change...)
	c.feed.say(t, 20)
	c.persist(t)
	c.feed.say(t, 30)
	return c
}

// settle drains and checks that nothing is missing, doubled or out of order.
func (c *commitCase) settle(t *testing.T) resolutions {
	t.Helper()
	c.persist(t)
	c.feed.wantAll(t, c.db)
	if got, want := c.applied(t), c.feed.head(); got != want {
		t.Errorf("%d changes are counted as applied, want %d", got, want)
	}
	return c.ambiguous(t)
}

// oneStep does the step whose COMMIT is in trouble.
func (c *commitCase) oneStep(t *testing.T, reason string) {
	t.Helper()
	_, err := c.Step(t.Context())
	if err == nil || replicator.AsFailure(err).Reason != reason {
		t.Fatalf("the step with the fault ended with %v, want %s", err, reason)
	}
}

func wantResolutions(t *testing.T, got, want resolutions) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("ambiguous COMMITs by resolution (-want +got):\n%s", d)
	}
}

// TestCommit_fault breaks exactly one COMMIT, in every way that a network can.
func TestCommit_fault(t *testing.T) {
	committed, rolledBack, none := resolutions{"committed": 1}, resolutions{"rolled_back": 1}, resolutions{}
	for name, tc := range map[string]struct {
		rule func(proxy.Event) proxy.Action
		want resolutions
	}{
		"reset_before_the_server_has_it":      {proxy.At(proxy.Received, isCommit, proxy.Drop()), rolledBack},
		"closed_before_the_server_has_it":     {proxy.At(proxy.Received, isCommit, proxy.Close()), rolledBack},
		"half_closed_before_the_server":       {proxy.At(proxy.Received, isCommit, proxy.HalfClose()), rolledBack},
		"answer_swallowed_and_reset":          {proxy.At(proxy.Answered, isCommit, proxy.SwallowResponse()), committed},
		"answer_swallowed_and_closed":         {proxy.At(proxy.Answered, isCommit, proxy.SwallowResponse().Then(proxy.Close())), committed},
		"answer_swallowed_then_silence":       {proxy.At(proxy.Answered, isCommit, proxy.SwallowResponse().Then(proxy.BlackHole())), committed},
		"answer_swallowed_while_open":         {proxy.At(proxy.Answered, isCommit, proxy.SwallowResponse().Then(proxy.Pass())), committed},
		"half_closed_before_the_answer":       {proxy.At(proxy.Answered, isCommit, proxy.HalfClose()), committed},
		"late_but_in_time":                    {proxy.At(proxy.Received, isCommit, proxy.Delay(100*time.Millisecond)), none},
		"answered_late_but_in_time":           {proxy.At(proxy.Answered, isCommit, proxy.Delay(100*time.Millisecond)), none},
		"answered_after_the_read_timeout":     {proxy.At(proxy.Answered, isCommit, proxy.Delay(3*time.Second)), committed},
		"late_and_then_lost":                  {proxy.At(proxy.Received, isCommit, proxy.Delay(50*time.Millisecond).Then(proxy.Drop())), rolledBack},
		"sent_after_the_client_had_given_up":  {proxy.At(proxy.Received, isCommit, proxy.Delay(2500*time.Millisecond)), committed},
		"half_closed_at_the_cursors_own_step": {proxy.At(proxy.Answered, "UPDATE", proxy.HalfClose()), none},
		"insert_answered_and_reset":           {proxy.At(proxy.Answered, "INSERT", proxy.Drop()), none},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCommitCase(t, mariadb.Shared(t))
			c.proxy.Intercept(proxy.Once(tc.rule))
			wantResolutions(t, c.settle(t), tc.want)
		})
	}
	t.Run("reset_while_the_server_works_on_it", func(t *testing.T) {
		t.Parallel()
		c := newCommitCase(t, mariadb.Shared(t))
		const rounds = 40
		random := rand.New(rand.NewPCG(1, 9))
		for range rounds {
			pause := time.Duration(random.IntN(1500)) * time.Microsecond
			c.proxy.Intercept(proxy.Once(proxy.At(proxy.Sent, isCommit, proxy.Delay(pause).Then(proxy.Drop()))))
			c.feed.say(t, 5)
			c.settle(t)
		}
		found := c.ambiguous(t)
		if got := found["committed"] + found["rolled_back"]; got != rounds {
			t.Errorf("%d COMMITs are settled, want %d: %v", got, rounds, found)
		}
		t.Logf("%d resets inside COMMIT: %v", rounds, found)
	})
	t.Run("every_connection_is_slow", func(t *testing.T) {
		t.Parallel()
		c := newCommitCase(t, mariadb.Shared(t))
		c.proxy.All(t, proxy.Drop())
		c.proxy.Throttle(40_000)
		wantResolutions(t, c.settle(t), none)
	})
	t.Run("the_first_eight_answers_in_a_row_are_lost", func(t *testing.T) {
		t.Parallel()
		c := newCommitCase(t, mariadb.Shared(t))
		c.feed.say(t, 100)
		for range 8 {
			c.proxy.Intercept(proxy.Once(proxy.At(proxy.Answered, isCommit, proxy.SwallowResponse())))
			c.oneStep(t, "commit_unanswered")
		}
		wantResolutions(t, c.settle(t), resolutions{"committed": 8})
	})
	t.Run("the_first_eight_COMMITs_in_a_row_are_lost", func(t *testing.T) {
		t.Parallel()
		c := newCommitCase(t, mariadb.Shared(t))
		for range 8 {
			c.proxy.Intercept(proxy.Once(proxy.At(proxy.Received, isCommit, proxy.Drop())))
			c.oneStep(t, "commit_unanswered")
		}
		wantResolutions(t, c.settle(t), resolutions{"rolled_back": 8})
	})
}

// TestCommit_abandoned holds a COMMIT in the network until its client has given
// up: a transaction that nobody waits for any more commits later.
func TestCommit_abandoned(t *testing.T) {
	short := func(o *mysql.Options, _ *replicator.Options) { o.ReadTimeout = time.Second }
	t.Run("while_the_next_attempt_waits_for_its_lock", func(t *testing.T) {
		t.Parallel()
		server := mariadb.Shared(t)
		c := newCommitCase(t, server)
		release := make(chan struct{})
		c.proxy.Intercept(proxy.Once(proxy.At(proxy.Received, isCommit, proxy.Hold(release))))
		c.oneStep(t, "commit_unanswered")
		next := make(chan error, 1)
		go func() {
			_, err := c.Step(t.Context())
			next <- err
		}()
		waitForLock(t, server, c.db)
		close(release)
		if err := <-next; replicator.AsFailure(err).Reason != replicator.ReasonMoved {
			t.Errorf("the attempt that waited ended with %v, want %s", err, replicator.ReasonMoved)
		}
		wantResolutions(t, c.settle(t), resolutions{"committed": 1})
	})
	t.Run("after_several_attempts_gave_up_waiting_too", func(t *testing.T) {
		t.Parallel()
		c := newCommitCase(t, mariadb.Shared(t), short)
		release := make(chan struct{})
		c.proxy.Intercept(proxy.Once(proxy.At(proxy.Received, isCommit, proxy.Hold(release))))
		c.oneStep(t, "commit_unanswered")
		for range 2 {
			if _, err := c.Step(t.Context()); err == nil {
				t.Error("an attempt went through beside an open transaction")
			}
		}
		close(release)
		wantResolutions(t, c.settle(t), resolutions{"committed": 1})
	})
	t.Run("and_the_next_answer_is_lost_too", func(t *testing.T) {
		t.Parallel()
		c := newCommitCase(t, mariadb.Shared(t), short)
		release := make(chan struct{})
		c.proxy.Intercept(proxy.Once(proxy.At(proxy.Received, isCommit, proxy.Hold(release).Then(proxy.Drop()))))
		c.oneStep(t, "commit_unanswered")
		c.proxy.Intercept(proxy.Once(proxy.At(proxy.Answered, isCommit, proxy.SwallowResponse())))
		close(release)
		wantResolutions(t, c.settle(t), resolutions{"committed": 1, "rolled_back": 1})
	})
	t.Run("while_a_second_replicator_takes_over", func(t *testing.T) {
		t.Parallel()
		server := mariadb.Shared(t)
		c := newCommitCase(t, server)
		release := make(chan struct{})
		c.proxy.Intercept(proxy.Once(proxy.At(proxy.Received, isCommit, proxy.Hold(release))))
		c.oneStep(t, "commit_unanswered")
		second := newLoop(t, c.feed.path, c.db)
		done := make(chan error, 1)
		go func() { done <- second.Drain(t.Context(), patient) }()
		waitForLock(t, server, c.db)
		close(release)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		c.persist(t)
		c.feed.wantAll(t, c.db)
		wantResolutions(t, c.ambiguous(t), resolutions{"superseded": 1})
	})
}

// waitForLock waits until a compare-and-set is at work: while another
// transaction holds the cursor's row it can only wait.
func waitForLock(t *testing.T, server *mariadb.Server, db mariadb.DB) {
	t.Helper()
	admin := server.Open(t)
	testkit.Eventually(t, patient, func() bool {
		var n int
		err := admin.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE DB = ? AND STATE = 'Updating' AND INFO LIKE 'UPDATE%sidestream_cursor%'", db.Name).Scan(&n)
		return err == nil && n > 0
	}, "waiting for the row lock")
}

// TestCommit_server does to the server what the others do to the network.
func TestCommit_server(t *testing.T) {
	// A transaction whose client has fallen silent ends after this many seconds
	// and not after the session's half a minute.
	server := mariadb.Start(t, mariadb.Args("--idle-transaction-timeout=2"))
	short := func(o *mysql.Options, _ *replicator.Options) {
		o.ConnectTimeout, o.ReadTimeout = time.Second, time.Second
	}
	t.Run("silence_before_COMMIT_until_the_server_gives_up", func(t *testing.T) {
		c := newCommitCase(t, server, short)
		c.proxy.Intercept(proxy.Once(proxy.At(proxy.Received, isCommit, proxy.BlackHole())))
		wantResolutions(t, c.settle(t), resolutions{"rolled_back": 1})
		if c.proxy.Count(proxy.KindBlackHole) != 1 {
			t.Error("nothing fell silent")
		}
	})
	t.Run("silence_behind_COMMIT", func(t *testing.T) {
		c := newCommitCase(t, server, short)
		c.proxy.Intercept(proxy.Once(proxy.At(proxy.Sent, isCommit, proxy.BlackHole())))
		found := c.settle(t)
		if found["committed"]+found["rolled_back"] != 1 {
			t.Errorf("settled as %v, want one", found)
		}
	})
	t.Run("frozen_with_the_COMMIT_in_its_socket", func(t *testing.T) {
		c := newCommitCase(t, server, short)
		c.proxy.Intercept(proxy.Once(func(e proxy.Event) proxy.Action {
			if e.Moment == proxy.Received && e.Text == isCommit {
				server.Stop(t)
				return proxy.Delay(time.Microsecond)
			}
			return proxy.Pass()
		}))
		c.oneStep(t, "commit_unanswered")
		// Nobody answers: the next attempts fail as well.
		for range 2 {
			if _, err := c.Step(t.Context()); err == nil {
				t.Error("a frozen server answered")
			}
		}
		server.Cont(t)
		wantResolutions(t, c.settle(t), resolutions{"committed": 1})
	})
	t.Run("frozen_somewhere_inside_COMMIT", func(t *testing.T) {
		c := newCommitCase(t, server, short)
		random := rand.New(rand.NewPCG(5, 5))
		const rounds = 6
		for range rounds {
			pause := time.Duration(random.IntN(800)) * time.Microsecond
			frozen := make(chan struct{})
			c.proxy.Intercept(proxy.Once(func(e proxy.Event) proxy.Action {
				if e.Moment == proxy.Received && e.Text == isCommit {
					go func() {
						defer close(frozen)
						_ = wait(t.Context(), pause)
						server.Stop(t)
					}()
					return proxy.Delay(0)
				}
				return proxy.Pass()
			}))
			c.feed.say(t, 5)
			// Whether the answer came before the frost or not: the step after
			// the next finds a server that does not answer.
			_, _ = c.Step(t.Context())
			<-frozen
			c.feed.say(t, 5)
			if _, err := c.Step(t.Context()); err == nil {
				t.Error("a frozen server answered")
			}
			server.Cont(t)
			c.settle(t)
		}
		t.Logf("frozen inside COMMIT %d times: %v", rounds, c.ambiguous(t))
	})
	t.Run("killed_inside_COMMIT", func(t *testing.T) {
		c := newCommitCase(t, server, short)
		killed := make(chan struct{})
		c.proxy.Intercept(proxy.Once(func(e proxy.Event) proxy.Action {
			if e.Moment == proxy.Sent && e.Text == isCommit {
				server.Kill(t)
				close(killed)
				return proxy.Drop()
			}
			return proxy.Pass()
		}))
		c.oneStep(t, "commit_unanswered")
		<-killed
		server.Restart(t)
		found := c.settle(t)
		if found["committed"]+found["rolled_back"] != 1 {
			t.Errorf("settled as %v, want one", found)
		}
		t.Logf("killed inside COMMIT: %v", found)
	})
	for name, rule := range map[string]func(proxy.Event) proxy.Action{
		"silence_at_connecting": func(e proxy.Event) proxy.Action {
			if e.Moment == proxy.Connecting {
				return proxy.BlackHole()
			}
			return proxy.Pass()
		},
		"silence_at_the_settings":        proxy.At(proxy.Received, "SET", proxy.BlackHole()),
		"silence_at_reading_the_cursor":  proxy.At(proxy.Sent, "SELECT generation", proxy.BlackHole()),
		"silence_behind_the_cursor_step": proxy.At(proxy.Answered, "UPDATE", proxy.BlackHole()),
		"silence_inside_the_INSERT":      proxy.At(proxy.Sent, "INSERT", proxy.BlackHole()),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCommitCase(t, server, short)
			c.proxy.All(t, proxy.Drop())
			c.proxy.Intercept(proxy.Once(rule))
			wantResolutions(t, c.settle(t), resolutions{})
			if c.proxy.Count(proxy.KindBlackHole) != 1 {
				t.Error("nothing fell silent")
			}
		})
	}
}
