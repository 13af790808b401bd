package docstest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sidestream/mapping"
	"sidestream/replicator"
)

// given is how the code gives a reason: with which classes, and whether slowly.
type given struct {
	classes map[string]bool
	slow    bool
}

// label is what the page's paragraph begins with.
func (g given) label() string {
	words := slices.Sorted(maps.Keys(g.classes))
	text := strings.Join(words, " or ")
	text = strings.ToUpper(text[:1]) + text[1:]
	if g.slow {
		text += ", slow"
	}
	return "**" + text + ".**"
}

// reasonsOf finds every reason that the code of the three rooms gives.
func reasonsOf(tb testing.TB) map[string]given {
	tb.Helper()
	found := map[string]given{}
	for _, room := range []string{"internal/sqlite", "internal/mysql", "replicator"} {
		r := reader{tb: tb, found: found, fset: token.NewFileSet(), words: map[string]string{"ReasonMoved": replicator.ReasonMoved}}
		r.room(filepath.Join(top, filepath.FromSlash(room)))
	}
	return found
}

// reader looks for reasons in the files of one room.
type reader struct {
	tb    testing.TB
	fset  *token.FileSet
	found map[string]given
	// words are the room's constants.
	words map[string]string
}

func (r *reader) room(dir string) {
	r.tb.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		r.tb.Fatal(err)
	}
	var files []*ast.File
	for _, entry := range entries {
		if name := entry.Name(); filepath.Ext(name) == ".go" && !strings.HasSuffix(name, "_test.go") {
			file, err := parser.ParseFile(r.fset, filepath.Join(dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				r.tb.Fatal(err)
			}
			files = append(files, file)
		}
	}
	for _, file := range files {
		ast.Inspect(file, r.constant)
	}
	for _, file := range files {
		ast.Inspect(file, r.node)
	}
}

func (r *reader) constant(n ast.Node) bool {
	if spec, ok := n.(*ast.ValueSpec); ok {
		for i, name := range spec.Names {
			if i < len(spec.Values) {
				if text, ok := r.text(spec.Values[i]); ok {
					r.words[name.Name] = text
				}
			}
		}
	}
	return true
}

// node finds the four ways in which a reason is given.
func (r *reader) node(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.CompositeLit:
		r.literal(n)
	case *ast.CallExpr:
		r.call(n)
	case *ast.AssignStmt:
		r.assignment(n)
	}
	return true
}

// literal reads Failure{Class: …, Reason: …} and the table's class{…}.
func (r *reader) literal(n *ast.CompositeLit) {
	switch last(n.Type) {
	case "Failure", "class":
	default:
		return
	}
	var class, reason string
	slow := false
	for _, element := range n.Elts {
		pair, ok := element.(*ast.KeyValueExpr)
		if !ok {
			continue
		}
		switch strings.ToLower(last(pair.Key)) {
		case "class":
			class = last(pair.Value)
		case "reason":
			reason, _ = r.text(pair.Value)
		case "slow":
			slow = last(pair.Value) == "true"
		}
	}
	if reason != "" {
		r.add(n, class, reason, slow)
	}
}

// call reads transient(reason, …), blocked(reason, …) and data(reason, …).
func (r *reader) call(n *ast.CallExpr) {
	name := last(n.Fun)
	position := 0
	switch name {
	case "transient", "blocked", "data":
	case "parked":
		name, position = "data", 4
	default:
		return
	}
	if len(n.Args) > position {
		if reason, ok := r.text(n.Args[position]); ok {
			r.add(n, name, reason, false)
		}
	}
}

// assignment reads f.Class, f.Reason = replicator.Transient, "…".
func (r *reader) assignment(n *ast.AssignStmt) {
	var class, reason string
	for i, left := range n.Lhs {
		if selector, ok := left.(*ast.SelectorExpr); ok && i < len(n.Rhs) {
			switch selector.Sel.Name {
			case "Class":
				class = last(n.Rhs[i])
			case "Reason":
				reason, _ = r.text(n.Rhs[i])
			}
		}
	}
	if reason != "" {
		r.add(n, class, reason, false)
	}
}

func (r *reader) add(n ast.Node, class, reason string, slow bool) {
	class = strings.ToLower(class)
	switch class {
	case "transient", "blocked", "data":
	default:
		r.tb.Errorf("%s gives the reason %s with the class %q, which this test does not understand", r.fset.Position(n.Pos()), reason, class)
		return
	}
	g := r.found[reason]
	if g.classes == nil {
		g.classes = map[string]bool{}
	}
	g.classes[class] = true
	g.slow = g.slow || slow
	r.found[reason] = g
}

// text is the value of a literal or of a constant of the room.
func (r *reader) text(e ast.Expr) (string, bool) {
	if literal, ok := e.(*ast.BasicLit); ok && literal.Kind == token.STRING {
		text, err := strconv.Unquote(literal.Value)
		return text, err == nil
	}
	text, ok := r.words[last(e)]
	return text, ok
}

// last is the last identifier of an expression.
func last(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.StarExpr:
		return last(e.X)
	}
	return ""
}

func TestOperations_has_a_paragraph_for_every_reason(t *testing.T) {
	found := reasonsOf(t)
	page := readPage(t, "docs/OPERATIONS.md")
	described := map[string]bool{}
	for _, h := range page.section(t, "Runbook")[1:] {
		if h.level != 3 {
			continue
		}
		reason := strings.Trim(h.text, "`")
		described[reason] = true
		g, ok := found[reason]
		switch {
		case !ok:
			t.Errorf("%s:%d: no code gives the reason %s", page.path, h.line, reason)
		case !strings.HasPrefix(strings.TrimSpace(h.body), g.label()):
			t.Errorf("%s:%d: the paragraph on %s does not begin with %s", page.path, h.line, reason, g.label())
		case strings.Count(h.body, "\n") < 3:
			t.Errorf("%s:%d: %s is not explained", page.path, h.line, reason)
		}
	}
	for _, reason := range slices.Sorted(maps.Keys(found)) {
		g := found[reason]
		if onlyData := len(g.classes) == 1 && g.classes["data"]; !onlyData && !described[reason] {
			t.Errorf("%s has no paragraph on %s; it begins with %s", page.path, reason, g.label())
		}
	}
}

func TestOperations_names_every_reason_of_dead_letters(t *testing.T) {
	want := map[string]bool{"unmapped": true, replicator.ReasonRowGone: true}
	for _, reason := range mapping.Reasons() {
		want[reason] = true
	}
	for reason, g := range reasonsOf(t) {
		if g.classes["data"] {
			want[reason] = true
		}
	}
	page := readPage(t, "docs/OPERATIONS.md")
	got := map[string]bool{}
	for _, row := range rows(page.section(t, "Dead letters")[0].body) {
		for _, reason := range spans(row[0]) {
			got[reason] = true
		}
	}
	sameWords(t, page.path+", dead letters", got, want)
}

// rows returns the cells of a table's rows, without its head.
func rows(text string) [][]string {
	var all [][]string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|-") || strings.HasPrefix(line, "| -") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		all = append(all, cells)
	}
	if len(all) == 0 {
		return nil
	}
	return all[1:]
}

// sameWords compares what a page says with what the code has.
func sameWords(tb testing.TB, where string, page, code map[string]bool) {
	tb.Helper()
	for _, word := range slices.Sorted(maps.Keys(code)) {
		if !page[word] {
			tb.Errorf("%s: %s is missing", where, word)
		}
	}
	for _, word := range slices.Sorted(maps.Keys(page)) {
		if !code[word] {
			tb.Errorf("%s: %s does not exist", where, word)
		}
	}
}
