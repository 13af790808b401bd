package chaos_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// counts holds how often each thing has really happened. It is safe for
// concurrent use.
type counts struct {
	mu sync.Mutex
	n  map[kind]int
}

// What happens beside the schedule, all the time.
const (
	messagesSent   kind = "messages"
	editsSent      kind = "edits"
	unsendsSent    kind = "unsends"
	redelivered    kind = "acknowledged, delivered again"
	triedAgain     kind = "not acknowledged, delivered again"
	forgeryRefused kind = "forged deliveries refused"
	// forgeryAccepted is what must not happen.
	forgeryAccepted kind = "forged deliveries accepted"
	strangerRows    kind = "rows of strangers"
	refusedTrigger  kind = "messages that a trigger refused"
	refusedTooLong  kind = "messages too long for the column"
	retriedLetters  kind = "dead letters retried at the end"
	foundCommitted  kind = "COMMITs in doubt, found committed"
)

// wanted lists everything that has to happen in every storm.
func wanted() []kind {
	all := []kind{
		messagesSent, editsSent, unsendsSent, redelivered, triedAgain, forgeryRefused, strangerRows,
		refusedTrigger, refusedTooLong, retriedLetters, foundCommitted,
	}
	for k := range planned() {
		all = append(all, k)
	}
	slices.Sort(all)
	return all
}

func (c *counts) add(k kind, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[kind]int{}
	}
	c.n[k] += n
}

func (c *counts) of(k kind) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n[k]
}

// faults is how many of the schedule's kinds have happened so far.
func (c *counts) faults() int {
	all := 0
	for k := range planned() {
		all += c.of(k)
	}
	return all
}

// absent lists what has not happened.
func (c *counts) absent() []kind {
	var none []kind
	for _, k := range wanted() {
		if c.of(k) == 0 {
			none = append(none, k)
		}
	}
	return none
}

// String returns a line for each kind.
func (c *counts) String() string {
	var b strings.Builder
	for _, k := range wanted() {
		fmt.Fprintf(&b, "%6d  %s\n", c.of(k), k)
	}
	return b.String()
}

func TestCounts(t *testing.T) {
	var c counts
	if none := c.absent(); len(none) != len(wanted()) {
		t.Errorf("of nothing, only %d are absent", len(none))
	}
	for _, k := range wanted() {
		if k != crmFrozen {
			c.add(k, 2)
		}
	}
	if none := c.absent(); !slices.Equal(none, []kind{crmFrozen}) {
		t.Errorf("absent: %v", none)
	}
	if n := c.faults(); n != 2*(len(planned())-1) {
		t.Errorf("%d faults", n)
	}
	if !strings.Contains(c.String(), "     0  CRM frozen\n") {
		t.Errorf("printed:\n%v", &c)
	}
}
