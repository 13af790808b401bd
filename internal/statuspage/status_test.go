package statuspage

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func noon(tb testing.TB) time.Time {
	tb.Helper()
	return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
}

// full has every field set.
func full(tb testing.TB) Status {
	tb.Helper()
	at := noon(tb)
	return Status{
		At: at, Version: "1.2.3", Source: "main", Database: "data/messages.db",
		State: Blocked, Since: at.Add(-192 * time.Second),
		Class: "blocked", Reason: "target_rewound", Code: "1062", Detail: "the highest row of the ledger is gone",
		Hint: "replicator cursor resume", NextAttempt: at.Add(30 * time.Second), StepSince: at.Add(-12 * time.Second),
		CursorKnown: true, Generation: 2, Position: 880, AppliedTotal: 12345, Head: new(int64(1000)),
		LagChanges: new(int64(120)), LagSeconds: new(191.6), LastApplied: at.Add(-193 * time.Second), LastSuccess: at.Add(-2 * time.Second),
		CRMUp: true, Enabled: true, DeadLettersOpen: 3,
		Wakeups: map[string]int64{"poll": 7, "doorbell": 41}, Deaf: true,
	}
}

// from answers every question with one response of the handler.
func from(h http.Handler) Get {
	return func(ctx context.Context, _, path string) (int, []byte, error) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, path, http.NoBody))
		return w.Code, w.Body.Bytes(), nil
	}
}

func TestFetch_returns_what_the_handler_serves(t *testing.T) {
	for name, want := range map[string]Status{
		"with_every_field": full(t),
		"with_nothing_known_yet": {
			At: noon(t), State: Starting, Source: "main", Database: "messages.db", Enabled: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := Handler(func(context.Context) Status { return want })
			got, err := Fetch(t.Context(), from(h), "127.0.0.1:9465")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("full_really_has_every_field", func(t *testing.T) {
		v := reflect.ValueOf(full(t))
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				t.Errorf("%s is not set", v.Type().Field(i).Name)
			}
		}
	})
}

// The names are public: this list only grows.
func TestHandler_names(t *testing.T) {
	want := []string{
		"at", "version", "source", "database", "state", "since", "class", "reason", "code", "detail", "hint",
		"next_attempt", "step_since", "cursor_known", "generation", "position", "applied_total", "head", "lag_changes",
		"lag_seconds", "last_applied", "last_success", "crm_up", "enabled", "dead_letters_open", "wakeups", "deaf",
	}
	w := httptest.NewRecorder()
	h := Handler(func(context.Context) Status { return full(t) })
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, Path, http.NoBody))
	var got []string
	for line := range strings.Lines(w.Body.String()) {
		name, isField := strings.CutPrefix(line, "  \"")
		if isField {
			name, _, _ = strings.Cut(name, "\"")
			got = append(got, name)
		}
	}
	if !slices.Equal(want, got) {
		t.Error(cmp.Diff(want, got))
	}
	if ct := w.Header().Get("Content-Type"); ct != "application/json" {
		t.Errorf("content type %q", ct)
	}
}

func TestHandler_lag_is_null_while_it_is_not_known(t *testing.T) {
	_, body, _ := from(Handler(func(context.Context) Status { return Status{State: Starting} }))(t.Context(), "", Path)
	for _, want := range []string{`"lag_changes": null`, `"lag_seconds": null`, `"head": null`, `"cursor_known": false`} {
		if !strings.Contains(string(body), want) {
			t.Errorf("%s is not in\n%s", want, body)
		}
	}
}

func TestHandler_bounds_the_making_of_a_status(t *testing.T) {
	var bounded bool
	h := Handler(func(ctx context.Context) Status {
		_, bounded = ctx.Deadline()
		return Status{State: Running}
	})
	if _, err := Fetch(t.Context(), from(h), ""); err != nil || !bounded {
		t.Errorf("deadline %v, %v", bounded, err)
	}
}

func TestHandler_refuses_to_be_written_to(t *testing.T) {
	w := httptest.NewRecorder()
	h := Handler(func(context.Context) Status { return full(t) })
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, Path, strings.NewReader("{}")))
	if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("status %d, Allow %q", w.Code, w.Header().Get("Allow"))
	}
}

