package arrows

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// top is the top of the module, seen from here.
const top = "../.."

// listed is what `go list -json` tells of a package.
type listed struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// path is the package's path inside the module.
func (p listed) path() string { return strings.TrimPrefix(p.ImportPath, module+"/") }

func (p listed) testImports() []string { return slices.Concat(p.TestImports, p.XTestImports) }

// packages lists all packages of ours.
func packages(tb testing.TB) []listed {
	tb.Helper()
	return list(tb, "./...")
}

// linked lists everything that the given commands link.
func linked(tb testing.TB, commands ...string) []listed {
	tb.Helper()
	return list(tb, append([]string{"-deps"}, commands...)...)
}

func list(tb testing.TB, arguments ...string) []listed {
	tb.Helper()
	fields := "-json=ImportPath,Imports,TestImports,XTestImports"
	out := output(tb, "go", append([]string{"list", fields}, arguments...)...)
	var all []listed
	for d := json.NewDecoder(strings.NewReader(out)); ; {
		var p listed
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) == 0 {
		tb.Fatalf("go list %v found nothing", arguments)
	}
	return all
}

// output runs a command at the top of the module and returns what it says.
func output(tb testing.TB, name string, arguments ...string) string {
	tb.Helper()
	command := exec.CommandContext(tb.Context(), name, arguments...)
	command.Dir = top
	out, err := command.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		tb.Fatalf("%s: %v\n%s", command, err, exit.Stderr)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return string(out)
}
