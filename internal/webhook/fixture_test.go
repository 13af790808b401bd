package webhook_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sidestream/internal/webhook"
)

const (
	secret  = "the app's secret"
	token   = "the verify token"
	private = "private words"
)

// memory takes deliveries as the store would, but forgets them at the end.
type memory struct {
	mu         sync.Mutex
	deliveries []webhook.Delivery
	committed  webhook.Committed
	err        error
}

func (m *memory) commit(_ context.Context, d webhook.Delivery) (webhook.Committed, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return webhook.Committed{}, m.err
	}
	m.deliveries = append(m.deliveries, d)
	return m.committed, nil
}

func options(store *memory) webhook.Options {
	return webhook.Options{
		VerifyToken: func() (string, error) { return token, nil },
		AppSecrets:  func() ([]string, error) { return []string{"an older secret", secret}, nil },
		Commit:      store.commit,
		Now:         func() time.Time { return received },
	}
}

func newHandler(tb testing.TB, opts webhook.Options) *webhook.Handler {
	tb.Helper()
	h, err := webhook.New(opts)
	if err != nil {
		tb.Fatal(err)
	}
	return h
}

// privateMessage is a signed message whose text must show up nowhere.
func privateMessage() []byte {
	return delivery(fromPerson(`"message":{"mid":"mid-1","text":"` + private + `"}`))
}

// post sends a signed body; each edit changes the request before it goes.
func post(h http.Handler, body []byte, edits ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/webhook", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Hub-Signature-256", sign(secret, body))
	for _, edit := range edits {
		edit(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func with(header, value string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Del(header)
		if value != "" {
			r.Header.Set(header, value)
		}
	}
}

// samples returns every counter and gauge by name and label, and the counts of
// histograms.
func samples(tb testing.TB, reg *prometheus.Registry) map[string]float64 {
	tb.Helper()
	families, err := reg.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	out := make(map[string]float64)
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := strings.TrimPrefix(family.GetName(), "sidestream_writer_")
			for _, label := range m.GetLabel() {
				name += " " + label.GetValue()
			}
			switch {
			case m.GetCounter() != nil:
				out[name] = m.GetCounter().GetValue()
			case m.GetGauge() != nil:
				out[name] = m.GetGauge().GetValue()
			default:
				out[name] = float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return out
}

// logTo returns a logger that writes to the buffer.
func logTo(out *bytes.Buffer) *slog.Logger {
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
