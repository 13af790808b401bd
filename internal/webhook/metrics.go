package webhook

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sidestream/mapping"
)

// The values of the result label: what became of an event.
const (
	resultStored     = "stored"
	resultDuplicate  = "duplicate"
	resultNoopEdit   = "noop_edit"
	resultReaction   = "reaction"
	resultRead       = "read"
	resultReferral   = "referral"
	resultOptin      = "optin"
	resultHandover   = "handover"
	resultOtherField = "other_field"
	resultTest       = "test"
	resultUndecoded  = "undecoded"
)

type metrics struct {
	requests          *prometheus.CounterVec
	duration          prometheus.Histogram
	events            *prometheus.CounterVec
	signatureFailures prometheus.Counter
	lastEvent         prometheus.Gauge
}

func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	const namespace, subsystem = "sidestream", "writer"
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "webhook_requests_total",
			Help: "Requests to the webhook by the status that answered them.",
		}, []string{"code"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "webhook_request_duration_seconds",
			Help: "Time from a request to its answer, the commit included. Meta waits 5 seconds.",
			// Fine around the cost of a commit, coarse up to Meta's patience.
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "events_total",
			Help: "Events of acknowledged deliveries by what became of them. An event of the dashboard's test button counts as test, and as stored or duplicate too.",
		}, []string{"result"}),
		signatureFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "signature_failures_total",
			Help: "Deliveries that were refused because their signature was missing or wrong.",
		}),
		lastEvent: prometheus.NewGauge(prometheus.GaugeOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "last_event_timestamp_seconds",
			Help: "When the last signed delivery was acknowledged; 0 before the first one since the start.",
		}),
	}
	for _, code := range []int{
		http.StatusOK, http.StatusBadRequest, http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge,
		http.StatusUnsupportedMediaType, http.StatusInternalServerError, http.StatusServiceUnavailable,
	} {
		m.requests.WithLabelValues(strconv.Itoa(code))
	}
	for _, result := range []string{
		resultStored, resultDuplicate, resultNoopEdit, resultReaction, resultRead, resultReferral,
		resultOptin, resultHandover, resultOtherField, resultTest, resultUndecoded,
	} {
		m.events.WithLabelValues(result)
	}
	if registerer == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.requests, m.duration, m.events, m.signatureFailures, m.lastEvent} {
		if err := registerer.Register(c); err != nil {
			return nil, fmt.Errorf("webhook: register metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) request(code int, took time.Duration) {
	m.requests.WithLabelValues(strconv.Itoa(code)).Inc()
	m.duration.Observe(took.Seconds())
}

// delivery counts the events of an acknowledged delivery.
func (m *metrics) delivery(decoded Decoded, committed Committed, now time.Time) {
	add := func(result string, n int) { m.events.WithLabelValues(result).Add(float64(max(n, 0))) }
	add(resultStored, committed.Inserted)
	add(resultDuplicate, committed.Duplicates)
	add(resultUndecoded, len(decoded.Undecoded))
	for result, n := range decoded.Ignored {
		add(result, n)
	}
	for _, change := range decoded.Changes {
		if change.Kind == mapping.KindTest {
			add(resultTest, 1)
		}
	}
	m.lastEvent.Set(float64(now.UnixMilli()) / 1000)
}
