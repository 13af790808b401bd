package usernames

import "github.com/prometheus/client_golang/prometheus"

// metrics are what an operator sees of lookups. Those that describe a state are
// computed when they are scraped.
type metrics struct {
	lookups *prometheus.CounterVec
}

func newMetrics(registerer prometheus.Registerer, c *Cache) *metrics {
	m := &metrics{lookups: prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "sidestream", Subsystem: "replicator", Name: "username_lookups_total",
		Help: "Username lookups by what came of them; deadline and saturated count users whose batch went on without waiting for one.",
	}, []string{"result"})}
	for _, result := range []Outcome{
		OK, NoConsent, Gone, TokenDead, Permission, Config, Throttled, Temporary, resultDeadline, resultSaturated,
	} {
		m.lookups.WithLabelValues(string(result))
	}
	if registerer == nil {
		return m
	}
	registerer.MustRegister(m.lookups, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "sidestream", Subsystem: "replicator", Name: "usernames_pending",
		Help: "Username lookups that are queued or running.",
	}, c.pending))
	for _, reason := range []Outcome{TokenDead, Permission, Config, Throttled, Temporary} {
		registerer.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "sidestream", Subsystem: "replicator", Name: "username_lookups_paused",
			Help:        "Whether username lookups are paused for this reason: 1 from the pause until a lookup has worked again.",
			ConstLabels: prometheus.Labels{"reason": string(reason)},
		}, func() float64 { return c.pausedFor(reason) }))
	}
	return m
}

func (m *metrics) count(result Outcome) { m.lookups.WithLabelValues(string(result)).Inc() }

func (c *Cache) pending() float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return float64(len(c.flights))
}

func (c *Cache) pausedFor(reason Outcome) float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, paused := c.pauses.until[reason]; paused {
		return 1
	}
	return 0
}
