package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// conn is one client's connection with its twin to the server. Two goroutines
// pump packets, one per direction; a third one, run, waits for them.
type conn struct {
	proxy  *Proxy
	number int
	client net.Conn
	// done is closed when the connection is over, whichever way.
	done   <-chan struct{}
	cancel context.CancelFunc
	once   sync.Once
	// silent is set for a black hole: nothing is written any more.
	silent atomic.Bool
	// opaque is set where bytes are not packets of the protocol any more.
	opaque atomic.Bool
	// left is how many bytes CutAfter leaves.
	left atomic.Int64

	mu     sync.Mutex
	server net.Conn // nil until dialled; not changed while the pumps run
	caps   capabilities
	// ready is set when the server has let the client in.
	ready bool
	// infile is set while the client sends a file instead of commands.
	infile bool
	// waiting are the commands without a complete response, oldest first.
	waiting []*command
}

// command is a command and what is to become of its response.
type command struct {
	event Event
	shape shape
	// sent is closed when the rule has spoken at the moment Sent: the response
	// is not looked at before.
	sent     chan struct{}
	response response
	// swallowed is set before sent is closed: the response is not delivered, and
	// after is what follows then.
	swallowed bool
	after     Action
}

func (p *Proxy) newConn(number int, client net.Conn) (context.Context, *conn) {
	ctx, cancel := context.WithCancel(context.Background())
	c := &conn{proxy: p, number: number, client: client, done: ctx.Done(), cancel: cancel}
	c.left.Store(p.budget(number))
	return ctx, c
}

func (c *conn) run(ctx context.Context) {
	defer c.end(kindPass, fin)
	switch v, _ := c.perform(c.proxy.ask(Event{Conn: c.number, Moment: Connecting}), c.client); v {
	case pass:
		if !c.dial(ctx) {
			return
		}
		var pumps sync.WaitGroup
		pumps.Go(c.pumpUp)
		pumps.Go(c.pumpDown)
		pumps.Wait()
	case lose:
		throwAway(c.client)
	default:
		return
	}
	if c.silent.Load() {
		// Both sides may be gone; a black hole does not tell them of each other.
		<-c.done
	}
}

// dial connects to the server. A client whose server cannot be reached is
// reset.
func (c *conn) dial(ctx context.Context) bool {
	server, err := new(net.Dialer).DialContext(ctx, "tcp", c.proxy.upstream)
	if err != nil {
		c.end(KindDialError, rst)
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if ctx.Err() != nil {
		server.Close()
		return false
	}
	c.server = server
	return true
}

// ending is how both sides of a connection are closed.
type ending bool

const (
	fin ending = false
	rst ending = true
)

// end closes both sides, and counts kind, if it is one, where this call is the
// one that does it.
func (c *conn) end(kind Kind, how ending) {
	c.once.Do(func() {
		if kind != kindPass {
			c.proxy.count(kind)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.cancel()
		for _, side := range []net.Conn{c.client, c.server} {
			if side == nil {
				continue
			}
			if tcp, ok := side.(*net.TCPConn); ok && how == rst {
				_ = tcp.SetLinger(0)
			}
			side.Close()
		}
	})
}

// sourceEnded passes the end of one side's data on to the other.
func (c *conn) sourceEnded(to net.Conn, err error) {
	switch {
	case c.silent.Load():
	case errors.Is(err, io.EOF):
		closeWrite(to)
	default:
		c.end(kindPass, rst)
	}
}

// copyRest carries bytes that are not looked at.
func (c *conn) copyRest(to net.Conn, r io.Reader) {
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		if n > 0 && !c.forward(to, buf[:n]) {
			return
		}
		if err != nil {
			c.sourceEnded(to, err)
			return
		}
	}
}

// closeWrite sends a FIN.
func closeWrite(to net.Conn) {
	if half, ok := to.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}

// throwAway reads a direction to its end, so that its sender notices nothing.
func throwAway(r io.Reader) { _, _ = io.Copy(io.Discard, r) }
