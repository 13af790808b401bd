//go:build planted

package e2e_test

import (
	"testing"

	"sidestream/internal/testkit"
)

// TestShowCrashBugs plants bugs that only a kill brings to light, and wants the
// comparison of the crash matrix to differ for each.
func TestShowCrashBugs(t *testing.T) {
	const kills = 20
	found := 0
	for i, b := range crashBugs() {
		t.Run(b.name, func(t *testing.T) {
			c := newCrashSite(t, uint64(i))
			c.binaries[b.program] = testkit.BuildOverlay(t, "sidestream/cmd/"+string(b.program), b.planted(t))
			f := c.traffic(t, uint64(i))
			c.crash(t, kills, b.at)
			f.end(t)
			c.drained(t)
			sums, apart := f.differences(t, c)
			if sums.Clean() {
				t.Errorf("%s goes unnoticed: %v", b.name, sums)
				return
			}
			found++
			t.Logf("%-45s %d kills at %q: %v; %d of %d lanes differ", b.name, kills, b.at.Name, sums, apart, len(f.lanes))
		})
	}
	t.Logf("%d of %d planted bugs found by killing", found, len(crashBugs()))
}
