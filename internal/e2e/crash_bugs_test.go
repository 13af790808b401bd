package e2e_test

import (
	"strings"
	"testing"

	"sidestream/internal/testkit/failpoint"
)

// crashBug is a defence that is taken away from one of the programs, and the
// point at which a kill then makes a difference.
type crashBug struct {
	name    string
	program failpoint.Program
	// file is relative to the module's root; old must stand in it exactly once.
	file, old, new string
	at             failpoint.Point
}

func crashBugs() []crashBug {
	return []crashBug{
		{
			"acknowledged_before_it_is_stored", failpoint.Writer, "internal/store/store.go",
			"\tcase <-r.done:\n\t\treturn r.result, r.err\n", "\tdefault:\n\t\treturn Result{}, nil\n",
			failpoint.Point{Name: "received", Program: failpoint.Writer},
		},
		{
			"the_cursor_is_committed_before_the_records", failpoint.Replicator, "internal/mysql/apply.go",
			"\tplaces, err := t.insertRecords(ctx, s, p, tail)\n", "\t_, _ = s.exec(ctx, \"COMMIT AND CHAIN\")\n\tplaces, err := t.insertRecords(ctx, s, p, tail)\n",
			failpoint.Point{Name: "records sent", Program: failpoint.Replicator},
		},
		{
			"edits_are_committed_after_the_cursor", failpoint.Replicator, "internal/mysql/apply.go",
			"\tif applied, err = t.changeRecords(ctx, s, p.batch); err != nil {\n", "\t_, _ = s.exec(ctx, \"COMMIT AND CHAIN\")\n\tif applied, err = t.changeRecords(ctx, s, p.batch); err != nil {\n",
			failpoint.Point{Name: "edits sent", Program: failpoint.Replicator},
		},
	}
}

// planted returns the files of the program with the points and the bug in it.
func (b crashBug) planted(t *testing.T) map[string]string {
	t.Helper()
	files := failpoint.Overlay(t)
	text, ok := files[b.file]
	if !ok {
		text = failpoint.Source(t, b.file)
	}
	if n := strings.Count(text, b.old); n != 1 {
		t.Fatalf("the text to replace stands %d times in %s", n, b.file)
	}
	files[b.file] = strings.Replace(text, b.old, b.new, 1)
	return files
}

// TestCrashMatrix_bugs_fit_their_files: the bugs themselves run with the build
// tag planted, as those of package planted do.
func TestCrashMatrix_bugs_fit_their_files(t *testing.T) {
	for _, b := range crashBugs() {
		t.Run(b.name, func(t *testing.T) {
			if len(b.planted(t)) == 0 {
				t.Error("nothing is changed")
			}
		})
	}
}
