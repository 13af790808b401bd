package failpoint

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"sidestream/internal/testkit"
	"sidestream/internal/testkit/failpoint/hook"
)

const (
	imports  = "import (\n"
	hookPath = "sidestream/internal/testkit/failpoint/hook"
)

// Build compiles a program with all points in it, once per test process, and
// returns the path of the binary.
func Build(tb testing.TB, program Program) string {
	tb.Helper()
	return testkit.BuildOverlay(tb, "sidestream/cmd/"+string(program), Overlay(tb))
}

// Overlay returns the files that the points change, by their path inside the
// module.
func Overlay(tb testing.TB) map[string]string {
	tb.Helper()
	files := map[string]string{}
	for _, e := range edits() {
		text, ok := files[e.file]
		if !ok {
			text = replace(tb, e.file, Source(tb, e.file), imports, imports+"\tfailpoint \""+hookPath+"\"\n")
		}
		files[e.file] = replace(tb, e.file, text, e.old, e.new)
	}
	return files
}

// Source returns a file of the module as it is.
func Source(tb testing.TB, file string) string {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(testkit.ModuleRoot(tb), file))
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

func replace(tb testing.TB, file, text, from, to string) string {
	tb.Helper()
	if n := strings.Count(text, from); n != 1 {
		tb.Fatalf("%s: the text to replace stands %d times in it:\n%s", file, n, from)
	}
	return strings.Replace(text, from, to, 1)
}

// At is the environment in which a program ends at the n-th passage of a point.
func At(p Point, n int) string { return fmt.Sprintf("%s=%s:%d", hook.Env, p.Name, n) }

// EndedAt reports whether a process that was killed ended at the point, by what
// it wrote to standard error, and where its last compare-and-set moves the
// cursor to, if there was one.
func EndedAt(p Point, stderr string) (position int64, ended bool) {
	_, rest, ended := strings.Cut(stderr, hook.Mark+p.Name+hook.Position)
	// Other goroutines may have logged before the signal came.
	number, _, _ := strings.Cut(rest, "\n")
	position, err := strconv.ParseInt(number, 10, 64)
	return position, ended && err == nil
}
