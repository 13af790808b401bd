package containertest

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
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
	blocks := commandsOf(tb, page)[heading]
	if len(blocks) == 0 {
		tb.Fatalf("docs/%s has no commands under %q", page, heading)
	}
	return blocks
}

// commandsOf returns all sh blocks of a page by their headings.
func commandsOf(tb testing.TB, page string) map[string][]string {
	tb.Helper()
	content, err := os.ReadFile(filepath.Join(top, "docs", page))
	if err != nil {
		tb.Fatal(err)
	}
	blocks := map[string][]string{}
	var open *strings.Builder
	under := ""
	for line := range strings.Lines(string(content)) {
		text := strings.TrimRight(line, "\n")
		switch {
		case open != nil && text == "```":
			blocks[under] = append(blocks[under], open.String())
			open = nil
		case open != nil:
			open.WriteString(line)
		case text == "```sh":
			open = new(strings.Builder)
		case strings.HasPrefix(text, "#"):
			under = strings.TrimSpace(strings.TrimLeft(text, "#"))
		}
	}
	return blocks
}

// TestPages_every_command_is_run looks for each heading with commands among the
// words of the tests here, those with a build tag included.
func TestPages_every_command_is_run(t *testing.T) {
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	words := map[string]bool{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				words[strings.Trim(literal.Value, "`\"")] = true
			}
			return true
		})
	}
	blocks := 0
	for _, page := range []string{"INSTALL.md", "MOVING.md", "UPGRADING.md", "BACKUP.md", "UNINSTALL.md"} {
		for heading, own := range commandsOf(t, page) {
			blocks += len(own)
			if !words[page] || !words[heading] {
				t.Errorf("no test runs the commands of docs/%s under %q", page, heading)
			}
		}
	}
	t.Logf("%d blocks of commands on 5 pages, each under a heading that a test runs", blocks)
}

// shell runs a block as it stands on the page and returns what it prints.
func shell(ctx context.Context, dir string, env []string, block string) (string, error) {
	command := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", block)
	command.Dir = dir
	command.Env = append(os.Environ(), env...)
	out, err := command.CombinedOutput()
	return string(out), err
}
