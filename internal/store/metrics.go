package store

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sys/unix"

	"sidestream/mapping"
)

// scrapeTimeout bounds what a scrape may wait for the database.
const scrapeTimeout = 2 * time.Second

// metrics are what the writing goroutine counts. What describes a state is
// computed when it is scraped; a state that cannot be read is NaN.
type metrics struct {
	duration prometheus.Histogram
	rows     prometheus.Histogram
	dropped  prometheus.Counter
	changes  *prometheus.CounterVec
	pruned   prometheus.Counter
}

func newMetrics() *metrics {
	m := &metrics{
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "sidestream", Subsystem: "writer", Name: "commit_duration_seconds",
			Help:    "Time from BEGIN to the return of COMMIT of the writer's transactions.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 13),
		}),
		rows: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "sidestream", Subsystem: "writer", Name: "commit_rows",
			Help:    "Changes inserted by one transaction; 0 where it held duplicates or undecoded deliveries only.",
			Buckets: append([]float64{0}, prometheus.ExponentialBuckets(1, 2, 11)...),
		}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "sidestream", Subsystem: "writer", Name: "undecoded_dropped_total",
			Help: "Undecoded deliveries deleted because newer ones needed the room.",
		}),
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "sidestream", Subsystem: "writer", Name: "changes_total",
			Help: "Changes stored by this process, by kind. What a subcommand erases beside it is not among them.",
		}, []string{"kind"}),
		pruned: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: "sidestream", Subsystem: "writer", Name: "pruned_total",
			Help: "Rows whose text and attachments were blanked because they are older than writer.retention.",
		}),
	}
	for _, kind := range []mapping.Kind{mapping.KindMessage, mapping.KindEdit, mapping.KindUnsend, mapping.KindErase, mapping.KindTest} {
		m.changes.WithLabelValues(string(kind))
	}
	return m
}

// register also registers the states of the store and its files.
func (m *metrics) register(opts Options, s *Store) error {
	if opts.Registerer == nil {
		return nil
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "sidestream", Subsystem: "writer", Name: name, Help: help}, value)
	}
	var errs []error
	for _, collector := range []prometheus.Collector{
		m.duration, m.rows, m.dropped, m.changes, m.pruned,
		gauge("undecoded_open", "Undecoded deliveries that wait for a person.", s.undecodedOpen),
		gauge("unsend_checkpoint_pending_seconds", "How long the oldest text that was unsent, erased or pruned has been waiting to be removed from the -wal file; 0 where none is.",
			func() float64 { return s.writer.wal.waited().Seconds() }),
		gauge("database_bytes", "Size of the database file.", func() float64 { return fileSize(opts.Path) }),
		gauge("wal_bytes", "Size of the -wal file.", func() float64 { return fileSize(opts.Path + "-wal") }),
		gauge("disk_free_bytes", "Free space on the disk of the database, for programs that are not root.",
			func() float64 { return diskFree(filepath.Dir(opts.Path)) }),
	} {
		errs = append(errs, opts.Registerer.Register(collector))
	}
	return errors.Join(errs...)
}

func (s *Store) undecodedOpen() float64 {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	n, err := s.countUndecoded(ctx)
	if err != nil {
		return math.NaN()
	}
	return float64(n)
}

func fileSize(path string) float64 {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return 0
	case err != nil:
		return math.NaN()
	}
	return float64(info.Size())
}

func diskFree(dir string) float64 {
	var stat unix.Statfs_t
	if err := unix.Statfs(dir, &stat); err != nil {
		return math.NaN()
	}
	return float64(stat.Bavail) * float64(stat.Bsize)
}
