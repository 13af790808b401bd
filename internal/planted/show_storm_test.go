//go:build planted

package planted_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// find is how a machine found a bug.
type find struct {
	seed, effort, saw string
}

// TestShowPlantedStorm plants the bugs that a storm can find, and lets its
// machines look for each with a fixed list of seeds.
func TestShowPlantedStorm(t *testing.T) {
	machines := stormy()
	var all []bug
	for _, b := range bugs() {
		if machine := machines[b.name]; machine != "" {
			b.run = machine
			all = append(all, b)
		}
	}
	all = append(all, interleaved()...)
	found := 0
	t.Logf("%-46s %-27s %-21s %-16s %s", "bug", "machine", "seed", "found after", "what was seen")
	for _, b := range all {
		t.Run(b.name, func(t *testing.T) {
			f, ok := b.storm(t)
			if !ok {
				t.Errorf("%s: %s does not find it", b.name, b.run)
				return
			}
			found++
			t.Logf("%-46s %-27s %-21s %-16s %s", b.name, b.run, f.seed, f.effort, f.saw)
		})
	}
	t.Logf("%d of %d planted bugs found by the storm", found, len(all))
}

// storm lets the bug's machine look for it.
func (b bug) storm(t *testing.T) (find, bool) {
	t.Helper()
	overlay := b.overlay(t)
	if b.run == chaotic {
		return chaos(t, overlay)
	}
	suite, run, histories := "./internal/simulation", "^TestSimulation$", 4000
	switch b.run {
	case onServer:
		run, histories = "^TestSimulation_on_a_server$", 300
	case onFile:
		suite, run, histories = "./internal/sqlite", "^TestSource_never_skips_or_doubles$", 300
	}
	program := filepath.Join(t.TempDir(), "storm.test")
	if output, err := command(t, "go", "test", "-c", "-overlay", overlay, "-o", program, suite).CombinedOutput(); err != nil {
		t.Fatalf("the bug does not compile: %v\n%s", err, output)
	}
	for _, seed := range []int{1, 2, 3, 4, 5} {
		began := time.Now()
		c := command(t, program, "-test.run", run, "-test.timeout=10m", "-rapid.nofailfile", "-rapid.shrinktime=0s",
			"-rapid.checks", strconv.Itoa(histories), "-rapid.seed", strconv.Itoa(seed))
		c.Dir = filepath.Join(c.Dir, suite)
		output, err := c.CombinedOutput()
		if err == nil {
			continue
		}
		m := verdict.FindStringSubmatch(string(output))
		if m == nil {
			t.Fatalf("the machine broke down: %v\n%.3000s", err, output)
		}
		n, _ := strconv.Atoi(m[1])
		own := fmt.Sprint(seed)
		if s := ownSeed.FindStringSubmatch(string(output)); s != nil {
			own = s[1]
		}
		return find{seed: own, effort: fmt.Sprintf("%d in %.1fs", n+1, time.Since(began).Seconds()), saw: cut(m[2])}, true
	}
	return find{}, false
}

var (
	verdict = regexp.MustCompile(`(?:failed|panic) after (\d+) tests: (.*)`)
	ownSeed = regexp.MustCompile(`-rapid\.seed=(\d+)`)
	differs = regexp.MustCompile(`(?im)^.*(missing|doubled|reordered|differ|stale|--- FAIL).*$`)
)

// chaos lets real processes look for a bug, half a minute per seed.
func chaos(t *testing.T, overlay string) (find, bool) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(root, "internal", "chaos")); err != nil {
		t.Fatalf("there is no chaos: %v", err)
	}
	for seed := 1; seed <= 3; seed++ {
		began := time.Now()
		c := command(t, "go", "test", "-tags", "chaos", "-count=1", "-v", "-run", "^TestChaos$", "./internal/chaos")
		c.Env = append(os.Environ(), "GOFLAGS=-overlay="+overlay, fmt.Sprintf("SIDESTREAM_CHAOS_SEED=%d", seed), "SIDESTREAM_CHAOS_DURATION=30s")
		if output, err := c.CombinedOutput(); err != nil {
			return find{seed: strconv.Itoa(seed), effort: fmt.Sprintf("%.0fs", time.Since(began).Seconds()), saw: cut(strings.TrimSpace(differs.FindString(string(output))))}, true
		}
	}
	return find{}, false
}

func cut(s string) string {
	if len(s) > 90 {
		return s[:90] + "…"
	}
	return s
}

// command is a command in the module's root.
func command(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	module, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(context.WithoutCancel(t.Context()), name, args...)
	c.Dir = module
	return c
}
