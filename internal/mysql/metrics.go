package mysql

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	headroom        prometheus.Gauge
	deadLettersOpen prometheus.Gauge
	replaced        prometheus.Counter
	cut             prometheus.Counter
}

func newMetrics(registerer prometheus.Registerer) *metrics {
	factory := promauto.With(registerer)
	gauge := func(name, help string) prometheus.Gauge {
		return factory.NewGauge(prometheus.GaugeOpts{Namespace: "sidestream", Subsystem: "replicator", Name: name, Help: help})
	}
	counter := func(name, help string) prometheus.Counter {
		return factory.NewCounter(prometheus.CounterOpts{Namespace: "sidestream", Subsystem: "replicator", Name: name, Help: help})
	}
	m := &metrics{
		headroom:        gauge("crm_id_headroom_ratio", "Share of the CRM table's id range that is still free, from 1 (all) to 0 (none)."),
		deadLettersOpen: gauge("dead_letters_open", "Dead letters of this source that are not resolved."),
		replaced:        counter("values_replaced_total", "Values in which characters that the CRM's column lacks were replaced."),
		cut:             counter("values_cut_total", "Values cut at the CRM column's length (crm.too_long = \"cut\")."),
	}
	m.headroom.Set(1)
	return m
}
