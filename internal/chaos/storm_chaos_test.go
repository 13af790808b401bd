//go:build chaos

package chaos_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"sidestream/internal/simulate"
	"sidestream/internal/testkit"
	"sidestream/internal/testkit/mariadb"
	"sidestream/internal/testkit/proxy"
)

const (
	// patience is how long a program may take to start or to end.
	patience = 15 * time.Second
	// afterwards is how long a storm may go on behind its duration, and margin
	// what of that is left for a failure to be told.
	afterwards, margin = time.Minute, 4 * time.Second
)

// refuse is what makes the CRM refuse some texts.
const refuse = "CREATE TRIGGER refuse_%s BEFORE %s ON messages FOR EACH ROW BEGIN IF NEW.message LIKE '%%" + refusal + "%%' THEN SIGNAL SQLSTATE '45000'; END IF; END"

// storm is everything there is. Its goroutine is the test's, and does one thing
// after the other; only the traffic has goroutines of its own.
type storm struct {
	*testing.T

	seed     uint64
	duration time.Duration
	began    time.Time

	server *mariadb.Server
	db     mariadb.DB
	// direct is a way to the CRM that no fault of the network touches.
	direct  *sql.DB
	proxy   *proxy.Proxy
	weather weather
	sites   [sources]*site
	others  strangers
	frozen  bool // the server

	counts   counts
	findings findings
	// history has a line per fault, as it came.
	history []string

	// ends are what is still to be done to end faults, in order of time.
	ends []pending
	// ticked is when progress was last printed.
	ticked time.Time

	traffic  sync.WaitGroup
	stop     context.CancelFunc
	troubles chan error
}

// pending is something that is done later.
type pending struct {
	at time.Time
	do func()
}

func newStorm(t *testing.T, seed uint64, duration time.Duration) *storm {
	t.Helper()
	for _, program := range []string{"writer", "replicator"} {
		testkit.BuildBinary(t, "sidestream/cmd/"+program) // before the clock runs
	}
	s := &storm{T: t, seed: seed, duration: duration, troubles: make(chan error, 100)}
	s.server = mariadb.Start(t)
	s.db = s.server.Database(t)
	for _, event := range []string{"INSERT", "UPDATE"} {
		s.db.Exec(t, fmt.Sprintf(refuse, event, event))
	}
	s.direct = s.db.Open(t)
	s.others.db = s.direct
	s.proxy = proxy.New(t, s.server.Addr())
	s.weather.random = rand.New(rand.NewPCG(seed, 0x3ea))
	s.proxy.Intercept(s.weather.rule)
	graph := httptest.NewServer(simulate.NewGraph(token))
	t.Cleanup(graph.Close)
	for i := range s.sites {
		s.sites[i] = newSite(t, seed, i, s.db.At(s.proxy.Addr()), graph.URL)
	}
	return s
}

// run makes the storm, from the first start to the last fault.
func (s *storm) run() {
	s.Helper()
	s.began = time.Now()
	s.ticked = s.began
	for _, site := range s.sites {
		site.startWriter(s.T)
		site.startReplicator(s.T, 0)
		// Where both sides held rows, a person would have to say where to begin.
		if err := s.eventually(patience, func() error { return site.drained(s.T, 0) }); err != nil {
			s.Fatal(err)
		}
		if site.twins {
			site.startReplicator(s.T, 1)
		}
	}
	s.begin()
	for _, f := range schedule(s.seed, s.duration) {
		at := s.began.Add(f.at)
		s.until(at)
		if f.must || time.Since(s.began) < s.duration {
			s.strike(f)
			s.watch()
		}
	}
	s.until(s.began.Add(s.duration))
	s.makeUp()
}

// makeUp gives another turn to what could not happen when its turn came: COMMIT's
// answer cannot be swallowed while the server is frozen.
func (s *storm) makeUp() {
	const turns, length = 3, 1500 * time.Millisecond
	random := rand.New(rand.NewPCG(s.seed, 0xa6a1))
	for range turns {
		for _, k := range s.counts.absent() {
			if _, fault := planned()[k]; !fault {
				continue
			}
			s.calm()
			s.crmUp()
			s.strike(fault{kind: k, source: random.IntN(sources), length: length, choice: random.Uint64()})
			s.until(time.Now().Add(length + length/5))
			s.watch()
		}
	}
}

