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
	few(t, 500)
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

// TestSimulation_on_a_server plays the same histories, step by step, on a real
// MariaDB. Only there a transaction can wait for another one.
func TestSimulation_on_a_server(t *testing.T) {
	few(t, 30)
	s := newServer(t)
	cover := map[string]int{}
	histories := 0
	rapid.Check(t, func(rt *rapid.T) {
		histories++
		live(rt, s.afresh(), false, cover)
	})
	t.Logf("%d histories on a server, 0 differences; %d retries beside a transaction", histories, cover["dead letter retried beside a transaction"])
}

// few sets how many histories are played where the command line does not say.
func few(t *testing.T, n int) {
	t.Helper()
	checks := flag.Lookup("rapid.checks")
	if before := checks.Value.String(); before == checks.DefValue {
		if err := checks.Value.Set(strconv.Itoa(n)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = checks.Value.Set(before) })
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
