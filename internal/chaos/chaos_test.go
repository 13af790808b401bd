//go:build chaos

package chaos_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestChaos is one storm, with the seed and for the duration that the
// environment asks for.
func TestChaos(t *testing.T) {
	seed, duration := uint64(1), 2*time.Minute
	var err error
	if text := os.Getenv("SIDESTREAM_CHAOS_SEED"); text != "" {
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	if text := os.Getenv("SIDESTREAM_CHAOS_DURATION"); text != "" {
		if duration, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	s := newStorm(t, seed, duration)
	// Whatever hangs: the guards of the test kit end all programs.
	watchdog := time.AfterFunc(duration+afterwards-margin, func() {
		panic(fmt.Sprintf("seed %d: the storm does not end in time", seed))
	})
	defer watchdog.Stop()
	fmt.Fprintf(t.Output(), "seed %d, %v\n", seed, duration)
	// Also where something above all gives up early.
	defer s.report()
	s.run()
	s.end()
}

// report prints what has happened and what differs.
func (s *storm) report() {
	s.watch()
	if n := s.counts.of(forgeryAccepted); n > 0 {
		s.findings.add(forgedStored, "%d forged deliveries were acknowledged", n)
	}
	out := s.Output()
	fmt.Fprintf(out, "how often each of them happened:\n%s", &s.counts)
	for _, line := range s.findings.lines {
		fmt.Fprintf(out, "DIFFERENCE  %s\n", line)
	}
	fmt.Fprintf(out, "seed %d, %.0fs: %s\n", s.seed, time.Since(s.began).Seconds(), s.findings.sums())
	if len(s.findings.n) > 0 {
		s.Errorf("seed %d: the CRM or a file differs from what was acknowledged", s.seed)
		s.keep()
	}
	if none := s.counts.absent(); len(none) > 0 {
		names := make([]string, len(none))
		for i, k := range none {
			names[i] = string(k)
		}
		s.Errorf("seed %d: never happened: %s", s.seed, strings.Join(names, ", "))
	}
}
