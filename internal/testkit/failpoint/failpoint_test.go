package failpoint_test

import (
	"go/parser"
	"go/token"
	"strings"
	"testing"

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
