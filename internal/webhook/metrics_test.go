package webhook_test

import (
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"sidestream/internal/webhook"
)

// zeros are the series that a handler shows before its first request.
func zeros() map[string]float64 {
	out := map[string]float64{"webhook_request_duration_seconds": 0, "signature_failures_total": 0, "last_event_timestamp_seconds": 0}
	for _, code := range []string{"200", "400", "403", "405", "413", "415", "500", "503"} {
		out["webhook_requests_total "+code] = 0
	}
	for _, result := range []string{
		"stored", "duplicate", "noop_edit", "reaction", "read", "referral", "optin", "handover", "other_field", "test", "undecoded",
	} {
		out["events_total "+result] = 0
	}
	return out
}

func TestHandler_metrics(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewPedanticRegistry()
	store := &memory{}
	opts := options(store)
	opts.Registerer = reg
	h := newHandler(t, opts)
	want := zeros()
	if diff := cmp.Diff(want, samples(t, reg)); diff != "" {
		t.Fatalf("before the first request (-want +got):\n%s", diff)
	}

	step := func(name string, act func(), changed map[string]float64) {
		t.Helper()
		act()
		for series, n := range changed {
			if _, ok := want[series]; !ok {
				t.Fatalf("%s: no series %s", name, series)
			}
			want[series] += n
		}
		want["webhook_request_duration_seconds"]++
		if diff := cmp.Diff(want, samples(t, reg)); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", name, diff)
		}
	}
	step("failed commit counts no events", func() {
		store.err = errors.New("disk full")
		post(h, readShape(t, "changes_like_messaging.json"))
		store.err = nil
	}, map[string]float64{"webhook_requests_total 500": 1})
	step("mixed delivery", func() {
		store.committed = webhook.Committed{Inserted: 2, Duplicates: 1}
		post(h, readShape(t, "changes_like_messaging.json"))
	}, map[string]float64{
		"webhook_requests_total 200": 1, "events_total stored": 2, "events_total duplicate": 1, "events_total read": 1,
		"events_total reaction": 1, "events_total referral": 1, "last_event_timestamp_seconds": 1_790_000_009.999,
	})
	step("test button", func() {
		store.committed = webhook.Committed{Inserted: 1}
		post(h, readShape(t, "test_button.json"))
	}, map[string]float64{"webhook_requests_total 200": 1, "events_total stored": 1, "events_total test": 1})
	step("undecoded", func() {
		store.committed = webhook.Committed{}
		post(h, readShape(t, "no_content.json"))
	}, map[string]float64{"webhook_requests_total 200": 1, "events_total undecoded": 3})
	step("bad signature", func() {
		post(h, privateMessage(), with("X-Hub-Signature-256", "sha256=00"))
	}, map[string]float64{"webhook_requests_total 403": 1, "signature_failures_total": 1})
	step("refused handshake is no signature failure", func() {
		get(h, "hub.mode=subscribe&hub.challenge=1&hub.verify_token=x")
	}, map[string]float64{"webhook_requests_total 403": 1})
	step("method", func() {
		post(h, privateMessage(), func(r *http.Request) { r.Method = http.MethodDelete })
	}, map[string]float64{"webhook_requests_total 405": 1})

	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
}

func TestNew_names_the_bad_option(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*webhook.Options){
		"webhook: Options.VerifyToken is nil":       func(o *webhook.Options) { o.VerifyToken = nil },
		"webhook: Options.AppSecrets is nil":        func(o *webhook.Options) { o.AppSecrets = nil },
		"webhook: Options.Commit is nil":            func(o *webhook.Options) { o.Commit = nil },
		"webhook: Options.MaxBodyBytes is negative": func(o *webhook.Options) { o.MaxBodyBytes = -1 },
	} {
		opts := options(&memory{})
		spoil(&opts)
		if _, err := webhook.New(opts); err == nil || err.Error() != name {
			t.Errorf("%v, want %s", err, name)
		}
	}
	opts := options(&memory{})
	opts.Registerer = prometheus.NewRegistry()
	newHandler(t, opts)
	if _, err := webhook.New(opts); err == nil {
		t.Error("two handlers on one registry")
	}
	if h := newHandler(t, webhook.Options{VerifyToken: opts.VerifyToken, AppSecrets: opts.AppSecrets, Commit: opts.Commit}); post(h, privateMessage()).Code != http.StatusOK {
		t.Error("defaults do not work")
	}
}
