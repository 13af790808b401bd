//go:build chaos

package chaos_test

import (
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"sidestream/internal/testkit/proxy"
)

// weather decides what the proxy does to the connections with the CRM.
type weather struct {
	mu     sync.Mutex
	random *rand.Rand
	// swallow is how many answers to COMMIT are still to be swallowed.
	swallow int
	// cuts are places at which a connection is still to be cut.
	cuts []cut
	// made counts the cuts.
	made int
	// delay is the longest by which packets are delayed now.
	delay time.Duration
	// hole is true while new connections fall silent.
	hole bool
}

// cut is a moment of a command at which a connection ends.
type cut struct {
	moment proxy.Moment
	prefix string
	action proxy.Action
}

func (w *weather) rule(e proxy.Event) proxy.Action {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e.Moment == proxy.Connecting {
		if w.hole {
			return proxy.BlackHole()
		}
		return proxy.Pass()
	}
	if w.swallow > 0 && e.Moment == proxy.Answered && strings.EqualFold(e.Text, "COMMIT") {
		w.swallow--
		ends := []proxy.Action{proxy.Drop(), proxy.Close(), proxy.Pass()}
		return proxy.SwallowResponse().Then(ends[w.random.IntN(len(ends))])
	}
	if len(w.cuts) > 0 {
		if next := w.cuts[0]; next.moment == e.Moment && strings.HasPrefix(e.Text, next.prefix) {
			w.cuts = w.cuts[1:]
			w.made++
			return next.action
		}
	}
	if w.delay > 0 && w.random.IntN(3) == 0 {
		return proxy.Delay(time.Duration(w.random.Int64N(int64(w.delay))))
	}
	return proxy.Pass()
}

// plan adds cuts at random places.
func (w *weather) plan(n int, choice uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	random := rand.New(rand.NewPCG(choice, 1))
	moments := []proxy.Moment{proxy.Received, proxy.Sent, proxy.Answered}
	prefixes := []string{"COMMIT", "COMMIT", "UPDATE", "INSERT", "START", "SELECT", ""}
	actions := []proxy.Action{proxy.Drop(), proxy.Close(), proxy.HalfClose()}
	for range n {
		w.cuts = append(w.cuts, cut{
			moment: moments[random.IntN(len(moments))], prefix: prefixes[random.IntN(len(prefixes))], action: actions[random.IntN(len(actions))],
		})
	}
}

func (w *weather) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

// clear ends all of it. It returns how many cuts were made.
func (w *weather) clear() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.swallow, w.cuts, w.delay, w.hole = 0, nil, 0, false
	return w.made
}
