package replicator

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"sidestream/mapping"
)

type metrics struct {
	applied       *prometheus.CounterVec
	applyFailures *prometheus.CounterVec
	deadLetters   *prometheus.CounterVec
	passed        *prometheus.CounterVec
	ambiguous     *prometheus.CounterVec
	applyDuration prometheus.Histogram
	endToEnd      prometheus.Histogram
	batchChanges  prometheus.Histogram
}

func newMetrics(registerer prometheus.Registerer, r *Replicator) *metrics {
	factory := promauto.With(registerer)
	vec := func(name, help, label string, values ...string) *prometheus.CounterVec {
		v := factory.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help}, []string{label})
		for _, value := range values {
			v.WithLabelValues(value)
		}
		return v
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		return factory.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help, Buckets: buckets})
	}
	latency := prometheus.ExponentialBuckets(0.0005, 2, 18) // 0.5 ms to 65 s
	m := &metrics{
		applied: vec("changes_applied_total", "Changes over which the cursor moved, by kind.", "kind",
			string(mapping.KindMessage), string(mapping.KindEdit), string(mapping.KindUnsend), string(mapping.KindErase)),
		applyFailures: vec("apply_failures_total", "Failed attempts to apply a batch, by class.", "class",
			string(Transient), string(Blocked), string(Data)),
		deadLetters: vec("dead_letters_total", "Changes parked as dead letters, by reason.", "reason", mapping.Reasons()...),
		passed: vec("changes_missed_total", "Edits, unsends and erasures that found no CRM row to change, by reason.", "reason",
			"not_in_ledger", "row_gone"),
		ambiguous: vec("ambiguous_commits_total", "COMMITs without an answer, by how the next read of the cursor settled them.", "resolution",
			"committed", "rolled_back", "superseded"),
		applyDuration: histogram("apply_duration_seconds", "Duration of a target transaction that committed.", latency),
		endToEnd:      histogram("end_to_end_duration_seconds", "Time from the commit in the source to the commit in the target.", latency),
		batchChanges:  histogram("batch_changes", "Changes in a committed target transaction.", prometheus.ExponentialBuckets(1, 4, 7)),
	}
	if registerer != nil {
		registerer.MustRegister(&collector{replicator: r})
	}
	return m
}

// countBatch counts a batch that is known to be committed.
func (m *metrics) countBatch(batch Batch, applied Applied, now time.Time) {
	m.batchChanges.Observe(float64(len(batch.Items)))
	for i := range batch.Items {
		item := &batch.Items[i]
		m.applied.WithLabelValues(string(item.Kind)).Inc()
		if item.Op == OpPark {
			m.deadLetters.WithLabelValues(item.Reason).Inc()
		}
		if !item.CommittedAt.IsZero() {
			m.endToEnd.Observe(max(0, now.Sub(item.CommittedAt).Seconds()))
		}
	}
	for reason, n := range applied.Missed {
		m.passed.WithLabelValues(reason).Add(float64(n))
	}
}

const (
	namespace = "sidestream"
	subsystem = "replicator"
	// scrapeTimeout bounds the read of the source that a scrape causes.
	scrapeTimeout = 2 * time.Second
	// stalledAfter is how long changes may wait without progress.
	stalledAfter = time.Minute
)

// collector computes at scrape time what must not freeze when the loop does.
type collector struct{ replicator *Replicator }

type gauge struct{ name, help string }

func gauges() map[string]gauge {
	return map[string]gauge{
		"lag_seconds":                    {"lag_seconds", "Age of the oldest change that is not applied; absent while cursor, source or target are not certain."},
		"lag_changes":                    {"lag_changes", "Positions between the cursor and the end of the source; absent while cursor, source or target are not certain."},
		"source_position":                {"source_position", "Highest position in the source."},
		"applied_position":               {"applied_position", "The cursor: everything up to it is in the CRM."},
		"cursor_known":                   {"cursor_known", "1 where the cursor has been read from the CRM since the start."},
		"crm_up":                         {"crm_up", "0 where the last attempt found no CRM that could be reached, logged in to and written to."},
		"stalled":                        {"stalled", "1 where changes wait and the cursor has not moved for a minute."},
		"last_success_timestamp_seconds": {"last_success_timestamp_seconds", "When the CRM last answered as it should, in seconds since 1970."},
	}
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, subsystem, name), help, labels, nil)
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, g := range gauges() {
		ch <- desc(g.name, g.help)
	}
	ch <- blockedDesc()
}

func blockedDesc() *prometheus.Desc {
	return desc("blocked", "1 for the reason why applying has stopped and needs a person.", "reason")
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	r := c.replicator
	state, now := r.State(), r.opt.Now()
	all := gauges()
	send := func(name string, value float64) {
		ch <- prometheus.MustNewConstMetric(desc(name, all[name].help), prometheus.GaugeValue, value)
	}
	send("cursor_known", number(state.Cursor.Known))
	send("crm_up", number(state.TargetUp))
	if !state.LastSuccess.IsZero() {
		send("last_success_timestamp_seconds", float64(state.LastSuccess.UnixMilli())/1000)
	}
	if state.Failure != nil && state.Failure.Class == Blocked {
		ch <- prometheus.MustNewConstMetric(blockedDesc(), prometheus.GaugeValue, 1, state.Failure.Reason)
	}
	if state.Cursor.Known {
		send("applied_position", float64(state.Cursor.Position))
	}
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	pending, err := r.opt.Source.Pending(ctx, state.Cursor.Position)
	if err != nil {
		send("stalled", number(state.Failure != nil && now.Sub(state.LastProgress) > stalledAfter))
		return
	}
	send("source_position", float64(pending.Head))
	send("stalled", number(pending.Changes > 0 && now.Sub(latest(state.LastProgress, pending.Oldest)) > stalledAfter))
	if !state.LagKnown() {
		return
	}
	lag := 0.0
	if !pending.Oldest.IsZero() {
		lag = max(0, now.Sub(pending.Oldest).Seconds())
	}
	send("lag_seconds", lag)
	send("lag_changes", float64(pending.Changes))
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
