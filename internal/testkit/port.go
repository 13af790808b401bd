package testkit

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// Ports come from below the range that systems give to outgoing connections
// (32768 on Linux, 49152 elsewhere): so nobody takes the port of a server that
// is down between a kill and its restart.
const (
	firstPort = 20000
	lastPort  = 31999
)

var errNoPort = errors.New("no free port on 127.0.0.1")

// Port returns a TCP port that was free on 127.0.0.1 a moment ago. Another
// process may take it before the caller does: try again then.
func Port(tb testing.TB) int {
	tb.Helper()
	l := Listen(tb)
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		tb.Fatalf("close probe listener: %v", err)
	}
	return port
}

// Listen listens on a free port of 127.0.0.1 that no outgoing connection can
// take, so that the listener may be closed and opened again on it. The caller
// closes it.
func Listen(tb testing.TB) net.Listener {
	tb.Helper()
	var last error
	for range 200 {
		addr := fmt.Sprintf("127.0.0.1:%d", firstPort+rand.IntN(lastPort-firstPort+1)) //nolint:gosec // a port number is no secret
		l, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", addr)
		if err == nil {
			return l
		}
		last = err
	}
	tb.Fatalf("listen: %v", errors.Join(errNoPort, last))
	return nil
}
