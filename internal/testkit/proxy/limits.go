package proxy

import (
	"math"
	"net"
	"time"
)

// throttleSteps is into how many writes a second's bytes are split.
const throttleSteps = 50

// forward writes data to one side, as slowly and as far as the modes allow.
// It tells whether the connection goes on.
func (c *conn) forward(to net.Conn, data []byte) bool {
	if c.silent.Load() {
		return true
	}
	before := c.left.Add(-int64(len(data))) + int64(len(data))
	if before <= 0 {
		<-c.done // the other direction has used the budget up and ends it all
		return false
	}
	if before > int64(len(data)) {
		return c.write(to, data)
	}
	if c.write(to, data[:before]) {
		c.end(KindCut, rst)
	}
	return false
}

func (c *conn) write(to net.Conn, data []byte) bool {
	for len(data) > 0 {
		step := len(data)
		rate := c.proxy.rate.Load()
		if rate > 0 {
			step = min(step, int(max(1, rate/throttleSteps)))
		}
		if _, err := to.Write(data[:step]); err != nil {
			// The other side is gone, and so is what it had not read: a reset.
			c.end(kindPass, rst)
			return false
		}
		data = data[step:]
		if rate > 0 && !c.pause(time.Duration(step)*time.Second/time.Duration(rate)) {
			return false
		}
	}
	return true
}

// pause tells whether the connection is still there after d.
func (c *conn) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.done:
		return false
	}
}

// budget is what CutAfter allows a new connection.
func (p *Proxy) budget(conn int) int64 {
	if limit := p.cut.Load(); limit != nil {
		if n := (*limit)(conn); n >= 0 {
			return n
		}
	}
	return math.MaxInt64
}
