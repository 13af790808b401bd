package simulation_test

import (
	"sidestream/replicator"
)

// diary is what a connection saw of the promises that a process makes beside
// the rows: what it may say of its COMMITs, and what it may not do by itself.
type diary struct {
	// knew is set once the process has seen a cursor.
	knew bool
	// high is the furthest cursor that the process knows, under one decision.
	high replicator.Cursor
	// refused is set after a row was refused for its content, until a batch went
	// through.
	refused bool
	// doubts are attempts without an answer, with the attempt that they follow.
	doubts map[string]string
	// asked counts the attempts without an answer; came those of them that were
	// committed, found those that the process could see at its next look.
	asked, came, found int
	// changes counts the changes of all committed transactions.
	changes int
}

// looked notes what a look at the cursor showed.
func (l *link) looked(c replicator.Cursor) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !c.Known {
		return
	}
	l.knew = true
	if c.Generation != l.high.Generation || c.Decision != l.high.Decision || c.Position > l.high.Position {
		l.high = c
	}
	for attempt, follows := range l.doubts {
		if attempt == c.Attempt {
			l.found++
			l.doubts = nil
			return
		}
		if follows != c.Attempt {
			delete(l.doubts, attempt)
		}
	}
}

// ended notes how a transaction ended.
func (l *link) ended(b replicator.Batch, attempt string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch f := replicator.AsFailure(err); {
	case err == nil:
		l.doubts, l.refused = nil, false
		l.high = replicator.Cursor{Generation: b.From.Generation, Decision: b.From.Decision, Position: b.To}
		l.changes += len(b.Items)
	case f.Doubtful:
		l.asked++
		if l.doubts == nil {
			l.doubts = map[string]string{}
		}
		l.doubts[attempt] = b.From.Attempt
	case f.Class == replicator.Data:
		l.refused = true
	}
}

// arrived notes that an attempt without an answer was committed.
func (l *link) arrived(b replicator.Batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.came++
	l.changes += len(b.Items)
}

// undone notes that the CRM was restored: what was committed may count as
// rolled back now.
func (l *link) undone() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.came = 0
}

// largest is how many rows a statement may have after a row was refused for its
// content: a refused one uses up as many of the CRM's ids.
const largest = 8

// may tells whether the process may send a batch at all.
func (l *link) may(b replicator.Batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b.From.Generation == l.high.Generation && b.From.Decision == l.high.Decision && b.From.Position < l.high.Position {
		l.world.violate("%s goes on from position %d, and nobody has said so: it had applied up to %d", l.name, b.From.Position, l.high.Position)
	}
	inserts := 0
	for _, item := range b.Items {
		if item.Op == replicator.OpInsert {
			inserts++
		}
	}
	if l.refused && inserts > largest {
		l.world.violate("%s sends %d rows at once after a row was refused", l.name, inserts)
	}
}

// audit compares what a process counts with what happened.
func (h *history) audit(l *loop) {
	h.Helper()
	counted := map[string]int{}
	families, err := l.registry.Gather()
	if err != nil {
		h.fail("%v", err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := family.GetName()
			if len(m.GetLabel()) > 0 && name == "sidestream_replicator_ambiguous_commits_total" {
				name += " " + m.GetLabel()[0].GetValue()
			}
			counted[name] += int(m.GetCounter().GetValue())
		}
	}
	l.link.mu.Lock()
	defer l.link.mu.Unlock()
	const ambiguous = "sidestream_replicator_ambiguous_commits_total "
	if got := counted[ambiguous+"committed"]; got != l.link.found {
		h.violate("%s counts %d COMMITs in doubt as committed, and found %d", l.name, got, l.link.found)
	}
	if got, most := counted[ambiguous+"rolled_back"], l.link.asked-l.link.came; got > most {
		h.violate("%s counts %d COMMITs in doubt as rolled back, and %d were", l.name, got, most)
	}
	if got := counted["sidestream_replicator_changes_applied_total"]; got > l.link.changes {
		h.violate("%s counts %d changes as applied, and applied %d", l.name, got, l.link.changes)
	}
}
