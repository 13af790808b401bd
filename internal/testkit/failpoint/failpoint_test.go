package failpoint_test

import (
	"bytes"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"

	"sidestream/internal/testkit"
	"sidestream/internal/testkit/failpoint"
	"sidestream/internal/testkit/failpoint/hook"
)

// TestPoints_fit_their_files holds in every run, long before anything is killed.
func TestPoints_fit_their_files(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	for file, text := range failpoint.Overlay(t) {
		if _, err := parser.ParseFile(token.NewFileSet(), file, text, 0); err != nil {
			t.Errorf("with the points in it: %v", err)
		}
		all.WriteString(text)
	}
	sent := []string{hook.CompareAndSetSent, hook.RecordsSent, hook.LedgerSent, hook.EditsSent, hook.CommitSent, hook.Answered}
	for _, p := range failpoint.Points() {
		calls := strings.Count(all.String(), `failpoint.Pass("`+p.Name+`")`)
		for _, name := range sent {
			if p.Name == name {
				calls++
			}
		}
		if calls != 1 {
			t.Errorf("%q is passed in %d places, want 1", p.Name, calls)
		}
	}
}

// TestPoints_are_not_in_the_programs: what users get has no switch to end it.
func TestPoints_are_not_in_the_programs(t *testing.T) {
	t.Parallel()
	for _, program := range []failpoint.Program{failpoint.Writer, failpoint.Replicator} {
		ordinary := read(t, testkit.BuildBinary(t, "sidestream/cmd/"+string(program)))
		with := read(t, failpoint.Build(t, program))
		for _, trace := range []string{"testkit/failpoint", hook.Mark} {
			if bytes.Contains(ordinary, []byte(trace)) {
				t.Errorf("the %s holds %q", program, trace)
			}
			if !bytes.Contains(with, []byte(trace)) {
				t.Errorf("the %s with the points does not hold %q, so that its absence says nothing", program, trace)
			}
		}
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
