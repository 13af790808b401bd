package simulate_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"sidestream/internal/simulate"
)

const secret = "app secret"

// received holds the bodies that a webhook was sent.
type received struct {
	mu     sync.Mutex
	bodies []string
}

// add returns how many bodies came before.
func (r *received) add(body string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bodies = append(r.bodies, body)
	return len(r.bodies) - 1
}

func (r *received) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.bodies)
}

// webhook answers with one status after the other, the last one for good, and
// checks what every request must have. Status 0 breaks the connection.
func webhook(tb testing.TB, statuses ...int) (url string, got *received) {
	tb.Helper()
	got = &received{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			tb.Errorf("read: %v", err)
		}
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(body)
		if got := r.Header.Get("X-Hub-Signature-256"); got != "sha256="+hex.EncodeToString(mac.Sum(nil)) {
			tb.Errorf("signature %q", got)
		}
		if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
			tb.Errorf("%s of %s", r.Method, r.Header.Get("Content-Type"))
		}
		status := statuses[min(got.add(string(body)), len(statuses)-1)]
		if status == 0 {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(status)
	}))
	tb.Cleanup(server.Close)
	return server.URL, got
}

// sender returns a Sender that notes its waits instead of waiting.
func sender(tb testing.TB, opts simulate.SenderOptions) (s *simulate.Sender, waits *[]time.Duration) {
	tb.Helper()
	waits = new([]time.Duration)
	opts.Secret = secret
	if opts.Sleep == nil {
		opts.Sleep = func(ctx context.Context, d time.Duration) error {
			*waits = append(*waits, d)
			return ctx.Err()
		}
	}
	s, err := simulate.NewSender(opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s, waits
}

func TestSender_Post(t *testing.T) {
	delivery := simulate.Delivery{Body: []byte(`{"object":"instagram"}`)}

	t.Run("an_answer_of_200_acknowledges", func(t *testing.T) {
		url, bodies := webhook(t, 200)
		s, waits := sender(t, simulate.SenderOptions{URL: url})
		r, err := s.Post(t.Context(), delivery)
		if err != nil || r != (simulate.Receipt{Acknowledged: true, Status: 200, Attempts: 1}) {
			t.Errorf("got %+v, %v", r, err)
		}
		if len(*waits) != 0 || !slices.Equal(bodies.all(), []string{string(delivery.Body)}) {
			t.Errorf("%d waits, bodies %q", len(*waits), bodies.all())
		}
	})

	t.Run("errors_of_the_server_and_broken_connections_are_tried_again", func(t *testing.T) {
		url, bodies := webhook(t, 503, 0, 500, 429, 200)
		s, waits := sender(t, simulate.SenderOptions{URL: url})
		r, err := s.Post(t.Context(), delivery)
		if err != nil || !r.Acknowledged || r.Attempts != 5 || len(bodies.all()) != 5 || len(*waits) != 4 {
			t.Errorf("got %+v, %v after %v", r, err, *waits)
		}
		for i := 1; i < len(*waits); i++ {
			if (*waits)[i] <= (*waits)[i-1] {
				t.Errorf("waits do not grow: %v", *waits)
			}
		}
	})

	t.Run("a_refusal_is_final", func(t *testing.T) {
		for _, status := range []int{403, 413, 202} {
			url, _ := webhook(t, status)
			s, _ := sender(t, simulate.SenderOptions{URL: url})
			r, err := s.Post(t.Context(), delivery)
			if !errors.Is(err, simulate.ErrNotAcknowledged) || r != (simulate.Receipt{Status: status, Attempts: 1}) {
				t.Errorf("%d: got %+v, %v", status, r, err)
			}
		}
	})

	t.Run("the_last_attempt_gives_up", func(t *testing.T) {
		for _, status := range []int{500, 0} {
			url, _ := webhook(t, status)
			s, waits := sender(t, simulate.SenderOptions{URL: url, Attempts: 3})
			r, err := s.Post(t.Context(), delivery)
			if !errors.Is(err, simulate.ErrNotAcknowledged) || r != (simulate.Receipt{Status: status, Attempts: 3}) || len(*waits) != 2 {
				t.Errorf("%d: got %+v, %v after %v", status, r, err, *waits)
			}
		}
	})

	t.Run("without_a_limit_the_context_gives_up", func(t *testing.T) {
		url, bodies := webhook(t, 500)
		ctx, cancel := context.WithCancel(t.Context())
		s, _ := sender(t, simulate.SenderOptions{URL: url, Attempts: -1, Sleep: func(ctx context.Context, d time.Duration) error {
			if d > 5*time.Second {
				t.Errorf("waits %s", d)
			}
			if len(bodies.all()) == 50 {
				cancel()
			}
			return ctx.Err()
		}})
		r, err := s.Post(ctx, delivery)
		if !errors.Is(err, simulate.ErrNotAcknowledged) || !errors.Is(err, context.Canceled) || r.Attempts != 50 {
			t.Errorf("got %+v, %v", r, err)
		}
	})

	t.Run("real_time_passes_where_no_sleep_is_given", func(t *testing.T) {
		url, _ := webhook(t, 500, 200)
		s, err := simulate.NewSender(simulate.SenderOptions{URL: url, Secret: secret, Client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		if r, err := s.Post(t.Context(), delivery); err != nil || r.Attempts != 2 {
			t.Errorf("got %+v, %v", r, err)
		}
	})
}

func TestNewSender(t *testing.T) {
	for name, opts := range map[string]simulate.SenderOptions{
		"no_url": {Secret: secret}, "no_secret": {URL: "http://127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := simulate.NewSender(opts); err == nil {
				t.Error("no error")
			}
		})
	}
}
