package arrows

import (
	"bytes"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// maxLines is the most that a file holds; typical is less than 150.
const maxLines = 450

// What lies at the top, besides files whose name begins with a dot.
var topLevel = []string{
	"CHANGELOG.md", "Dockerfile", "LICENSE", "Makefile", "README.md",
	"cmd", "config.example.toml", "deploy", "docs", "go.mod", "go.sum",
	"internal", "mapping", "replicator", "watcher",
}

// files returns the paths of all files that are committed or about to be,
// seen from the top.
func files(tb testing.TB) []string {
	tb.Helper()
	// The checkout may belong to another user than the one who tests it.
	out := output(tb, "git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	var paths []string
	for path := range strings.SplitSeq(strings.TrimRight(out, "\x00"), "\x00") {
		// One that was deleted stays in the index until the next commit.
		if _, err := os.Stat(filepath.Join(top, path)); !errors.Is(err, fs.ErrNotExist) {
			paths = append(paths, path)
		}
	}
	return paths
}

func read(tb testing.TB, path string) []byte {
	tb.Helper()
	content, err := os.ReadFile(filepath.Join(top, path))
	if err != nil {
		tb.Fatal(err)
	}
	return content
}

func TestTree_top_level_holds_only_what_a_stranger_expects(t *testing.T) {
	found := map[string]bool{}
	for _, path := range files(t) {
		first, _, _ := strings.Cut(path, "/")
		found[first] = true
	}
	for _, entry := range slices.Sorted(maps.Keys(found)) {
		if !strings.HasPrefix(entry, ".") && !slices.Contains(topLevel, entry) {
			t.Errorf("%s lies at the top level", entry)
		}
	}
}

var generated = regexp.MustCompile(`(?m)^// Code generated .* DO NOT EDIT\.$`)

// sources calls visit for every Go file that a person wrote.
func sources(tb testing.TB, visit func(path string, content []byte)) {
	tb.Helper()
	var visited int
	for _, path := range files(tb) {
		if filepath.Ext(path) != ".go" || strings.Contains("/"+path, "/testdata/") {
			continue
		}
		if content := read(tb, path); !generated.Match(content) {
			visit(path, content)
			visited++
		}
	}
	if visited == 0 {
		tb.Fatal("no Go file was found")
	}
}

func TestTree_files_are_short_enough_to_read(t *testing.T) {
	sources(t, func(path string, content []byte) {
		if n := bytes.Count(content, []byte("\n")); n > maxLines {
			t.Errorf("%s has %d lines, more than %d", path, n, maxLines)
		}
	})
}

// sleeps returns the lines on which a file calls time.Sleep.
func sleeps(tb testing.TB, path string, content []byte) []int {
	tb.Helper()
	fset := token.NewFileSet()
	var lines []int
	ast.Inspect(parse(tb, fset, path, content), func(n ast.Node) bool {
		if selector, ok := n.(*ast.SelectorExpr); ok && selector.Sel.Name == "Sleep" {
			if from, ok := selector.X.(*ast.Ident); ok && from.Name == "time" {
				lines = append(lines, fset.Position(n.Pos()).Line)
			}
		}
		return true
	})
	return lines
}

func parse(tb testing.TB, fset *token.FileSet, path string, content []byte) *ast.File {
	tb.Helper()
	file, err := parser.ParseFile(fset, path, content, parser.SkipObjectResolution)
	if err != nil {
		tb.Fatal(err)
	}
	return file
}

func TestTree_tests_wait_for_what_they_test_and_do_not_sleep(t *testing.T) {
	sources(t, func(path string, content []byte) {
		if !strings.HasSuffix(path, "_test.go") && !strings.HasPrefix(path, "internal/testkit/") {
			return
		}
		for _, line := range sleeps(t, path, content) {
			t.Errorf("%s:%d sleeps", path, line)
		}
	})
	if got := sleeps(t, "example.go", []byte("package p\n\nfunc f() {\n\ttime.Sleep(1)\n}\n")); !slices.Equal(got, []int{4}) {
		t.Errorf("a sleep on line 4 is found on %v", got)
	}
}

// Statements that lose rows or turn errors into warnings.
var lossy = regexp.MustCompile(`(?i)\b(REPLACE\s+(LOW_PRIORITY\s+|DELAYED\s+)?INTO|INSERT\s+(\w+\s+)?IGNORE|UPDATE\s+(\w+\s+)?IGNORE|LOAD\s+DATA)\b`)

func TestTree_the_target_meets_no_statement_that_loses_rows(t *testing.T) {
	sources(t, func(path string, content []byte) {
		if !strings.HasPrefix(path, "internal/mysql/") || strings.HasSuffix(path, "_test.go") {
			return
		}
		fset := token.NewFileSet()
		ast.Inspect(parse(t, fset, path, content), func(n ast.Node) bool {
			literal, ok := n.(*ast.BasicLit)
			if !ok || literal.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Error(err)
			}
			if found := lossy.FindString(text); found != "" {
				t.Errorf("%s: %s", fset.Position(n.Pos()), found)
			}
			return true
		})
	})
	for _, path := range files(t) {
		if strings.HasPrefix(path, "internal/mysql/") && filepath.Ext(path) == ".sql" {
			if found := lossy.Find(read(t, path)); found != nil {
				t.Errorf("%s: %s", path, found)
			}
		}
	}
	for _, statement := range []string{
		"replace into messages", "INSERT IGNORE INTO t", "insert low_priority ignore into t",
		"LOAD DATA LOCAL INFILE", "REPLACE\n  INTO t", "UPDATE IGNORE t",
	} {
		if !lossy.MatchString(statement) {
			t.Errorf("%q passes", statement)
		}
	}
	if lossy.MatchString("INSERT INTO t (message) SELECT REPLACE(message, 'a', 'b')") {
		t.Error("an ordinary INSERT is refused")
	}
}

func TestTree_toml_tags_stay_in_the_configuration(t *testing.T) {
	sources(t, func(path string, content []byte) {
		if strings.HasPrefix(path, "internal/config/") {
			return
		}
		ast.Inspect(parse(t, token.NewFileSet(), path, content), func(n ast.Node) bool {
			if field, ok := n.(*ast.Field); ok && field.Tag != nil && strings.Contains(field.Tag.Value, `toml:"`) {
				t.Errorf("%s: the field %v has a toml tag", path, field.Names)
			}
			return true
		})
	})
}
