// Package writer is the program `writer`: its command line, and the wiring of
// webhook and store.
package writer

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"sidestream/internal/app/console"
	"sidestream/internal/config"
	"sidestream/internal/ops"
)

// grammar is the command line.
type grammar struct {
	console.Common

	Run         runCmd         `cmd:"" default:"withargs" help:"Receive webhooks until stopped (the default)."`
	Undecoded   undecodedCmd   `cmd:"" help:"What was signed but could not be understood."`
	Erase       eraseCmd       `cmd:"" help:"Erase a person from the file, and through it from the CRM."`
	Prune       pruneCmd       `cmd:"" help:"Blank texts that are old and in the CRM."`
	Healthcheck healthcheckCmd `cmd:"" help:"Exit 0 where the running writer is alive."`
	VersionCmd  versionCmd     `cmd:"" name:"version" help:"Print the version."`
}

// app is what every subcommand gets.
type app struct {
	ctx     context.Context //nolint:containedctx // kong hands bindings to commands, and this is the only way in
	common  console.Common
	environ []string
	stdout  io.Writer
	stderr  io.Writer
	version string
}

// Run is the program: it parses args, does what they ask for, and returns the
// exit code. ctx ends it gracefully; answers go to stdout, logs to stderr.
func Run(ctx context.Context, args, environ []string, stdout, stderr io.Writer, linkedVersion string) int {
	var g grammar
	version := ops.Version(linkedVersion)
	program := console.Program{
		Name: "writer", Description: "Stores Instagram's webhooks in SQLite before it answers them, and waits for nothing else.",
		Version: version, Grammar: &g, Stdout: stdout, Stderr: stderr,
	}
	parsed, code := program.Parse(args)
	if parsed == nil {
		return code
	}
	return program.Finish(parsed.Run(&app{ctx: ctx, common: g.Common, environ: environ, stdout: stdout, stderr: stderr, version: version}))
}

// load reads the configuration and makes the logger of a command that gives an
// answer and ends.
func (a *app) load() (*config.Config, *slog.Logger, error) { return a.loadFor(console.LogLevel) }

// loadDaemon is load for a program that stays.
func (a *app) loadDaemon() (*config.Config, *slog.Logger, error) {
	return a.loadFor(func(c *config.Config) string { return c.Log.Level })
}

func (a *app) loadFor(level func(*config.Config) string) (*config.Config, *slog.Logger, error) {
	c, err := config.Load(config.Options{Path: a.common.Config, Environ: a.environ, Flags: a.common.Flags(), Program: config.Writer})
	if err != nil {
		return nil, nil, err
	}
	logger, err := ops.NewLogger(a.stderr, level(c), c.Log.Format, console.IsTerminal(a.stderr))
	if err != nil {
		return nil, nil, err
	}
	return c, logger, nil
}

type versionCmd struct{}

// Run prints the version.
func (versionCmd) Run(a *app) error {
	fmt.Fprintln(a.stdout, "writer", a.version)
	return nil
}

type healthcheckCmd struct {
	Timeout time.Duration `default:"3s" help:"How long to wait."`
}

// Run asks the running writer whether it is alive.
func (cmd healthcheckCmd) Run(a *app) error {
	c, _, err := a.load()
	if err != nil {
		return err
	}
	return ops.Healthcheck(a.ctx, c.Writer.MetricsListen, cmd.Timeout)
}
