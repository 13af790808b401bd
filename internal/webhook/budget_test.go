package webhook_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"sidestream/internal/webhook"
)

// TestHandler_holds_bodies_within_its_budget: bodies of which much has arrived
// keep others out, with an answer that is counted and logged, until they end.
func TestHandler_holds_bodies_within_its_budget(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	reg := prometheus.NewPedanticRegistry()
	opts := options(&memory{})
	opts.Logger, opts.Registerer = logTo(&out), reg
	opts.MaxBodyBytes, opts.MaxHeldBytes = 1_000, 1_500
	h := newHandler(t, opts)
	body := privateMessage()

	// Announced, one byte sent.
	idle := slow(t, h, 1_000, 1)
	if w := post(h, body); w.Code != http.StatusOK {
		t.Errorf("beside an idle request: answered %d", w.Code)
	}
	first, second := slow(t, h, 900, 800), slow(t, h, 900, 698)
	for range 3 {
		if w := post(h, body); w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("beyond the budget: answered %d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
		}
	}
	if n := samples(t, reg)["webhook_requests_total 503"]; n != 3 {
		t.Errorf("%v requests counted with code 503, want 3", n)
	}
	if lines := strings.Count(out.String(), "delivery refused for now"); lines != 1 {
		t.Errorf("%d lines in a minute:\n%s", lines, out.String())
	}
	second()
	if w := post(h, body); w.Code != http.StatusOK {
		t.Errorf("after one has gone: answered %d", w.Code)
	}
	first()
	idle()
	// Nothing is left booked: two that fill the budget fit, twice.
	for range 2 {
		large := slow(t, h, 1_000, 999)
		if w := post(h, body); w.Code != http.StatusOK {
			t.Errorf("after all have gone: answered %d", w.Code)
		}
		large()
	}
}

func TestNew_budget(t *testing.T) {
	t.Parallel()
	opts := options(&memory{})
	opts.MaxHeldBytes = -1
	if _, err := webhook.New(opts); err == nil {
		t.Error("a negative MaxHeldBytes is taken")
	}
	// The largest body always fits.
	opts.MaxBodyBytes, opts.MaxHeldBytes = 1_000, 1
	if w := post(newHandler(t, opts), privateMessage()); w.Code != http.StatusOK {
		t.Errorf("a budget below one body: answered %d", w.Code)
	}
}

// slow begins a request that announces a number of bytes and sends fewer. It
// returns when those are read; the function that it returns cuts the request off.
func slow(t *testing.T, h http.Handler, announced int64, sent int) func() {
	t.Helper()
	reading, writing := io.Pipe()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/webhook", reading)
	r.ContentLength = announced
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.ServeHTTP(httptest.NewRecorder(), r)
	}()
	if _, err := writing.Write(make([]byte, sent)); err != nil {
		t.Fatal(err)
	}
	// The pipe's Write returns when the bytes are taken, and they are booked
	// before the next Read, which takes this empty write's turn.
	if _, err := writing.Write(nil); err != nil {
		t.Fatal(err)
	}
	return func() {
		_ = writing.CloseWithError(io.ErrUnexpectedEOF)
		<-done
	}
}
