package proxy

import (
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"sidestream/internal/testkit"
)

// Proxy forwards connections to one server. Its methods are safe for
// concurrent use.
type Proxy struct {
	upstream string
	addr     string
	wg       sync.WaitGroup
	rule     atomic.Pointer[func(Event) Action]
	cut      atomic.Pointer[func(conn int) int64]
	rate     atomic.Int64

	mu       sync.Mutex
	listener net.Listener
	conns    map[*conn]struct{}
	accepted int
	counts   map[Kind]int
	closed   bool
}

// New starts a proxy to the server at upstream (host:port). It ends, with all
// its connections, at the test's end.
func New(tb testing.TB, upstream string) *Proxy {
	tb.Helper()
	p := &Proxy{upstream: upstream, conns: map[*conn]struct{}{}, counts: map[Kind]int{}}
	p.serve(testkit.Listen(tb))
	tb.Cleanup(p.close)
	return p
}

// Addr returns the address that clients connect to. It never changes.
func (p *Proxy) Addr() string { return p.addr }

// Intercept makes rule decide at every event from now on; nil lets everything
// pass. The rule is called from many goroutines at once, and what it waits for
// holds up its connection.
func (p *Proxy) Intercept(rule func(Event) Action) {
	if rule == nil {
		p.rule.Store(nil)
		return
	}
	p.rule.Store(&rule)
}

// CutAfter resets every new connection after as many bytes, of both directions
// together, as limit says for its number; a negative answer spares it. A nil
// limit spares all.
func (p *Proxy) CutAfter(limit func(conn int) (bytes int64)) {
	if limit == nil {
		p.cut.Store(nil)
		return
	}
	p.cut.Store(&limit)
}

// Throttle limits each direction of each connection to so many bytes per
// second; 0 lifts the limit.
func (p *Proxy) Throttle(bytesPerSecond int64) { p.rate.Store(bytesPerSecond) }

// Refuse closes the port to new connections (they get "connection refused") or
// opens it again. Open connections stay.
func (p *Proxy) Refuse(tb testing.TB, refuse bool) {
	tb.Helper()
	p.mu.Lock()
	listener := p.listener
	if refuse {
		p.listener = nil
	}
	p.mu.Unlock()
	switch {
	case refuse && listener != nil:
		listener.Close()
	case !refuse && listener == nil:
		l, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", p.addr)
		if err != nil {
			tb.Errorf("open the proxy's port again: %v", err)
			return
		}
		p.serve(l)
	}
}

// All does something to every open connection at once: Drop, Close or
// BlackHole. Other actions need a packet and fail the test.
func (p *Proxy) All(tb testing.TB, action Action) {
	tb.Helper()
	switch action.kind {
	case KindDrop, KindClose, KindBlackHole:
	default:
		tb.Errorf("action %q needs a packet", action.kind)
		return
	}
	for _, c := range p.open() {
		c.perform(action, nil)
	}
}

// Count returns how often something has really happened.
func (p *Proxy) Count(kind Kind) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counts[kind]
}

// Counts returns everything that has happened.
func (p *Proxy) Counts() map[Kind]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.counts)
}

// Accepted returns how many connections there have been.
func (p *Proxy) Accepted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

// Open returns how many connections there are, black holes included.
func (p *Proxy) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

func (p *Proxy) count(kind Kind) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts[kind]++
}

// ask returns the rule's answer.
func (p *Proxy) ask(e Event) Action {
	if rule := p.rule.Load(); rule != nil {
		return (*rule)(e)
	}
	return Pass()
}

func (p *Proxy) serve(l net.Listener) {
	p.mu.Lock()
	p.listener, p.addr = l, l.Addr().String()
	p.mu.Unlock()
	p.wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			p.accept(client)
		}
	})
}

func (p *Proxy) accept(client net.Conn) {
	p.mu.Lock()
	p.accepted++
	number := p.accepted
	p.mu.Unlock()
	ctx, c := p.newConn(number, client)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c] = struct{}{}
	if p.closed {
		c.end(kindPass, fin)
	}
	p.wg.Go(func() {
		c.run(ctx)
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, c)
	})
}

// open returns the connections of this moment.
func (p *Proxy) open() []*conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(maps.Keys(p.conns))
}

func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	if p.listener != nil {
		p.listener.Close()
	}
	p.mu.Unlock()
	for _, c := range p.open() {
		c.end(kindPass, fin)
	}
	p.wg.Wait()
}
