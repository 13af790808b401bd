package simulation_test

import (
	"flag"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// TestSimulation plays histories on a CRM in memory. How many is rapid's
// -rapid.checks; with ten thousand or more every kind of event must have
// happened, and how often is printed.
func TestSimulation(t *testing.T) {
	cover := map[string]int{}
	histories := 0
	rapid.Check(t, func(rt *rapid.T) {
		histories++
		rapid.SyncTest(rt, func(rt *rapid.T) { live(rt, newMemory(), true, cover) })
	})
	if checks, _ := strconv.Atoi(flag.Lookup("rapid.checks").Value.String()); checks >= 10_000 {
		report(t, histories, cover)
	}
}

// live plays one history to its end.
func live(t *rapid.T, on crm, bubble bool, cover map[string]int) {
	h := newHistory(t, on, cover)
	h.bubble = bubble
	for i := range h.loops {
		h.start(i)
	}
	t.Repeat(h.actions())
	h.settle()
	h.check()
	h.editAll()
	h.settle()
	h.check()
}
