package docstest

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"sidestream/internal/app/replicator"
	"sidestream/internal/app/writer"
)

// aCommand is a call of one of the programs in a code span or a block.
var aCommand = regexp.MustCompile(`^(?:bin/)?(replicator|writer) ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?(.*)$`)

var aFlag = regexp.MustCompile(`(?:^|\s)(--[a-z][a-z-]*|-c)\b`)

func TestPages_name_only_commands_that_exist(t *testing.T) {
	named := 0
	for _, p := range pages(t) {
		calls := spans(p.prose)
		for _, f := range p.fences {
			if f.language == "sh" {
				for line := range strings.Lines(f.text) {
					calls = append(calls, strings.TrimSpace(line))
				}
			}
		}
		for _, call := range calls {
			m := aCommand.FindStringSubmatch(call)
			if m == nil {
				continue
			}
			named++
			if why := unknownCommand(t, m[1], m[2], m[3], m[4]); why != "" {
				t.Errorf("%s: %s: %s", p.path, call, why)
			}
		}
	}
	if named < 20 {
		t.Errorf("only %d commands are named: does this test still find them?", named)
	}
	if unknownCommand(t, "replicator", "cursor", "forget", "") == "" || unknownCommand(t, "writer", "check", "", "") == "" ||
		unknownCommand(t, "replicator", "status", "", " --jsom") == "" {
		t.Error("a command that does not exist passes")
	}
}

// unknownCommand asks the program itself for its help.
func unknownCommand(tb testing.TB, program, command, sub, rest string) string {
	tb.Helper()
	text := help(tb, program, command, sub)
	if text == "" {
		return "there is no such command"
	}
	for _, m := range aFlag.FindAllStringSubmatch(rest, -1) {
		if !strings.Contains(text, m[1]) {
			return "there is no flag " + m[1]
		}
	}
	return ""
}

// help is what a command says of itself, or nothing where there is none.
func help(tb testing.TB, program string, words ...string) string {
	tb.Helper()
	var args []string
	for _, word := range words {
		if word != "" {
			args = append(args, word)
		}
	}
	var out, problems bytes.Buffer
	run := replicator.Run
	if program == "writer" {
		run = writer.Run
	}
	if code := run(tb.Context(), append(args, "--help"), nil, &out, &problems, "test"); code != 0 {
		return ""
	}
	return out.String()
}

// aHint is a command in a text of the code: at its beginning, in backquotes or
// behind a colon or semicolon.
var aHint = regexp.MustCompile("(?:^|`|[:;] )(replicator|writer) ([a-z][a-z-]+)(?: ([a-z][a-z-]+))?")

func TestHints_name_only_commands_that_exist(t *testing.T) {
	named := 0
	for _, room := range []string{"internal", "replicator", "watcher"} {
		err := filepath.WalkDir(filepath.Join(top, room), func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || filepath.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
				return err
			}
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				literal, ok := n.(*ast.BasicLit)
				if !ok || literal.Kind != token.STRING {
					return true
				}
				text, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Error(err)
				}
				for _, m := range aHint.FindAllStringSubmatch(text, -1) {
					named++
					if why := unknownHint(t, m[1], m[2], m[3]); why != "" {
						t.Errorf("%s says %q: %s", fset.Position(n.Pos()), m[0], why)
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if named < 20 {
		t.Errorf("only %d commands were found in the code: does this test still read it?", named)
	}
	if unknownHint(t, "replicator", "forget", "") == "" || unknownHint(t, "replicator", "cursor", "forget") == "" || unknownHint(t, "replicator", "schema", "prints") != "" {
		t.Error("a hint is judged wrongly")
	}
}

// unknownHint is unknownCommand where the second word may go on with prose.
func unknownHint(tb testing.TB, program, command, word string) string {
	tb.Helper()
	why := unknownCommand(tb, program, command, word, "")
	if why == "" || strings.Contains(help(tb, program, command), "\nCommands:") {
		return why
	}
	return unknownCommand(tb, program, command, "", "")
}
