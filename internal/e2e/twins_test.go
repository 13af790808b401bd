package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sidestream/internal/simulate"
	"sidestream/internal/testkit"
	"sidestream/internal/testkit/mariadb"
	"sidestream/internal/testkit/proxy"
)

// twin is a host's replicator process: a rig with listeners, a database file
// and a way to the CRM of its own.
type twin struct {
	*rig
	env []string
	*testkit.Process
}

// newTwin prepares another replicator beside a rig's.
func newTwin(t *testing.T, r *rig, path, address string) *twin {
	t.Helper()
	host := *r
	host.replicatorOps = fmt.Sprintf("127.0.0.1:%d", testkit.Port(t))
	return &twin{rig: &host, env: []string{
		"SIDESTREAM_REPLICATOR_LISTEN=" + host.replicatorOps, "SIDESTREAM_DATABASE_PATH=" + path, "SIDESTREAM_CRM_ADDRESSES=" + address,
		"SIDESTREAM_CRM_CONNECT_TIMEOUT=1s", "SIDESTREAM_CRM_READ_TIMEOUT=2s", "SIDESTREAM_CRM_WRITE_TIMEOUT=2s", "SIDESTREAM_REPLICATOR_BATCH_ROWS=10",
		"SIDESTREAM_SOURCE_POLL_INTERVAL=100ms",
	}}
}

func (w *twin) run(t *testing.T, args ...string) *testkit.Process {
	t.Helper()
	return testkit.StartProcess(t, testkit.ProcessOptions{
		Path: testkit.BuildBinary(t, "sidestream/cmd/replicator"), Args: append(args, "-c", w.config), Env: w.env, Dir: w.dir,
	})
}

func (w *twin) begin(t *testing.T) {
	t.Helper()
	w.Process = w.run(t)
}

// reached waits until the twin stands at the end of what was fed.
func (w *twin) reached(t *testing.T, position int64) {
	t.Helper()
	testkit.EventuallyNil(t, patient, func() error {
		s, err := w.status(t)
		if err == nil && (s.Position != position || !s.CursorKnown || s.Reason != "") {
			err = fmt.Errorf("state %s %s, position %d, want %d", s.State, s.Reason, s.Position, position)
		}
		return err
	}, "at the end of the source")
}

// TestTwins_on_one_file runs two replicators of one file under load, kills them
// and freezes them at random.
func TestTwins_on_one_file(t *testing.T) {
	const rounds = 10
	server := mariadb.Shared(t)
	r := newRig(t, server.Database(t))
	f := newFeedAt(t, filepath.Join(r.dir, "messages.db"))
	twins := []*twin{newTwin(t, r, f.path, r.db.Addr), newTwin(t, r, f.path, r.db.Addr)}
	for _, w := range twins {
		w.begin(t)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	fed := make(chan error, 1)
	go func() {
		random := rand.New(rand.NewPCG(3, 3))
		for ctx.Err() == nil {
			if err := f.mixed(context.WithoutCancel(ctx), 1+random.IntN(10), random.IntN); err != nil {
				fed <- err
				return
			}
			_ = wait(ctx, 2*time.Millisecond)
		}
		fed <- nil
	}()
	random := rand.New(rand.NewPCG(4, 4))
	kills, freezes := 0, 0
	for range rounds {
		w := twins[random.IntN(2)]
		before := f.head()
		testkit.Eventually(t, patient, func() bool { return f.head() > before+50 }, "further changes stored")
		if err := wait(t.Context(), time.Duration(random.IntN(30_000))*time.Microsecond); err != nil {
			t.Fatal(err)
		}
		if random.IntN(2) == 0 {
			kills++
			w.Kill(t)
			w.Wait(t, patient)
			w.begin(t)
			continue
		}
		freezes++
		w.Stop(t)
		// Longer than the CRM lets anybody wait for a row.
		if err := wait(t.Context(), 2500*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		w.Cont(t)
	}
	stop()
	if err := <-fed; err != nil {
		t.Fatal(err)
	}
	for _, w := range twins {
		w.reached(t, f.head())
	}
	sums := f.wantAll(t, r.db)
	t.Logf("two replicators, SIGKILLs %d, SIGSTOPs of 2.5s %d: changes %d, %v", kills, freezes, f.head(), sums)
	for _, w := range twins {
		w.Term(t)
		w.WantExit(t, patient, 0)
	}
}

// TestTwins_frozen_inside_a_transaction freezes one of two replicators at an
// exact moment of its transaction, until the server has ended it and the other
// one has gone on.
func TestTwins_frozen_inside_a_transaction(t *testing.T) {
	t.Parallel()
	server := mariadb.Start(t, mariadb.Args("--idle-transaction-timeout=1"))
	for name, tc := range map[string]struct {
		moment proxy.Moment
		prefix string
		// late lets the packet go on only after the other one has taken over.
		late bool
	}{
		"before_its_first_step":                   {moment: proxy.Received, prefix: "START TRANSACTION"},
		"with_the_cursor_moved":                   {moment: proxy.Answered, prefix: "UPDATE"},
		"with_the_rows_inserted":                  {moment: proxy.Answered, prefix: "INSERT"},
		"with_COMMIT_on_its_way":                  {moment: proxy.Received, prefix: isCommit},
		"with_COMMIT_answered":                    {moment: proxy.Answered, prefix: isCommit},
		"and_its_COMMIT_arrives_after_the_others": {moment: proxy.Received, prefix: isCommit, late: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, server.Database(t))
			f := newFeedAt(t, filepath.Join(r.dir, "messages.db"))
			between := proxy.New(t, server.Addr())
			frozen, other := newTwin(t, r, f.path, between.Addr()), newTwin(t, r, f.path, r.db.Addr)
			f.say(t, 20)
			frozen.begin(t)
			frozen.reached(t, f.head())

			there, release := make(chan struct{}), make(chan struct{})
			between.Intercept(proxy.Once(func(e proxy.Event) proxy.Action {
				a := proxy.At(tc.moment, tc.prefix, proxy.Hold(release))(e)
				if a != proxy.Pass() {
					close(there)
				}
				return a
			}))
			f.say(t, 50)
			select {
			case <-there:
			case <-time.After(patient):
				t.Fatal("the moment did not come")
			}
			frozen.Stop(t)
			if !tc.late {
				close(release)
			}
			other.begin(t)
			other.reached(t, f.head())
			f.say(t, 30)
			other.reached(t, f.head())
			if tc.late {
				close(release)
			}
			f.wantAll(t, r.db)
			frozen.Cont(t)
			f.say(t, 30)
			for _, w := range []*twin{frozen, other} {
				w.reached(t, f.head())
			}
			sums := f.wantAll(t, r.db)
			t.Logf("%v", sums)
		})
	}
}