func TestFetch_refuses(t *testing.T) {
	refused := errors.New("connection refused")
	for name, tc := range map[string]struct {
		code int
		body string
		err  error
		want string
	}{
		"nobody_there":           {0, "", refused, "connection refused"},
		"a_listener_with_a_lock": {401, "", nil, "answered 401 Unauthorized"},
		"a_page_that_is_no_json": {200, "<html>", nil, "read the answer of 127.0.0.1:9465"},
		"json_of_something_else": {200, "{}", nil, "not a replicator's status"},
	} {
		t.Run(name, func(t *testing.T) {
			get := func(context.Context, string, string) (int, []byte, error) { return tc.code, []byte(tc.body), tc.err }
			_, err := Fetch(t.Context(), get, "127.0.0.1:9465")
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
			if !errors.Is(err, tc.err) && tc.err != nil {
				t.Error("the cause is not wrapped")
			}
		})
	}
	t.Run("but_not_what_a_newer_replicator_adds", func(t *testing.T) {
		get := func(context.Context, string, string) (int, []byte, error) {
			return 200, []byte(`{"state":"running","moon":"full"}`), nil
		}
		if s, err := Fetch(t.Context(), get, ""); err != nil || s.State != Running {
			t.Errorf("got %v, %v", s, err)
		}
	})
}

func TestStatus_Text(t *testing.T) {
	for name, tc := range map[string]struct {
		status Status
		want   string
	}{
		"everything_is_wrong": {full(t), `
source        main (data/messages.db)
state         blocked for 3m12s, since 2026-11-23T11:56:48Z
problem       blocked: target_rewound (1062): the highest row of the ledger is gone
next attempt  in 30s
lag           120 changes, 3m12s
position      880 of 1000, generation 2
applied       12345 changes, the last 3m13s ago
crm           up, no answer for 12s
dead letters  3 open
wake-ups      doorbell 41, poll 7
watcher       file events do not arrive; polling carries on
version       1.2.3
next step     replicator cursor resume
`},
		"all_is_well": {
			Status{
				At: noon(t), Source: "main", Database: "messages.db", State: Running, CursorKnown: true,
				Position: 1, AppliedTotal: 1, Head: new(int64(1)), LagChanges: new(int64(0)), LagSeconds: new(0.0),
				CRMUp: true, Enabled: true, LastApplied: noon(t).Add(-250 * time.Millisecond), LastSuccess: noon(t).Add(-time.Millisecond),
			}, `
source        main (messages.db)
state         running
lag           0 changes
position      1 of 1, generation 0
applied       1 change, the last 250ms ago
crm           up
dead letters  0 open
`,
		},
		"started_while_the_crm_is_away": {
			Status{
				At: noon(t), Source: "main", Database: "messages.db", State: Waiting, Class: "transient",
				Reason: "refused", Enabled: true, Head: new(int64(1000)), NextAttempt: noon(t).Add(-time.Second),
			}, `
source        main (messages.db)
state         waiting
problem       transient: refused
next attempt  now
lag           not known
position      not known yet, of 1000
applied       not known yet
crm           down
dead letters  0 open
`,
		},
		"switched_off": {
			Status{At: noon(t), Source: "main", Database: "messages.db", State: Idle}, `
source        main (messages.db)
state         idle
lag           not known
position      not known yet, of ?
applied       not known yet
crm           switched off (crm.enabled is false)
dead letters  0 open
`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got bytes.Buffer
			if err := tc.status.Text(&got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.TrimPrefix(tc.want, "\n"), got.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
	t.Run("a_terminal_is_not_given_orders", func(t *testing.T) {
		var got bytes.Buffer
		if err := (Status{State: Running, Source: "ma\x1b[2Jin\n"}).Text(&got); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(got.String(), "source        ma[2Jin ()\n") {
			t.Errorf("got %q", got.String())
		}
	})
	t.Run("a_broken_pipe_is_told", func(t *testing.T) {
		r, w := io.Pipe()
		r.Close()
		if err := full(t).Text(w); !errors.Is(err, io.ErrClosedPipe) {
			t.Errorf("got %v", err)
		}
	})
}
