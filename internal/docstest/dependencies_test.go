package docstest

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var requirement = regexp.MustCompile(`(?m)^\t(\S+) v\S+(?: // indirect)?$`)

// imported is every module that a Go file of ours imports.
func imported(tb testing.TB) map[string]bool {
	tb.Helper()
	var modules []string
	for _, m := range requirement.FindAllStringSubmatch(readFile(tb, "go.mod"), -1) {
		modules = append(modules, m[1])
	}
	used := map[string]bool{}
	err := filepath.WalkDir(top, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(name) != ".go" {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			longest := ""
			for _, m := range modules {
				if (path == m || strings.HasPrefix(path, m+"/")) && len(m) > len(longest) {
					longest = m
				}
			}
			if longest != "" {
				used[longest] = true
			}
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return used
}

func TestDecisions_give_a_reason_for_every_dependency(t *testing.T) {
	direct := imported(t)
	if len(direct) < 10 {
		t.Fatalf("only %d dependencies were found: does this test still read the imports?", len(direct))
	}
	named := map[string]bool{}
	p := readPage(t, "docs/adr/0009-dependencies.md")
	for _, row := range rows(p.prose) {
		if name := spans(row[0]); len(name) == 1 && len(row) == 2 && len(row[1]) > 20 {
			named[name[0]] = true
		}
	}
	sameWords(t, p.path, named, direct)
}

func TestDecisions_have_one_shape(t *testing.T) {
	found := 0
	for _, p := range pages(t) {
		if !strings.HasPrefix(p.path, "docs/adr/") {
			continue
		}
		found++
		var titles []string
		for _, h := range p.headings {
			if h.level == 2 {
				titles = append(titles, h.text)
			}
		}
		if got := strings.Join(titles, ", "); got != "Context, Decision, Consequences, Rejected" {
			t.Errorf("%s has the parts %s", p.path, got)
		}
	}
	if found < 10 {
		t.Errorf("only %d decisions were found", found)
	}
}