// TestTwins_with_copies_of_one_file runs two hosts that both go on from a copy
// of one file, into one CRM under one source name.
func TestTwins_with_copies_of_one_file(t *testing.T) {
	t.Parallel()
	r := newRig(t, mariadb.Shared(t).Database(t))
	here := newFeedAt(t, filepath.Join(r.dir, "messages.db"))
	here.say(t, 50)
	if err := os.Mkdir(filepath.Join(r.dir, "copy"), 0o700); err != nil {
		t.Fatal(err)
	}
	// Both go on: what a load balancer gives to two receivers.
	there := here.clone(t, filepath.Join(r.dir, "copy", "messages.db"), "other message", "9")
	first, second := newTwin(t, r, here.path, r.db.Addr), newTwin(t, r, there.path, r.db.Addr)
	first.begin(t)
	second.begin(t)
	first.reached(t, 50)
	second.reached(t, 50)
	here.say(t, 10)
	first.reached(t, 60)
	there.say(t, 15)

	blocked := second.waitState(t, "blocked", "source_diverged")
	if !strings.Contains(blocked.Hint, "replicator cursor resume") {
		t.Errorf("the hint is %q", blocked.Hint)
	}
	here.wantAll(t, r.db)
	here.say(t, 10)
	first.reached(t, 70)
	here.wantAll(t, r.db)
	second.waitState(t, "blocked", "source_diverged")
	t.Logf("the second host: blocked, source_diverged; next: %s", blocked.Hint)

	resume := second.run(t, "cursor", "resume")
	resume.WantExit(t, patient, 0)
	t.Logf("replicator cursor resume: %s", strings.TrimSpace(resume.Stdout()))
	if !strings.Contains(resume.Stdout(), "behind position 50,") || !strings.Contains(resume.Stdout(), "15 positions of the file follow") {
		t.Errorf("the answer does not name the position up to which both copies agree: %s", resume.Stdout())
	}
	second.reached(t, 65)
	want := append(here.rows[:70:70], there.rows[50:]...)
	sums := simulate.Compare(want, crmRows(t, r.db))
	if !sums.Clean() {
		t.Errorf("after the decision for the second host: %v", sums)
	}
	first.waitState(t, "blocked", "source_diverged")
	t.Logf("after the decision the second host goes on and the first is blocked: %v", sums)
}
