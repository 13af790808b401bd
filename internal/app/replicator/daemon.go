package replicator

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"sidestream/internal/app/console"
	"sidestream/internal/config"
	"sidestream/internal/instagram"
	"sidestream/internal/mysql"
	"sidestream/internal/sqlite"
	"sidestream/internal/usernames"
	"sidestream/replicator"
	"sidestream/watcher"
)

// daemon is everything that replicating needs, wired together.
type daemon struct {
	config    *config.Config
	logger    *slog.Logger
	source    *sqlite.Source
	target    *mysql.Target
	instagram *instagram.Client
	usernames *usernames.Cache
	watcher   *watcher.Watcher
	loop      *replicator.Replicator
	// retry ends the loop's wait when a secret's file has changed.
	retry chan struct{}
	woken map[string]*atomic.Int64
}

func newDaemon(c *config.Config, logger *slog.Logger, registry *prometheus.Registry) (*daemon, error) {
	d := &daemon{config: c, logger: logger, retry: make(chan struct{}, 1), woken: map[string]*atomic.Int64{}}
	var err error
	if d.source, err = newSource(c, logger); err != nil {
		return nil, err
	}
	if d.target, err = newTarget(c, logger, registry); err != nil {
		return nil, err
	}
	if d.instagram, err = newInstagram(c); err != nil {
		return nil, err
	}
	if d.usernames, err = newUsernames(c, d.instagram, logger, registry); err != nil {
		return nil, err
	}
	wakeups := newWakeups(registry)
	for _, cause := range watcher.Causes() {
		d.woken[cause] = new(atomic.Int64)
	}
	d.watcher, err = watcher.New(c.Database.Path, watcher.Options{
		PollInterval: c.Source.PollInterval, Logger: logger.With("component", "watcher"),
		OnWake: func(cause string) {
			wakeups.WithLabelValues(cause).Inc()
			d.woken[cause].Add(1)
		},
	})
	if err != nil {
		return nil, err
	}
	mapper, err := newMapper(c)
	if err != nil {
		return nil, err
	}
	d.loop, err = replicator.New(replicator.Options{
		Source: d.source, Target: d.target, Mapper: mapper, Usernames: d.usernames,
		Wakeups: d.watcher.Wakeups(), Retry: d.retry,
		BatchRows: c.Replicator.BatchRows, MaxBackoff: c.Replicator.MaxBackoff, ShutdownTimeout: c.Replicator.ShutdownTimeout,
		Logger: logger.With("component", "replicator"), Registerer: registry,
	})
	if err != nil {
		return nil, err
	}
	d.registerSettings(registry)
	return d, nil
}

// registerSettings adds the metrics that only the wiring knows.
func (d *daemon) registerSettings(registry prometheus.Registerer) {
	gauge := func(name, help string, value func() float64) {
		registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "sidestream", Subsystem: "replicator", Name: name, Help: help}, value))
	}
	gauge("enabled", "0 where crm.enabled switches replication off.", func() float64 { return number(d.config.CRM.Enabled) })
	gauge("watcher_deaf", "1 where file events do not arrive and polling carries on alone.", func() float64 { return number(d.watcher.Deaf()) })
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// close releases source and target.
func (d *daemon) close() error {
	d.instagram.Close()
	return errors.Join(d.target.Close(), d.source.Close())
}

// origin returns where a key's value came from.
func (d *daemon) origin(key string) string { return console.Origin(d.config, key) }

// enableHint is the next step where replication is switched off. The value may
// come from the environment, where the file that people look at does not help.
func enableHint(c *config.Config) string {
	return "set crm.enabled = true (now from: " + console.Origin(c, "crm.enabled") + ")"
}

// headline is a database path as the status shows it.
func (d *daemon) headline() string { return strings.TrimSpace(d.config.Database.Path) }

// poke sends to a channel of one place, or leaves what is there already.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// watchSecrets ends the loop's wait when the password's file changes: a refused
// login otherwise waits for minutes.
func (d *daemon) watchSecrets(ctx context.Context) error {
	return watchFile(ctx, d.config.CRM.Password.File(), func() { poke(d.retry) })
}
