//go:build chaos

package chaos_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"sidestream/internal/testkit/proxy"
)

// strike does what a fault says, where that is possible at the moment, and
// counts it where it has really happened.
func (s *storm) strike(f fault) {
	site := s.sites[f.source]
	s.history = append(s.history, fmt.Sprintf("%7.3fs  %s, source %d, slot %d, %v, choice %d", time.Since(s.began).Seconds(), f.kind, f.source, f.slot, f.length, f.choice))
	switch f.kind {
	case replicatorKilled, replicatorTerminated, replicatorFrozen:
		s.replicator(site, f)
	case replicatorDoubled:
		s.double(s.sites[0], f) // the other one has twins anyway
	case writerKilled, writerTerminated, writerFrozen:
		s.writer(site, f)
	case crmKilled, crmFrozen, serverZone:
		s.crm(f)
	case senderClock:
		site.talk.step(f.choice)
		s.counts.add(f.kind, 1)
	case hostClock:
		s.hostClock(site, f)
	case sourceMoved:
		s.move(site, f)
	case sourceRestored:
		s.restore(site, f)
	case personErased:
		s.erase(site, f)
	default:
		s.network(f)
	}
}

func (s *storm) replicator(site *site, f fault) {
	slot := site.running(f.slot)
	if slot == nil {
		site.startReplicator(s.T, 0)
		slot = &site.slots[0]
	}
	p := slot.process
	s.ask(slot)
	again := 0
	if site.twins && slot == &site.slots[1] {
		again = 1
	}
	restart := func() { site.startReplicator(s.T, again) }
	switch f.kind {
	case replicatorKilled:
		p.Kill(s.T)
		if p.Wait(s.T, patience) == -1 {
			s.counts.add(f.kind, 1)
		}
		slot.process, slot.frozen = nil, false
		s.after(f.length/4, restart)
	case replicatorTerminated:
		slot.thaw(s.T)
		p.WaitOutput(s.T, patience, `"msg"`) // before that it is no program yet
		p.Term(s.T)
		if code := p.Wait(s.T, patience); code != 0 {
			s.findings.add(programFailed, "source %d: a replicator that was asked to end: exit code %d: %s", site.source, code, lastLine(p.Stderr()))
		}
		s.counts.add(f.kind, 1)
		slot.process = nil
		s.after(f.length/4, restart)
	default:
		if slot.frozen {
			return
		}
		p.Stop(s.T)
		slot.frozen = true
		s.counts.add(f.kind, 1)
		length := f.length
		if f.choice%3 == 0 {
			length = 3500 * time.Millisecond // longer than every timeout
		}
		s.after(length, func() {
			if slot.process == p {
				slot.thaw(s.T)
			}
		})
	}
}

// ask reads how the COMMITs in doubt were settled from a replicator that is about
// to end, or be frozen: what it does not say again is forgotten.
func (s *storm) ask(slot *slot) {
	if slot.process == nil || slot.frozen {
		return
	}
	text, err := get(slot.listen, "/metrics")
	if err != nil {
		return // it has just been started
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, `sidestream_replicator_ambiguous_commits_total{resolution="committed"} `); ok {
			n := int(number(value))
			s.counts.add(foundCommitted, n-slot.settled)
			slot.settled = n
		}
	}
}

// double runs a second replicator on the same file for a while.
func (s *storm) double(site *site, f fault) {
	slot := &site.slots[1]
	if slot.process != nil {
		return
	}
	site.startReplicator(s.T, 0)
	site.startReplicator(s.T, 1)
	p := slot.process
	s.after(time.Second+8*f.length, func() {
		if slot.process != p {
			return // it was killed meanwhile
		}
		s.counts.add(f.kind, 1)
		slot.thaw(s.T)
		s.ask(slot)
		if f.choice%2 == 0 {
			p.Kill(s.T)
		} else {
			p.Term(s.T)
		}
		p.Wait(s.T, patience)
		slot.process = nil
	})
}

func (s *storm) writer(site *site, f fault) {
	if f.kind == writerFrozen && site.frozen {
		return
	}
	site.startWriter(s.T)
	p := site.writer
	s.counts.add(f.kind, 1)
	switch f.kind {
	case writerFrozen:
		p.Stop(s.T)
		site.frozen = true
		length := f.length
		if f.choice%3 == 0 {
			length = 5500 * time.Millisecond // longer than Instagram waits for an answer
		}
		s.after(length, func() {
			if site.writer == p {
				site.thawWriter(s.T)
			}
		})
		return
	case writerTerminated:
		site.stopWriter(s.T)
	default:
		p.Kill(s.T)
		if code := p.Wait(s.T, patience); code != -1 {
			s.findings.add(programEnded, "the writer of source %d, exit code %d", site.source, code)
		}
		site.writer = nil
	}
	s.after(f.length/4, func() { site.startWriter(s.T) })
}

