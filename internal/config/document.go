package config

import (
	"errors"
	"io"
	"os"
	"strings"

	"github.com/BurntSushi/toml"
)

// maxFile is far above any configuration's size; a larger file is another one.
const maxFile = 256 << 10

// document is the TOML file: its known keys with their lines, and what is wrong
// with its shape.
type document struct {
	// values holds the keys that the schema knows, by path.
	values map[string]located
	// sections holds the lines of the tables that the schema knows.
	sections map[string]int
	// excused are known paths, or sections of them, that a misspelt key was
	// probably meant to be: they are not reported as missing as well.
	excused []string
}

type located struct {
	value any
	line  int
}

// reader walks a parsed file. The TOML library decodes without lines, so every
// value stays a Primitive until its place is known.
type reader struct {
	file     string
	content  string
	meta     toml.MetaData
	known    map[string]bool // paths of keys, twins included
	sections map[string]bool
	names    []string // known and sections together, for suggestions
	doc      document
	problems []Problem
}

// readDocument reads the file. It returns no document where the file cannot be
// read or is no TOML.
func readDocument(file string, entries []entry) (*document, []Problem) {
	content, err := readFile(file)
	if err != nil {
		return nil, []Problem{{Where: file, Text: "cannot be read: " + withoutPath(err).Error(), Hint: "name the file with --config; config.example.toml is one to start from"}}
	}
	r := reader{
		file: file, content: strings.TrimPrefix(content, "\ufeff"),
		known: map[string]bool{}, sections: map[string]bool{},
		doc: document{values: map[string]located{}, sections: map[string]int{}},
	}
	for _, e := range entries {
		r.learn(e)
	}
	var top map[string]toml.Primitive
	if r.meta, err = toml.Decode(r.content, &top); err != nil {
		return nil, []Problem{r.syntaxProblem(err)}
	}
	r.walk("", top)
	return &r.doc, r.problems
}

func readFile(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return "", err
	}
	if len(content) > maxFile {
		return "", errors.New("larger than 256 KiB")
	}
	return string(content), nil
}

// learn adds an entry's paths and sections to what the file may hold.
func (r *reader) learn(e entry) {
	paths := []string{e.path}
	if e.secret() {
		paths = append(paths, e.twin())
	}
	for _, path := range paths {
		r.known[path] = true
		r.names = append(r.names, path)
	}
	for i, c := range e.path {
		if section := e.path[:i]; c == '.' && !r.sections[section] {
			r.sections[section] = true
			r.names = append(r.names, section)
		}
	}
}

// walk sorts one table's keys into known values, known sections and problems.
func (r *reader) walk(prefix string, table map[string]toml.Primitive) {
	for name, primitive := range table {
		// Key.String quotes a name with a dot in it, so that it cannot pass for
		// a path.
		path := prefix + toml.Key{name}.String()
		line := r.line(primitive)
		switch {
		case r.known[path]:
			var value any
			if err := r.meta.PrimitiveDecode(primitive, &value); err == nil {
				r.doc.values[path] = located{value, line}
			}
		case r.sections[path]:
			var below map[string]toml.Primitive
			// The library takes a value that is no table for an empty one.
			if err := r.meta.PrimitiveDecode(primitive, &below); err != nil || below == nil {
				r.problem(line, path, complaint{"must be one table", "write [" + path + "] once, and its keys below it"})
				r.doc.excused = append(r.doc.excused, path)
				continue
			}
			r.doc.sections[path] = line
			r.walk(path+".", below)
		default:
			r.unknown(line, path)
		}
	}
}

// unknown reports a key, or a whole table, that the schema does not have.
func (r *reader) unknown(line int, path string) {
	if len(path) > 100 {
		path = path[:strings.LastIndexByte(path[:100], '.')+1] + "…"
	}
	wrong := complaint{text: "unknown key"}
	meant := nearest(path, r.names)
	switch {
	case meant == "":
		wrong.hint = "the known ones are in config.example.toml"
	case strings.EqualFold(meant, path):
		wrong.hint = "keys are lower case: write " + lastWord(meant)
	default:
		wrong.hint = "did you mean " + meant + "?"
	}
	if meant != "" {
		r.doc.excused = append(r.doc.excused, meant)
	}
	r.problem(line, path, wrong)
}

func (r *reader) problem(line int, path string, wrong complaint) {
	r.problems = append(r.problems, Problem{Where: r.file, Line: line, Key: path, Text: wrong.text, Hint: wrong.hint})
}

// line returns where the value stands, or the first line below a table that is
// only implied by its keys.
func (r *reader) line(primitive toml.Primitive) int {
	if position, ok := r.position(primitive); ok {
		return position
	}
	var below map[string]toml.Primitive
	if err := r.meta.PrimitiveDecode(primitive, &below); err != nil {
		return 0
	}
	first := 0
	for _, inner := range below {
		if line := r.line(inner); line > 0 && (first == 0 || line < first) {
			first = line
		}
	}
	return first
}

// position decodes into a type that refuses everything: the library does not
// tell positions but in the errors that it wraps around such a refusal.
func (r *reader) position(primitive toml.Primitive) (int, bool) {
	refused, ok := errors.AsType[toml.ParseError](r.meta.PrimitiveDecode(primitive, new(refusal)))
	if !ok || refused.Position.Line == 0 {
		return 0, false
	}
	return r.lineAt(refused.Position), true
}

// lineAt counts lines itself: of a text over several lines the library names
// the last one.
func (r *reader) lineAt(position toml.Position) int {
	if position.Start < 0 || position.Start > len(r.content) {
		return position.Line
	}
	return min(position.Line, 1+strings.Count(r.content[:position.Start], "\n"))
}

// refusal accepts no value.
type refusal struct{}

// UnmarshalTOML refuses.
func (*refusal) UnmarshalTOML(any) error { return errors.New("refused") }