// begin starts the traffic.
func (s *storm) begin() {
	ctx, stop := context.WithCancel(s.Context())
	s.stop = stop
	s.Cleanup(s.traffic.Wait)
	s.Cleanup(stop)
	giveUp, cancel := context.WithDeadline(s.Context(), s.began.Add(s.duration+afterwards-2*margin))
	s.Cleanup(cancel)
	talks := make([]*conversation, 0, sources)
	for _, site := range s.sites {
		talks = append(talks, site.talk)
		for lane := range lanes {
			s.traffic.Go(func() {
				if err := site.deliver(ctx, giveUp, s.seed+uint64(100*site.source+lane), &s.counts); err != nil {
					s.troubles <- err
				}
			})
		}
	}
	s.traffic.Go(func() { s.others.run(ctx, s.seed, talks, &s.counts) })
}

// until ends faults as their time comes, and prints progress.
func (s *storm) until(at time.Time) {
	for {
		next := at
		if tick := s.ticked.Add(10 * time.Second); tick.Before(next) {
			next = tick
		}
		if len(s.ends) > 0 && s.ends[0].at.Before(next) {
			next = s.ends[0].at
		}
		if err := wait(s.Context(), time.Until(next)); err != nil {
			s.Fatal(err)
		}
		now := time.Now()
		for len(s.ends) > 0 && !s.ends[0].at.After(now) {
			do := s.ends[0].do
			s.ends = s.ends[1:]
			do()
		}
		s.progress()
		if !now.Before(at) {
			return
		}
	}
}

// after does something later, or when it gets calm.
func (s *storm) after(d time.Duration, do func()) {
	p := pending{at: time.Now().Add(d), do: do}
	i, _ := slices.BinarySearchFunc(s.ends, p, func(a, b pending) int { return a.at.Compare(b.at) })
	s.ends = slices.Insert(s.ends, i, p)
}

// calm ends every fault at once.
func (s *storm) calm() {
	for len(s.ends) > 0 {
		do := s.ends[0].do
		s.ends = s.ends[1:]
		do()
	}
	s.weather.clear()
	s.proxy.CutAfter(nil)
}

// progress prints a line every ten seconds.
func (s *storm) progress() {
	if time.Since(s.ticked) < 10*time.Second {
		return
	}
	s.ticked = time.Now()
	s.say("faults %d, messages %d, edits %d, unsends %d, delivered again %d, of strangers %d", s.counts.faults(), s.counts.of(messagesSent),
		s.counts.of(editsSent), s.counts.of(unsendsSent), s.counts.of(triedAgain)+s.counts.of(redelivered), s.counts.of(strangerRows))
}

// say prints a line at once.
func (s *storm) say(format string, args ...any) {
	fmt.Fprintf(s.Output(), "%5.1fs  %s\n", time.Since(s.began).Seconds(), fmt.Sprintf(format, args...))
}

// watch notes programs that ended although nobody ended them, and starts them
// again.
func (s *storm) watch() {
	ended := func(what string, p *testkit.Process) bool {
		if p == nil {
			return false
		}
		select {
		case <-p.Done():
			code := p.Wait(s.T, patience)
			s.findings.add(programEnded, "%s, exit code %d: %s", what, code, lastLine(p.Stderr()))
			return true
		default:
			return false
		}
	}
	for _, site := range s.sites {
		if ended(fmt.Sprintf("the writer of source %d", site.source), site.writer) {
			site.writer, site.frozen = nil, false
			site.startWriter(s.T)
		}
		for i := range site.slots {
			if ended(fmt.Sprintf("replicator %d of source %d", i, site.source), site.slots[i].process) {
				site.slots[i].process = nil
				site.startReplicator(s.T, i)
			}
		}
	}
	for {
		select {
		case err := <-s.troubles:
			s.findings.add(programFailed, "%v", err)
		default:
			return
		}
	}
}

// crmUp has the server running and awake.
func (s *storm) crmUp(args ...string) {
	if !s.server.Running() {
		s.server.Restart(s.T, args...)
		s.frozen = false
	}
	if s.frozen {
		s.server.Cont(s.T)
		s.frozen = false
	}
}
