package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sidestream/internal/mysql"
	"sidestream/internal/testkit"
	"sidestream/internal/testkit/mariadb"
	"sidestream/internal/testkit/proxy"
	"sidestream/replicator"
)

const (
	// everydayCuts is how many cuts an ordinary run makes; SIDESTREAM_CUTS asks
	// for another number.
	everydayCuts = 300
	// enoughCuts is from how many on every resolution must have come up.
	enoughCuts = 3000
	// everydaySeed decides where; SIDESTREAM_SEED asks for another one.
	everydaySeed = 20_261_123
)

// cutter decides where each connection of a proxy is cut: half of them after a
// random number of bytes, half at a random moment of a random command, because
// COMMIT is few bytes among many.
type cutter struct {
	proxy *proxy.Proxy

	mu     sync.Mutex
	random *rand.Rand
	// plans holds, by connection, at which moment of which command it is cut.
	plans map[int]*cutPlan
	// at counts the cuts inside a command by the command's first word.
	at map[string]int
}

type cutPlan struct {
	commands int
	moment   proxy.Moment
	action   proxy.Action
}

// Of a connection's bytes and commands before it is idle, about so many belong
// to setting it up and reading the cursor, and about so many to one batch.
const (
	setupBytes, batchBytes       = 5000, 2500
	setupCommands, batchCommands = 20, 9
)

func newCutter(t *testing.T, upstream string, seed, stream uint64) *cutter {
	t.Helper()
	c := &cutter{proxy: proxy.New(t, upstream), random: rand.New(rand.NewPCG(seed, stream)), plans: map[int]*cutPlan{}, at: map[string]int{}}
	c.proxy.CutAfter(c.bytes)
	c.proxy.Intercept(c.rule)
	return c
}

// bytes draws the fate of a new connection.
func (c *cutter) bytes(conn int) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	batches := c.random.IntN(5)
	if c.random.IntN(2) == 0 {
		return c.random.Int64N(int64(setupBytes + batches*batchBytes))
	}
	moments := []proxy.Moment{proxy.Received, proxy.Sent, proxy.Answered}
	actions := []proxy.Action{proxy.Drop(), proxy.Close(), proxy.HalfClose()}
	c.plans[conn] = &cutPlan{
		commands: c.random.IntN(setupCommands + batches*batchCommands),
		moment:   moments[c.random.IntN(len(moments))],
		action:   actions[c.random.IntN(len(actions))],
	}
	return -1
}

func (c *cutter) rule(e proxy.Event) proxy.Action {
	c.mu.Lock()
	defer c.mu.Unlock()
	plan := c.plans[e.Conn]
	if plan == nil || e.Moment != plan.moment {
		return proxy.Pass()
	}
	plan.commands--
	if plan.commands >= 0 {
		return proxy.Pass()
	}
	delete(c.plans, e.Conn)
	word := e.Command
	if e.Text != "" {
		word, _, _ = strings.Cut(e.Text, " ")
	}
	c.at[word+" "+string(e.Moment)]++
	return plan.action
}

// cuts is how many connections were really cut.
func (c *cutter) cuts() int {
	n := 0
	for _, kind := range []proxy.Kind{proxy.KindCut, proxy.KindDrop, proxy.KindClose, proxy.KindHalfClose} {
		n += c.proxy.Count(kind)
	}
	return n
}

func (c *cutter) stop() {
	c.proxy.CutAfter(nil)
	c.proxy.Intercept(nil)
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.plans)
}

