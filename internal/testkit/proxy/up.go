package proxy

// upstream is what pumpUp knows about the packets of its direction. Only its
// goroutine touches it.
type upstream struct {
	*conn
	in *packetReader
	// greeted is set when the client's first packet has been seen.
	greeted bool
	// current is the command whose packets are not all sent yet.
	current *command
}

// pumpUp carries packets from the client to the server.
func (c *conn) pumpUp() {
	u := &upstream{conn: c, in: newPacketReader(c.client)}
	for {
		header, err := u.in.header()
		if err == nil && c.opaque.Load() {
			if c.forward(c.server, header) {
				c.copyRest(c.server, u.in.r)
			}
			return
		}
		var p packet
		if err == nil {
			p, err = u.in.body()
		}
		if err != nil {
			c.sourceEnded(c.server, err)
			return
		}
		v := lose
		if !c.silent.Load() {
			v = u.packet(p)
		}
		switch v {
		case pass:
		case lose:
			throwAway(u.in.r)
			return
		default:
			return
		}
	}
}

// packet handles one packet of the client.
func (u *upstream) packet(p packet) verdict {
	u.mu.Lock()
	ready, infile := u.ready, u.infile
	if infile && len(p.payload()) == 0 {
		u.infile = false // an empty packet ends the file
	}
	u.mu.Unlock()
	switch {
	case !ready:
		u.handshake(p)
	case u.current != nil:
		return u.carryOn(p)
	case !infile && p.sequence() == 0 && len(p.payload()) > 0:
		return u.begin(p)
	}
	return u.send(p)
}

func (u *upstream) send(p packet) verdict {
	if !u.forward(u.server, p.raw) {
		return ended
	}
	return pass
}

func (u *upstream) handshake(p packet) {
	if u.greeted {
		return
	}
	u.greeted = true
	caps := parseCapabilities(p.payload())
	u.mu.Lock()
	u.caps = caps
	u.mu.Unlock()
	if caps.tls {
		// Before the server can answer: what it sends next is no packet.
		u.opaque.Store(true)
	}
}

// begin handles the first packet of a command.
func (u *upstream) begin(p packet) verdict {
	code := p.payload()[0]
	cmd := &command{
		event: Event{Conn: u.number, Moment: Received, Command: commandName(code)},
		shape: shapeOf(code),
		sent:  make(chan struct{}),
	}
	if hasText(code) && u.proxy.rule.Load() != nil {
		cmd.event.Text = string(p.payload()[1:])
	}
	if v := u.consult(cmd); v != pass {
		return v
	}
	u.expect(cmd)
	u.current = cmd
	return u.carryOn(p)
}

// carryOn forwards a packet of the current command and, behind the last one,
// asks the rule again.
func (u *upstream) carryOn(p packet) verdict {
	if v := u.send(p); v != pass || p.continues() {
		return v
	}
	cmd := u.current
	u.current = nil
	defer close(cmd.sent)
	cmd.event.Moment = Sent
	return u.consult(cmd)
}

// consult asks the rule about a command.
func (u *upstream) consult(cmd *command) verdict {
	v, after := u.perform(u.proxy.ask(cmd.event), u.server)
	if v == keepBack {
		cmd.swallowed, cmd.after = true, after
		return pass
	}
	return v
}

// expect puts a command into the queue of those that wait for a response.
func (c *conn) expect(cmd *command) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cmd.response = response{shape: cmd.shape, caps: c.caps}
	// The protocol is half-duplex: the next command ends a response whose end
	// cannot be told otherwise.
	if len(c.waiting) > 0 && c.waiting[0].shape == shapeUnknown {
		c.waiting = c.waiting[1:]
	}
	if cmd.shape != shapeNone {
		c.waiting = append(c.waiting, cmd)
	}
}
