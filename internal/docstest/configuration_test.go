package docstest

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sidestream/internal/config"
)

var update = flag.Bool("update", false, "write docs/CONFIGURATION.md's tables anew")

const (
	tableBegins = "<!-- The tables below are written by: go test ./internal/docstest -update -->\n"
	tableEnds   = "<!-- Here the tables end. -->\n"
)

// reference writes the keys as tables, one for each section.
func reference() string {
	var b strings.Builder
	section := ""
	for _, k := range config.Reference() {
		name, key, _ := strings.Cut(k.Path, ".")
		if group, inner, nested := strings.Cut(key, "."); nested {
			name, key = name+"."+group, inner
		}
		if name != section {
			section = name
			fmt.Fprintf(&b, "\n### `[%s]`\n\n| key | type | default | meaning |\n|---|---|---|---|\n", section)
		}
		value := "required"
		if !k.Required {
			value = "`" + k.Default + "`"
		}
		if k.Type == "secret" && !k.Required {
			value = "not set"
		}
		meaning := k.Doc
		if k.Legacy != "" {
			meaning += " Older variable: `" + strings.ReplaceAll(k.Legacy, ", ", "`, `") + "`."
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", key, k.Type, value, meaning)
	}
	return b.String() + "\n"
}

func TestConfiguration_page_has_every_key(t *testing.T) {
	const name = "docs/CONFIGURATION.md"
	text := readFile(t, name)
	before, rest, begins := strings.Cut(text, tableBegins)
	old, after, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends {
		t.Fatalf("%s has lost the marks around its tables", name)
	}
	if *update {
		text = before + tableBegins + reference() + tableEnds + after
		if err := os.WriteFile(filepath.Join(top, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if old != reference() {
		t.Errorf("%s is not what the programs take: run go test ./internal/docstest -update", name)
	}
}

// Keys that are read and checked, and that nothing uses yet: by the words with
// which a program would ask for them.
var unused = map[string]string{
	"writer.retention":         ".Writer.Retention",
	"writer.deletion_callback": ".Writer.DeletionCallback",
	"crm.max_connections":      ".CRM.MaxConnections",
}

func TestConfiguration_page_says_which_keys_have_no_effect(t *testing.T) {
	p := readPage(t, "docs/CONFIGURATION.md")
	said := map[string]bool{}
	for _, span := range spans(p.section(t, "Keys without effect")[0].body) {
		said[span] = true
	}
	code := programSources(t)
	want := map[string]bool{}
	for key, asks := range unused {
		if !strings.Contains(code, asks) {
			want[key] = true
		}
	}
	sameWords(t, p.path+", keys without effect", said, want)
	if !strings.Contains(code, ".Writer.MaxPending") {
		t.Error("a key that is used is not found in the programs")
	}
}

// programSources is the wiring of the programs: where the keys are used.
func programSources(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	root := filepath.Join(top, "internal", "app")
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(name, "_test.go") {
			return err
		}
		content, err := os.ReadFile(name)
		b.Write(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestOperations_names_every_reason_of_undecoded(t *testing.T) {
	p := readPage(t, "docs/OPERATIONS.md")
	got, want := map[string]bool{}, map[string]bool{}
	for _, row := range rows(p.section(t, "Undecoded deliveries")[0].body) {
		for _, reason := range spans(row[0]) {
			got[reason] = true
		}
	}
	file := filepath.Join(top, "internal", "webhook", "decode.go")
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	r := reader{tb: t, words: map[string]string{}}
	ast.Inspect(parsed, r.constant)
	for name, reason := range r.words {
		if strings.HasPrefix(name, "Reason") {
			want[reason] = true
		}
	}
	sameWords(t, p.path+", undecoded", got, want)
}