// TestShowCuts cuts the connections of two replicators of one file at random
// points of the protocol, under load.
func TestShowCuts(t *testing.T) {
	wanted, seed := number(t, "SIDESTREAM_CUTS", everydayCuts), uint64(number(t, "SIDESTREAM_SEED", everydaySeed))
	server := mariadb.Shared(t)
	db, f := server.Database(t), newFeed(t)
	cutters := []*cutter{newCutter(t, server.Addr(), seed, 1), newCutter(t, server.Addr(), seed, 2)}
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	var loops []*loop
	for _, c := range cutters {
		l := startLoop(t, ctx, &running, f.path, db.At(c.proxy.Addr()))
		loops = append(loops, l)
	}
	load := make(chan error, 1)
	loadCtx, endLoad := context.WithCancel(ctx)
	running.Go(func() { load <- keepBehind(loadCtx, f, seed, loops) })

	started := time.Now()
	cuts := func() int { return cutters[0].cuts() + cutters[1].cuts() }
	testkit.EventuallyNil(t, 10*time.Minute, func() error {
		notBlocked(t, loops...)
		if n := cuts(); n < wanted {
			return fmt.Errorf("%d cuts", n)
		}
		return nil
	}, "cut often enough")
	took := time.Since(started)
	for _, c := range cutters {
		c.stop()
	}
	endLoad()
	if err := <-load; err != nil {
		t.Fatal(err)
	}
	testkit.EventuallyNil(t, patient, func() error {
		notBlocked(t, loops...)
		for _, l := range loops {
			if s := l.State(); s.Cursor.Position != f.head() || s.Failure != nil {
				return fmt.Errorf("phase %s at position %d of %d", s.Phase, s.Cursor.Position, f.head())
			}
		}
		return nil
	}, "drained")
	stop()
	running.Wait()

	sums := f.wantAll(t, db)
	found := resolutions{}
	for _, l := range loops {
		for resolution, n := range l.ambiguous(t) {
			found[resolution] += n
		}
	}
	for _, resolution := range []string{"committed", "rolled_back", "superseded"} {
		if found[resolution] == 0 && wanted >= enoughCuts {
			t.Errorf("no ambiguous COMMIT was settled as %s", resolution)
		}
	}
	t.Logf("%d cuts in %v (seed %d): by the byte %d, reset %d, closed %d, half closed %d; %d connections", cuts(), took.Round(time.Second), seed,
		total(cutters, proxy.KindCut), total(cutters, proxy.KindDrop), total(cutters, proxy.KindClose), total(cutters, proxy.KindHalfClose),
		cutters[0].proxy.Accepted()+cutters[1].proxy.Accepted())
	t.Logf("ambiguous COMMITs: committed %d, rolled back %d, superseded %d", found["committed"], found["rolled_back"], found["superseded"])
	t.Logf("changes %d, messages %d, in the CRM %d: missing %d, doubled %d, unexpected %d, reordered %d",
		f.head(), sums.Expected, sums.Got, sums.Missing, sums.Doubled, sums.Unexpected, sums.Reordered)
	for i, c := range cutters {
		t.Logf("replicator %d: cut inside commands %v", i+1, c.at)
	}
}

// number reads a number from the environment.
func number(tb testing.TB, name string, fallback int) int {
	tb.Helper()
	text := os.Getenv(name)
	if text == "" {
		return fallback
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		tb.Fatalf("%s: %v", name, err)
	}
	return n
}

// notBlocked fails the test where a loop waits for a person.
func notBlocked(t *testing.T, loops ...*loop) {
	t.Helper()
	for i, l := range loops {
		if s := l.State(); s.Phase == replicator.Stuck {
			t.Fatalf("replicator %d is blocked: %v", i+1, s.Failure)
		}
	}
}

func total(cutters []*cutter, kind proxy.Kind) (n int) {
	for _, c := range cutters {
		n += c.proxy.Count(kind)
	}
	return n
}

// startLoop runs a loop that looks for work every few milliseconds.
func startLoop(t *testing.T, ctx context.Context, running *sync.WaitGroup, path string, db mariadb.DB, change ...func(*mysql.Options, *replicator.Options)) *loop {
	t.Helper()
	wakeups := make(chan struct{})
	l := newLoop(t, path, db, append(change, func(_ *mysql.Options, o *replicator.Options) {
		o.Wakeups, o.IdleReload, o.BatchRows = wakeups, 50*time.Millisecond, 20
	})...)
	running.Go(func() {
		if err := l.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	running.Go(func() {
		ticker := time.NewTicker(2 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			select {
			case <-ctx.Done():
				return
			case wakeups <- struct{}{}:
			}
		}
	})
	return l
}

// keepBehind stores deliveries so that there is always something to apply and
// the backlog stays short.
func keepBehind(ctx context.Context, f *feed, seed uint64, loops []*loop) error {
	random := rand.New(rand.NewPCG(seed, 0))
	for ctx.Err() == nil {
		position := int64(0)
		for _, l := range loops {
			position = max(position, l.State().Cursor.Position)
		}
		if f.head()-position > 100 {
			_ = wait(ctx, time.Millisecond)
			continue
		}
		if err := f.mixed(context.WithoutCancel(ctx), 1+random.IntN(30), random.IntN); err != nil {
			return err
		}
	}
	return nil
}
