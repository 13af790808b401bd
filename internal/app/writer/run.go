package writer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sidestream/internal/app/console"
	"sidestream/internal/config"
	"sidestream/internal/ops"
	"sidestream/internal/store"
	"sidestream/internal/webhook"
)

// Limits of the public listener. Instagram gives up after five seconds
// (Messenger Platform, "Webhooks"), so nothing here is generous.
const (
	headerTimeout = 5 * time.Second
	readTimeout   = 15 * time.Second
	answerTimeout = 30 * time.Second
	idleTimeout   = 2 * time.Minute
	commitTimeout = 10 * time.Second
	drainTimeout  = 10 * time.Second
)

// deletionPath follows the webhook's path.
const deletionPath = "/deletion"

type runCmd struct {
	PrintConfig bool `help:"Print every key with its value and where that came from, then exit."`
}

// Run receives webhooks until the context ends.
func (cmd runCmd) Run(a *app) (err error) {
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
	registry := ops.NewRegistry("writer", a.version)
	s, err := store.Open(a.ctx, storeOptions(c, logger, registry))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStore(s, logger)) }()
	gone := newReplaced()
	handler, err := newHandler(c, s, gone, logger, registry)
	if err != nil {
		return err
	}
	deletion, err := webhook.NewDeletion(webhook.DeletionOptions{
		AppSecrets: c.Writer.AppSecrets.Reveal, Logger: logger.With("component", "deletion"), Registerer: registry,
	})
	if err != nil {
		return err
	}
	public, err := ops.Listen(a.ctx, "writer.listen", c.Writer.Listen)
	if err != nil {
		return err
	}
	server, err := ops.New(ops.Options{
		Listen: c.Writer.MetricsListen, ListenKey: "writer.metrics_listen", WebConfigFile: c.Ops.WebConfigFile,
		Program: "writer", Version: a.version, Registry: registry, Logger: logger.With("component", "ops"),
	})
	if err != nil {
		return errors.Join(err, public.Close())
	}
	mux := http.NewServeMux()
	mux.Handle(c.Writer.WebhookPath, handler)
	if c.Writer.DeletionCallback {
		mux.Handle(strings.TrimSuffix(c.Writer.WebhookPath, "/")+deletionPath, deletion)
	}
	keep := newRetention(s, c, logger.With("component", "retention"), registry)
	logger.Info("started", "version", a.version, "config", c.File, "config_hash", c.Hash(), "database", c.Database.Path, "source_id", s.SourceID(),
		"listen", public.Addr().String(), "path", c.Writer.WebhookPath, "metrics_listen", server.Addr())

	var group ops.Group
	group.Add("ops", server.Run)
	group.Add("database", gone.run)
	group.Add("retention", keep.run)
	group.Add("webhook", func(ctx context.Context) error { return serve(ctx, public, mux, logger) })
	return group.Run(a.ctx)
}

// serve answers requests until ctx ends, then lets those in flight finish.
func serve(ctx context.Context, listener net.Listener, handler http.Handler, logger *slog.Logger) error {
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: answerTimeout, IdleTimeout: idleTimeout,
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	err := server.Shutdown(drain)
	<-failed // Serve has returned: http.ErrServerClosed
	return err
}

func storeOptions(c *config.Config, logger *slog.Logger, registerer prometheus.Registerer) store.Options {
	return store.Options{
		Path: c.Database.Path, MaxPending: c.Writer.MaxPending, UndecodedMaxBytes: c.Writer.UndecodedMaxBytes,
		Logger: logger.With("component", "store"), Registerer: registerer,
	}
}

func closeStore(s *store.Store, logger *slog.Logger) error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	err := s.Close(ctx)
	logger.Info("stopped", "drained", err == nil)
	return err
}

// newHandler joins the webhook's room and the store's.
func newHandler(c *config.Config, s *store.Store, gone *replaced, logger *slog.Logger, registerer prometheus.Registerer) (*webhook.Handler, error) {
	return webhook.New(webhook.Options{
		VerifyToken: c.Writer.VerifyToken.Reveal, AppSecrets: c.Writer.AppSecrets.Reveal, MaxBodyBytes: c.Writer.MaxBodyBytes,
		Commit: func(ctx context.Context, d webhook.Delivery) (webhook.Committed, error) {
			ctx, cancel := context.WithTimeout(ctx, commitTimeout)
			defer cancel()
			result, err := s.Commit(ctx, deliveryOf(d))
			gone.watch(err)
			if errors.Is(err, store.ErrOverloaded) || errors.Is(err, context.DeadlineExceeded) {
				err = fmt.Errorf("%w: %w", webhook.ErrOverloaded, err)
			}
			return webhook.Committed{Inserted: result.Inserted, Duplicates: result.Duplicates}, err
		},
		Logger: logger.With("component", "webhook"), Registerer: registerer,
	})
}

// deliveryOf translates between the two rooms.
func deliveryOf(d webhook.Delivery) store.Delivery {
	out := store.Delivery{Changes: d.Changes}
	for _, u := range d.Undecoded {
		out.Undecoded = append(out.Undecoded, store.Undecoded{Reason: u.Reason, Body: u.Body})
	}
	return out
}
