// Package model checks the model of the cursor with spin, where it is
// installed.
package model_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestModel explores every history of docs/model/cursor.pml within its bounds,
// and sees each planted bug break it.
func TestModel(t *testing.T) {
	for _, tool := range []string{"spin", "gcc"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("SIDESTREAM_TEST_REQUIRE_SERVER") != "" {
				t.Fatalf("%s is not installed", tool)
			}
			t.Skipf("skipped: no %s", tool)
		}
	}
	t.Run("every_history_keeps_the_promise", func(t *testing.T) {
		if found := explore(t, ""); found != "" {
			t.Errorf("the model is broken: %s", found)
		}
	})
	for _, bug := range []string{"BUG_NO_COMPARE", "BUG_NO_LOCK", "BUG_LATE_CHECK", "BUG_APART", "BUG_CURSOR_FIRST", "BUG_NO_LEDGER_CHECK", "BUG_NO_REWOUND_CHECK", "BUG_RESUME_CURSOR"} {
		t.Run(bug+"_is_found", func(t *testing.T) {
			found := explore(t, bug)
			if found == "" {
				t.Error("the model does not notice the planted bug")
			}
			t.Logf("%s: %s", bug, found)
		})
	}
}

var (
	violation = regexp.MustCompile(`pan:1: (.*) \(at depth`)
	states    = regexp.MustCompile(`(\d+) states, stored`)
)

// explore returns what is violated, or nothing.
func explore(t *testing.T, bug string) string {
	t.Helper()
	source, err := filepath.Abs("../../docs/model/cursor.pml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	run := func(name string, args ...string) string {
		t.Helper()
		command := exec.CommandContext(t.Context(), name, args...)
		command.Dir = dir
		output, err := command.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, output)
		}
		return string(output)
	}
	generate := []string{"-a", source}
	if bug != "" {
		generate = []string{"-D" + bug, "-a", source}
	}
	run("spin", generate...)
	run("gcc", "-O1", "-DSAFETY", "-DVECTORSZ=2048", "-o", "pan", "pan.c")
	output := run("./pan", "-m1000000")
	if strings.Contains(output, "max search depth too small") {
		t.Fatal("the search was cut short")
	}
	if m := states.FindStringSubmatch(output); m != nil {
		t.Logf("%s states", m[1])
	}
	if m := violation.FindStringSubmatch(output); m != nil {
		return m[1]
	}
	if !strings.Contains(output, "errors: 0") {
		t.Fatalf("spin's answer is not understood:\n%s", output)
	}
	return ""
}
