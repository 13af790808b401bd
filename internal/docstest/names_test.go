package docstest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sidestream/internal/config"
	"sidestream/internal/mysql"
)

// declared is where the functions of tests are, by name, with the text of the
// files that declare them.
func declared(tb testing.TB) map[string]map[string]string {
	tb.Helper()
	found := map[string]map[string]string{}
	err := filepath.WalkDir(top, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, content, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(top, name)
		if err != nil {
			return err
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
				if found[f.Name.Name] == nil {
					found[f.Name.Name] = map[string]string{}
				}
				found[f.Name.Name][filepath.ToSlash(relative)] = string(content)
			}
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return found
}

var (
	testName = regexp.MustCompile(`\b(Test|Fuzz|Example)[A-Z]\w*(/\w+)?`)
	testLink = regexp.MustCompile("\\[`((?:Test|Fuzz|Example)[A-Z]\\w*(?:/\\w+)?)`\\]\\(([^)]+)\\)")
)

func TestPages_name_only_tests_that_exist(t *testing.T) {
	tests, named := declared(t), 0
	// Subtests of the suites stand in the suites.
	suite := readFile(t, "internal/testkit/conformance/target.go")
	for _, p := range pages(t) {
		for _, name := range testName.FindAllString(p.prose, -1) {
			named++
			function, subtest, _ := strings.Cut(name, "/")
			files := tests[function]
			if len(files) == 0 {
				t.Errorf("%s names %s, which does not exist", p.path, function)
				continue
			}
			all := strings.Join(slices.Collect(maps.Values(files)), "\n")
			if strings.Contains(all, "conformance.Run") {
				all += suite
			}
			if subtest != "" && !strings.Contains(all, `"`+subtest+`"`) {
				t.Errorf("%s names %s, but %s has no such subtest", p.path, name, function)
			}
		}
		for _, m := range testLink.FindAllStringSubmatch(p.prose, -1) {
			function, _, _ := strings.Cut(m[1], "/")
			file := path.Join(path.Dir(p.path), m[2])
			if _, ok := tests[function][file]; !ok {
				t.Errorf("%s links %s to %s, which does not declare it", p.path, function, file)
			}
		}
	}
	if named < 30 {
		t.Errorf("only %d tests are named: does this test still find them?", named)
	}
}

// sections of the configuration, for recognising a key.
var keySpan = regexp.MustCompile(`^(database|writer|source|mapping|replicator|crm|instagram|log|ops)\.[a-z_]+(\.[a-z_]+)?( = .*)?$`)

func TestPages_name_only_keys_that_exist(t *testing.T) {
	known := map[string]bool{}
	for _, k := range config.Reference() {
		known[k.Path] = true
		if k.File != "" {
			known[k.File] = true
		}
	}
	for _, p := range pages(t) {
		for _, span := range spans(p.prose) {
			key, _, _ := strings.Cut(span, " = ")
			if keySpan.MatchString(span) && !known[key] {
				t.Errorf("%s names the key %s, which does not exist", p.path, key)
			}
		}
	}
}

// aColumn is a column's definition in a CREATE TABLE.
var aColumn = regexp.MustCompile(`(?:^|[\s(,])([a-z_]+) (?:VARCHAR|INT|BIGINT|TEXT|BOOL|TIMESTAMP|INTEGER|BLOB)`)

func TestDesign_names_every_column_that_the_programs_make(t *testing.T) {
	p := readPage(t, "docs/DESIGN.md")
	named := map[string]bool{}
	for _, span := range spans(p.prose) {
		named[strings.Fields(span)[0]] = true
	}
	statements := append(mysql.SchemaDDL("crm"), readFile(t, "internal/store/migrations/0001_messages.sql"))
	columns := 0
	for _, statement := range statements {
		for _, m := range aColumn.FindAllStringSubmatch(statement, -1) {
			columns++
			if !named[m[1]] {
				t.Errorf("%s does not name the column %s", p.path, m[1])
			}
		}
	}
	if columns < 30 {
		t.Errorf("only %d columns were found: does this test still read them?", columns)
	}
	migrations, err := os.ReadDir(filepath.Join(top, "internal/store/migrations"))
	if err != nil || len(migrations) != 1 {
		t.Errorf("the migrations are no longer the one that this test reads: %d, %v", len(migrations), err)
	}
}
