package writer

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sidestream/internal/config"
	"sidestream/internal/store"
)

// When retention works: soon after the start, then daily, and sooner again
// where the replicator could not be asked.
const (
	retentionFirst = time.Minute
	retentionEvery = 24 * time.Hour
	retentionRetry = time.Hour
)

// retention prunes by writer.retention.
type retention struct {
	store  *store.Store
	config *config.Config
	logger *slog.Logger
	last   prometheus.Gauge
	// first is retentionFirst outside of tests.
	first time.Duration
}

func newRetention(s *store.Store, c *config.Config, logger *slog.Logger, registerer prometheus.Registerer) *retention {
	r := &retention{store: s, config: c, logger: logger, first: retentionFirst, last: prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: "sidestream", Subsystem: "writer", Name: "retention_last_success_timestamp_seconds",
		Help: "When writer.retention was last carried out, in seconds since 1970; 0 before the first time since the start, or where it is not set.",
	})}
	registerer.MustRegister(r.last)
	return r
}

// run prunes until ctx ends. A failure is logged and never ends the writer,
// unless the database was replaced.
func (r *retention) run(ctx context.Context) error {
	if r.config.Writer.Retention == 0 {
		<-ctx.Done()
		return nil
	}
	timer := time.NewTimer(r.first)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		pause := retentionEvery
		switch err := r.once(ctx); {
		case errors.Is(err, store.ErrReplaced):
			return replacedError(err)
		case err != nil && ctx.Err() == nil:
			r.logger.Warn("retention was not carried out; it is tried again in an hour", "err", err, "hint", hintOf(err))
			pause = retentionRetry
		}
		timer.Reset(pause)
	}
}

func (r *retention) once(ctx context.Context) error {
	upTo, err := appliedPosition(ctx, r.store, r.config, false)
	if err != nil {
		return err
	}
	done, err := r.store.Prune(ctx, time.Now().Add(-r.config.Writer.Retention), upTo, false)
	if err != nil {
		return err
	}
	r.last.SetToCurrentTime()
	r.logger.Info("retention carried out", "retention", r.config.Writer.Retention, "rows_blanked", done.Rows, "undecoded_deleted", done.Undecoded, "up_to_position", upTo)
	return nil
}
