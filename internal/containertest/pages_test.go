package containertest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// top is the top of the repository, seen from here.
const top = "../.."

// commands returns the sh blocks of a page in docs/ that stand under a heading,
// in their order.
func commands(tb testing.TB, page, heading string) []string {
	tb.Helper()
	content, err := os.ReadFile(filepath.Join(top, "docs", page))
	if err != nil {
		tb.Fatal(err)
	}
	var blocks []string
	var open *strings.Builder
	under := ""
	for line := range strings.Lines(string(content)) {
		text := strings.TrimRight(line, "\n")
		switch {
		case open != nil && text == "```":
			blocks = append(blocks, open.String())
			open = nil
		case open != nil:
			open.WriteString(line)
		case text == "```sh" && under == heading:
			open = new(strings.Builder)
		case strings.HasPrefix(text, "#"):
			under = strings.TrimSpace(strings.TrimLeft(text, "#"))
		}
	}
	if len(blocks) == 0 {
		tb.Fatalf("docs/%s has no commands under %q", page, heading)
	}
	return blocks
}

// shell runs a block as it stands on the page and returns what it prints.
func shell(ctx context.Context, dir string, env []string, block string) (string, error) {
	command := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", block)
	command.Dir = dir
	command.Env = append(os.Environ(), env...)
	out, err := command.CombinedOutput()
	return string(out), err
}
