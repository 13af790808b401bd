package replicator

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sidestream/internal/app/console"
	"sidestream/internal/ops"
	"sidestream/internal/statuspage"
	"sidestream/replicator"
	"sidestream/watcher"
)

type runCmd struct {
	PrintConfig bool `help:"Print every key with its value and where that came from, then exit."`
}

// Run replicates until the context ends.
func (cmd runCmd) Run(a *app) error {
	c, logger, err := a.loadDaemon()
	if err != nil {
		return err
	}
	if cmd.PrintConfig {
		console.PrintOrigins(a.stdout, c)
		return nil
	}
	for _, warning := range c.Warnings {
		logger.Warn("configuration", "warning", warning)
	}
	registry := ops.NewRegistry("replicator", a.version)
	d, err := newDaemon(c, logger, registry)
	if err != nil {
		return err
	}
	server, err := ops.New(ops.Options{
		Listen: c.Replicator.Listen, ListenKey: "replicator.listen", WebConfigFile: c.Ops.WebConfigFile,
		Program: "replicator", Version: a.version, Registry: registry, Logger: logger.With("component", "ops"),
		Handlers: map[string]http.Handler{statuspage.Path: statuspage.Handler(func(ctx context.Context) statuspage.Status { return d.status(ctx, a.version) })},
	})
	if err != nil {
		return errors.Join(err, d.close())
	}
	logger.Info("started", "version", a.version, "config", c.File, "config_hash", c.Hash(), "database", c.Database.Path, "source", c.Source.Name, "listen", server.Addr())
	err = d.run(a.ctx, server)
	d.farewell()
	return errors.Join(err, d.close())
}

// run runs all parts. The end of ctx stops the loop first, which may then drain
// with everything else still there; the others follow when it has returned.
func (d *daemon) run(ctx context.Context, server *ops.Server) error {
	var group ops.Group
	group.Add("ops", server.Run)
	group.Add("watcher", d.watcher.Run)
	group.Add("usernames", d.usernames.Run)
	group.Add("secrets", d.watchSecrets)
	group.Add("heartbeat", d.heartbeat)
	group.Add("replicator", func(parts context.Context) error {
		loop, stop := context.WithCancel(parts)
		defer stop()
		defer context.AfterFunc(ctx, stop)()
		if !d.config.CRM.Enabled {
			d.logger.Warn("idle: crm.enabled is false; messages stay in the source", "setting", d.origin("crm.enabled"))
			<-loop.Done()
			return nil
		}
		return d.loop.Run(loop)
	})
	return group.Run(context.WithoutCancel(ctx))
}

// farewell logs where replication stands at the end.
func (d *daemon) farewell() {
	state := d.loop.State()
	if !state.Cursor.Known {
		d.logger.Info("stopped before the cursor was known")
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	left := "unknown"
	if pending, err := d.source.Pending(ctx, state.Cursor.Position); err == nil {
		left = fmt.Sprint(pending.Changes)
	}
	d.logger.Info("stopped", "position", state.Cursor.Position, "changes_left", left)
}

// newWakeups returns the counter of wake-ups, with every cause in it.
func newWakeups(registerer prometheus.Registerer) *prometheus.CounterVec {
	wakeups := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "sidestream", Subsystem: "replicator", Name: "wakeups_total",
		Help: "Hints that the source may have changed, by cause.",
	}, []string{"cause"})
	registerer.MustRegister(wakeups)
	for _, cause := range watcher.Causes() {
		wakeups.WithLabelValues(cause)
	}
	return wakeups
}

type onceCmd struct {
	Patience time.Duration `default:"30s" help:"How long failures that pass by themselves are waited for."`
}

// Run drains what is pending.
func (cmd onceCmd) Run(a *app) error {
	c, logger, err := a.load()
	if err != nil {
		return err
	}
	if !c.CRM.Enabled {
		return &console.HintError{Err: errors.New("crm.enabled is false: nothing was applied"), Hint: enableHint(c)}
	}
	d, err := newDaemon(c, logger, prometheus.NewRegistry())
	if err != nil {
		return err
	}
	defer func() { _ = d.close() }()
	names, stop := context.WithCancel(a.ctx)
	done := make(chan error, 1)
	go func() { done <- d.usernames.Run(names) }()
	finished := d.progress(a.ctx, a.stderr)
	err = d.loop.Drain(a.ctx, cmd.Patience)
	finished()
	stop()
	if e := <-done; err == nil {
		err = e
	}
	if err != nil {
		return failure(err)
	}
	fmt.Fprintf(a.stdout, "position %d, nothing left to apply\n", d.loop.State().Cursor.Position)
	return nil
}

// failure gives an error of the loop's kind its hint for the terminal.
func failure(err error) error {
	f := replicator.AsFailure(err)
	return &console.HintError{Err: err, Hint: f.Hint}
}
