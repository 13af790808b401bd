package proxy

import "net"

// verdict is what becomes of a packet.
type verdict int

const (
	pass verdict = iota
	// keepBack lets a command pass and loses its response, or loses the last
	// packet of a response.
	keepBack
	// lose loses this packet and everything behind it in its direction.
	lose
	// ended is for a connection that is over.
	ended
)

// perform does what an action asks for with a packet that travels to the side
// to, and says what becomes of the packet. Only with keepBack, after is what
// has to be done when the response has come.
func (c *conn) perform(a Action, to net.Conn) (v verdict, after Action) {
	switch a.kind {
	case kindPass:
		return pass, after
	case KindSwallow:
		return keepBack, a.next(Drop())
	case KindBlackHole:
		if !c.silent.Swap(true) {
			c.proxy.count(a.kind)
		}
		return lose, after
	case KindHalfClose:
		c.proxy.count(a.kind)
		closeWrite(to)
		return lose, after
	case KindDelay:
		c.proxy.count(a.kind)
		if c.pause(a.delay) {
			return c.perform(a.next(Pass()), to)
		}
	case KindHold:
		c.proxy.count(a.kind)
		select {
		case <-a.until:
			return c.perform(a.next(Pass()), to)
		case <-c.done:
		}
	case KindClose:
		c.end(a.kind, fin)
	default:
		c.end(a.kind, rst)
	}
	return ended, after
}
