// Package replicator is the program `replicator`: its command line, and the
// wiring of source, loop, target and usernames.
package replicator

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"sidestream/internal/app/console"
	"sidestream/internal/config"
	"sidestream/internal/ops"
)

// grammar is the command line.
type grammar struct {
	console.Common

	Run         runCmd         `cmd:"" default:"withargs" help:"Replicate until stopped (the default)."`
	Once        onceCmd        `cmd:"" help:"Apply what is pending, then exit."`
	Check       checkCmd       `cmd:"" help:"Check configuration, source and CRM, one line each. Creates missing state tables, as a first start does."`
	Status      statusCmd      `cmd:"" help:"Show what replication is doing."`
	Cursor      cursorCmd      `cmd:"" help:"Show or decide where replication stands."`
	DeadLetters deadLettersCmd `cmd:"" help:"Show or retry the changes that the CRM refused."`
	Schema      schemaCmd      `cmd:"" help:"Print the DDL and GRANTs of the state tables."`
	Healthcheck healthcheckCmd `cmd:"" help:"Exit 0 where the running replicator is alive."`
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
		Name: "replicator", Description: "Carries Instagram messages from the writer's SQLite file into a CRM's MySQL table, exactly once.",
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
	c, err := config.Load(config.Options{Path: a.common.Config, Environ: a.environ, Flags: a.common.Flags(), Program: config.Replicator})
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
	fmt.Fprintln(a.stdout, "replicator", a.version)
	return nil
}
