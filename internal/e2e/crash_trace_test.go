package e2e_test

import (
	"bytes"
	"os"
	"testing"

	"sidestream/internal/testkit"
	"sidestream/internal/testkit/failpoint"
	"sidestream/internal/testkit/failpoint/hook"
)

// TestCrashMatrix_leaves_no_trace_in_the_programs: what users get has no switch
// that ends it.
func TestCrashMatrix_leaves_no_trace_in_the_programs(t *testing.T) {
	for _, program := range []failpoint.Program{failpoint.Writer, failpoint.Replicator} {
		ordinary := contents(t, testkit.BuildBinary(t, "sidestream/cmd/"+string(program)))
		with := contents(t, failpoint.Build(t, program))
		for _, trace := range []string{"testkit/failpoint", hook.Mark, hook.Env} {
			if bytes.Contains(ordinary, []byte(trace)) {
				t.Errorf("the %s holds %q", program, trace)
			}
			if !bytes.Contains(with, []byte(trace)) {
				t.Errorf("the %s with the points does not hold %q, so that its absence says nothing", program, trace)
			}
		}
	}
}

func contents(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