func (s *storm) crm(f fault) {
	zone := fmt.Sprintf("%+03d:00", int(f.choice%20)-9)
	switch {
	case !s.server.Running():
	case f.kind == crmKilled:
		s.server.Kill(s.T)
		s.frozen = false
		s.counts.add(f.kind, 1)
		s.after(f.length/2, func() { s.crmUp("--default-time-zone=" + zone) })
	case s.frozen:
	case f.kind == crmFrozen:
		s.server.Stop(s.T)
		s.frozen = true
		s.counts.add(f.kind, 1)
		s.after(f.length, func() {
			if s.frozen && s.server.Running() {
				s.server.Cont(s.T)
				s.frozen = false
			}
		})
	default:
		if _, err := s.server.TryText(s.T, "SELECT 1"); err != nil {
			return
		}
		s.server.Exec(s.T, "SET GLOBAL time_zone = '"+zone+"'")
		s.counts.add(f.kind, 1)
	}
}

// network does something to the connections with the CRM.
func (s *storm) network(f fault) {
	before := s.proxy.Counts()
	happened := func(kinds ...proxy.Kind) {
		for _, k := range kinds {
			s.counts.add(f.kind, s.proxy.Count(k)-before[k])
		}
	}
	switch f.kind {
	case connectionsReset:
		s.proxy.All(s.T, proxy.Drop())
		happened(proxy.KindDrop)
	case connectionsRefused:
		s.proxy.Refuse(s.T, true)
		s.proxy.All(s.T, proxy.Drop())
		s.counts.add(f.kind, 1)
		s.after(f.length, func() { s.proxy.Refuse(s.T, false) })
	case cutByTheByte:
		random := rand.New(rand.NewPCG(f.choice, 2))
		limits := make([]int64, 64)
		for i := range limits {
			limits[i] = random.Int64N(9000)
		}
		s.proxy.CutAfter(func(conn int) int64 { return limits[conn%len(limits)] })
		s.proxy.All(s.T, proxy.Drop())
		s.after(f.length, func() { s.proxy.CutAfter(nil); happened(proxy.KindCut) })
	case cutInCommand:
		made := 0
		s.weather.set(func() { made = s.weather.made })
		s.weather.plan(3, f.choice)
		s.after(f.length, func() {
			s.weather.set(func() {
				s.weather.cuts = nil
				s.counts.add(f.kind, s.weather.made-made)
			})
		})
	case answersDelayed:
		s.weather.set(func() { s.weather.delay = 20*time.Millisecond + f.length/4 })
		s.after(f.length, func() { s.weather.set(func() { s.weather.delay = 0 }); happened(proxy.KindDelay) })
	case commitSwallowed:
		s.weather.set(func() { s.weather.swallow = 3 })
		s.after(f.length, func() { s.weather.set(func() { s.weather.swallow = 0 }); happened(proxy.KindSwallow) })
	case blackHole:
		s.weather.set(func() { s.weather.hole = true })
		s.proxy.All(s.T, proxy.BlackHole())
		// In the end the network is back, and says that it knows nothing of those
		// connections. Until then the server keeps the locks of their transactions.
		s.after(f.length, func() {
			s.weather.set(func() { s.weather.hole = false })
			happened(proxy.KindBlackHole)
			s.proxy.All(s.T, proxy.Drop())
		})
	}
}

// erase erases somebody while the writer runs and others talk.
func (s *storm) erase(site *site, f fault) {
	site.startWriter(s.T)
	user := site.talk.retire(f.choice)
	if user == "" {
		return
	}
	// What is under way about the person gets through first: what comes behind
	// an erasure is new data.
	site.gate.Lock()
	site.gate.Unlock() //nolint:staticcheck // the passage is the point
	for i := range site.slots {
		site.slots[i].thaw(s.T) // it may be reading, and keep the texts in the -wal file
	}
	out, err := site.command(s.T, "writer", "erase", "--user-id", user, "--wait", "8s")
	if err != nil {
		s.findings.add(programFailed, "%v", err)
		return
	}
	if strings.Contains(out, "erased 0 messages") {
		s.findings.add(programFailed, "source %d: %s", site.source, strings.TrimSpace(out))
	}
	site.talk.erased(user)
	s.counts.add(f.kind, 1)
}

// hostClock has the rows that were stored last lie an hour ahead, as they do
// where the clock of the writer's host has been set back since. The clocks of
// the programs themselves cannot be stepped without the machine's: Go asks the
// kernel, whatever is preloaded.
func (s *storm) hostClock(site *site, f fault) {
	site.startWriter(s.T)
	site.stopWriter(s.T)
	onFile(s.T, site.path, "UPDATE messages SET created_at = created_at + 3600000 WHERE seq > (SELECT max(seq) FROM messages) - 5")
	site.startWriter(s.T)
	s.counts.add(f.kind, 1)
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// eventually waits for a check to pass, but not beyond the storm's end.
func (s *storm) eventually(most time.Duration, check func() error) error {
	end := time.Now().Add(most)
	if last := s.began.Add(s.duration + afterwards - 2*margin); last.Before(end) {
		end = last
	}
	ctx, cancel := context.WithDeadline(s.Context(), end)
	defer cancel()
	for {
		err := check()
		if err == nil {
			return nil
		}
		if wait(ctx, 20*time.Millisecond) != nil {
			return err
		}
		s.progress()
	}
}
