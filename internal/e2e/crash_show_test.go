package e2e_test

import (
	"fmt"
	"testing"

	"sidestream/internal/simulate"
	"sidestream/internal/testkit/failpoint"
	"sidestream/internal/testkit/failpoint/hook"
)

// everydayCrashes is how often each point ends its program in an ordinary run;
// SIDESTREAM_CRASHES asks for another number.
const everydayCrashes = 2

// TestShowCrashMatrix ends the real programs by SIGKILL at every named point,
// under load, and compares the CRM with what was acknowledged after each series;
// in the last one both programs end at any of their points.
func TestShowCrashMatrix(t *testing.T) {
	times := number(t, "SIDESTREAM_CRASHES", everydayCrashes)
	points := failpoint.Points()
	table := []string{crashHead}
	hits := map[failpoint.Point]int{}
	differences := 0
	series := func(name string, points ...failpoint.Point) {
		t.Run(name, func(t *testing.T) {
			seed := uint64(len(table))
			c := newCrashSite(t, seed)
			f := c.traffic(t, seed)
			c.crash(t, times, points...)
			f.end(t)
			c.drained(t)
			sums, apart := f.differences(t, c)
			if !sums.Clean() || apart > 0 {
				t.Errorf("the CRM differs from what was acknowledged: %v; %d lanes differ by themselves", sums, apart)
			}
			differences += sums.Missing + sums.Doubled + sums.Reordered + sums.Unexpected
			wantNoText(t, c.running[failpoint.Writer], c.running[failpoint.Replicator])
			wantCrashes(t, c, times)
			for p, tally := range c.tally {
				hits[p] += tally.hits
			}
			table = append(table, crashRow(name, c, f, sums))
		})
	}
	for _, p := range points {
		series(string(p.Program)+": "+p.Name, p)
	}
	series("both: any point", points...)
	for _, line := range table {
		t.Log(line)
	}
	least, all := -1, 0
	for _, p := range points {
		all += hits[p]
		if least < 0 || hits[p] < least {
			least = hits[p]
		}
	}
	t.Logf("%d points, each hit at least %d times, %d kills in all, %d differences", len(points), least, all, differences)
}

// wantCrashes checks that every point was hit so often, and that a transaction
// is in the CRM from its COMMIT on and not before.
func wantCrashes(t *testing.T, c *crashSite, times int) {
	t.Helper()
	for p, tally := range c.tally {
		if tally.hits < times {
			t.Errorf("%q was hit %d times, want %d", p.Name, tally.hits, times)
		}
		want := 0
		switch p.Name {
		case hook.CommitSent, failpoint.CommitAnswered, failpoint.LoopEnd:
			want = tally.hits
		}
		if tally.committed != want {
			t.Errorf("%d of %d transactions that ended at %q are in the CRM, want %d", tally.committed, tally.hits, p.Name, want)
		}
	}
}

const crashColumns = "%-32s %5v %9v %10v %12v %13v %7v %8v %8v %10v %10v"

var crashHead = fmt.Sprintf(crashColumns, "SIGKILL at", "hits", "restarts", "committed", "redelivered", "acknowledged", "in CRM", "missing", "doubled", "reordered", "differing")

// crashRow is a series in one line. committed is how many transactions of a
// replicator that ended were in the CRM all the same.
func crashRow(name string, c *crashSite, f *traffic, s simulate.Sums) string {
	hits, committed := 0, 0
	for _, tally := range c.tally {
		hits += tally.hits
		committed += tally.committed
	}
	return fmt.Sprintf(crashColumns, name, hits, c.restarts, committed, f.again.Load(), s.Expected, s.Got, s.Missing, s.Doubled, s.Reordered, s.Unexpected)
}
