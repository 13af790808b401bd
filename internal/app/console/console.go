// Package console is what the command lines of both programs share: exit
// codes, parsing without leaving the process, and how errors are shown.
package console

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"sidestream/internal/config"
)

// The exit codes. 64 and 78 are EX_USAGE and EX_CONFIG of sysexits.h; 2 is left
// to the Go runtime, which uses it for a panic.
const (
	OK      = 0
	Failed  = 1
	Drift   = 3
	Usage   = 64
	BadConf = 78
)

// ExitCodes is the paragraph about them at the end of --help.
const ExitCodes = "Exit codes: 0 fine, 1 runtime failure, 3 drift or lag beyond the limit, 64 wrong usage, 78 wrong configuration."

// Common are the flags that every subcommand takes.
type Common struct {
	Config    string           `short:"c" placeholder:"FILE" env:"SIDESTREAM_CONFIG" help:"The TOML file. Without one, everything comes from the environment."`
	LogLevel  string           `placeholder:"LEVEL" help:"debug, info, warn or error."`
	LogFormat string           `placeholder:"FORMAT" help:"text or json. Default: text on a terminal, else json."`
	Version   kong.VersionFlag `help:"Print the version and exit."`
}

// Flags returns the flags that stand for configuration keys.
func (c Common) Flags() map[string]string {
	return map[string]string{"log.level": c.LogLevel, "log.format": c.LogFormat}
}

// ExitError is an error with the exit code that it asks for.
type ExitError struct {
	Code int
	Err  error
}

// Error returns the cause's text.
func (e *ExitError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *ExitError) Unwrap() error { return e.Err }

// HintError is an error with the operator's next step.
type HintError struct {
	Err  error
	Hint string
}

// Error returns the cause's text.
func (e *HintError) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *HintError) Unwrap() error { return e.Err }

// Program describes one of the command lines.
type Program struct {
	Name        string
	Description string
	Version     string
	// Grammar is a pointer to the struct that kong fills.
	Grammar any
	Stdout  io.Writer
	Stderr  io.Writer
}

// exit is what leaves the parser instead of os.Exit.
type exit struct{ code int }

// Parse reads the arguments. Where it returns a nil context the process is done
// with the returned code: help was printed, or the arguments are wrong.
func (p Program) Parse(args []string) (parsed *kong.Context, code int) {
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(exit)
			if !ok {
				panic(r)
			}
			parsed, code = nil, e.code
		}
	}()
	parser, err := kong.New(p.Grammar,
		kong.Name(p.Name), kong.Description(p.Description+"\n\n"+ExitCodes),
		kong.Writers(p.Stdout, p.Stderr), kong.Exit(func(code int) { panic(exit{code}) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.Vars{"version": p.Name + " " + p.Version})
	if err != nil {
		panic(err) // the grammar is ours: every test would meet it
	}
	parsed, err = parser.Parse(args)
	if err != nil {
		fmt.Fprintf(p.Stderr, "%s: %v\ntry: %s --help\n", p.Name, err, strings.Join(append([]string{p.Name}, commandOf(err, args)...), " "))
		return nil, Usage
	}
	return parsed, OK
}

// commandOf returns the subcommand that the arguments of a parse error name:
// its help is the one that helps. The default one counts where it was written.
func commandOf(err error, args []string) []string {
	parse, ok := errors.AsType[*kong.ParseError](err)
	if !ok {
		return nil
	}
	var words []string
	for _, step := range parse.Context.Path {
		if step.Command != nil && slices.Contains(args, step.Command.Name) {
			words = append(words, step.Command.Name)
		}
	}
	return words
}

// Finish shows an error, if there is one, and returns the exit code.
func (p Program) Finish(err error) int {
	if err == nil {
		return OK
	}
	if problems, ok := errors.AsType[*config.Problems](err); ok {
		fmt.Fprintln(p.Stderr, problems)
		return BadConf
	}
	code := Failed
	if e, ok := errors.AsType[*ExitError](err); ok {
		code = e.Code
	}
	if text := err.Error(); text != "" {
		fmt.Fprintf(p.Stderr, "%s: %s\n", p.Name, text)
	}
	if h, ok := errors.AsType[*HintError](err); ok && h.Hint != "" {
		fmt.Fprintf(p.Stderr, "next: %s\n", h.Hint)
	}
	return code
}

// IsTerminal reports whether w is a terminal.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Origin returns where a configuration key's value came from.
func Origin(c *config.Config, key string) string {
	for _, o := range c.Origins() {
		if o.Key == key {
			return o.From
		}
	}
	return "default"
}

// LogLevel is the level of a command that gives an answer and ends: what goes
// well is no news there, and would stand in the midst of the answer. Whoever sets
// log.level gets that.
func LogLevel(c *config.Config) string {
	if Origin(c, "log.level") == "default" {
		return "warn"
	}
	return c.Log.Level
}

// PrintOrigins writes every configuration key with its value and where that
// came from, as lines of TOML.
func PrintOrigins(w io.Writer, c *config.Config) {
	for _, o := range c.Origins() {
		fmt.Fprintln(w, o)
	}
}
