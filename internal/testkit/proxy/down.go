package proxy

// downstream is what pumpDown knows about the packets of its direction. Only
// its goroutine touches it.
type downstream struct {
	*conn
	in *packetReader
	// greeted is set when the server's greeting has been seen.
	greeted bool
	// partial is set while the payload of the packet before goes on, and lost
	// tells what became of that packet.
	partial, lost bool
}

// pumpDown carries packets from the server to the client.
func (c *conn) pumpDown() {
	d := &downstream{conn: c, in: newPacketReader(c.server)}
	for {
		header, err := d.in.header()
		if err == nil && c.opaque.Load() {
			if c.forward(c.client, header) {
				c.copyRest(c.client, d.in.r)
			}
			return
		}
		var p packet
		if err == nil {
			p, err = d.in.body()
		}
		if err != nil {
			c.sourceEnded(c.client, err)
			return
		}
		v := lose
		if !c.silent.Load() {
			v = d.packet(p)
		}
		switch v {
		case pass:
		case lose:
			throwAway(d.in.r)
			return
		default:
			return
		}
	}
}

// packet handles one packet of the server.
func (d *downstream) packet(p packet) verdict {
	partial := d.partial
	d.partial = p.continues()
	if partial {
		if d.lost {
			return pass
		}
		return d.send(p)
	}
	d.lost = false
	d.mu.Lock()
	ready := d.ready
	var cmd *command
	if len(d.waiting) > 0 {
		cmd = d.waiting[0]
	}
	d.mu.Unlock()
	switch {
	case !ready:
		d.handshake(p)
		return d.send(p)
	case cmd == nil:
		// A server that shuts down or gives up on an idle client says so unasked.
		return d.send(p)
	}
	select {
	case <-cmd.sent:
		if d.silent.Load() {
			return lose
		}
		return d.response(cmd, p)
	case <-d.done:
		return ended
	}
}

func (d *downstream) send(p packet) verdict {
	if !d.forward(d.client, p.raw) {
		return ended
	}
	return pass
}

func (d *downstream) handshake(p packet) {
	if !d.greeted {
		d.greeted = true
		return
	}
	if data := p.payload(); len(data) == 0 || data[0] != byteOK {
		return
	}
	d.mu.Lock()
	d.ready = true
	compressed := d.caps.compressed
	d.mu.Unlock()
	if compressed {
		d.opaque.Store(true)
	}
}

// response handles one packet of a command's response.
func (d *downstream) response(cmd *command, p packet) verdict {
	last := cmd.response.feed(p)
	d.mu.Lock()
	d.infile = cmd.response.infile && !last
	if last {
		d.waiting = d.waiting[1:]
	}
	d.mu.Unlock()
	d.lost = cmd.swallowed
	if !last {
		if cmd.swallowed {
			return pass
		}
		return d.send(p)
	}
	if cmd.swallowed {
		return d.swallow(cmd.after)
	}
	event := cmd.event
	event.Moment, event.ToClient, event.ErrorNumber = Answered, true, cmd.response.errorNumber
	switch v, after := d.perform(d.proxy.ask(event), d.client); v {
	case pass:
		return d.send(p)
	case keepBack:
		return d.swallow(after)
	default:
		return v
	}
}

// swallow counts a complete response that is not delivered, and does what
// comes after it.
func (d *downstream) swallow(after Action) verdict {
	d.proxy.count(KindSwallow)
	v, _ := d.perform(after, d.client)
	if v == keepBack {
		return pass // a response cannot be swallowed twice
	}
	return v
}
