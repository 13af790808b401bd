package webhook_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sidestream/internal/webhook"
	"sidestream/mapping"
)

func TestHandler_delivery_is_committed_and_answered(t *testing.T) {
	t.Parallel()
	store := &memory{}
	body := delivery(fromPerson(`"message":{"mid":"mid-1","text":"a"}`) + "," + fromPerson(`"poll":{}`))
	if w := post(newHandler(t, options(store)), body); w.Code != http.StatusOK {
		t.Fatalf("answered %d", w.Code)
	}
	want := []webhook.Delivery{{
		Changes:   []mapping.Change{inbound(text("a"))},
		Undecoded: []webhook.Undecoded{{Reason: webhook.ReasonUnknownEvent, Body: delivery(fromPerson(`"poll":{}`))}},
	}}
	if diff := cmp.Diff(want, store.deliveries); diff != "" {
		t.Errorf("committed (-want +got):\n%s", diff)
	}
}

// writeSpy tells whether an answer has begun.
type writeSpy struct {
	http.ResponseWriter
	began bool
}

func (s *writeSpy) WriteHeader(code int)        { s.began = true; s.ResponseWriter.WriteHeader(code) }
func (s *writeSpy) Write(b []byte) (int, error) { s.began = true; return s.ResponseWriter.Write(b) }

func TestHandler_answers_only_after_commit_has_returned(t *testing.T) {
	t.Parallel()
	spy := &writeSpy{ResponseWriter: httptest.NewRecorder()}
	calls := 0
	opts := options(nil)
	opts.Commit = func(context.Context, webhook.Delivery) (webhook.Committed, error) {
		calls++
		if spy.began {
			t.Error("the answer began before the commit returned")
		}
		return webhook.Committed{Inserted: 1}, nil
	}
	body := privateMessage()
	r := httptest.NewRequest(http.MethodPost, "/webhook", bytes.NewReader(body))
	r.Header.Set("X-Hub-Signature-256", sign(secret, body))
	newHandler(t, opts).ServeHTTP(spy, r)
	if !spy.began || calls != 1 {
		t.Errorf("answered %v after %d commits", spy.began, calls)
	}
}

func TestHandler_delivery_with_nothing_to_store_needs_no_commit(t *testing.T) {
	t.Parallel()
	store := &memory{err: errors.New("must not be called")}
	h := newHandler(t, options(store))
	for _, file := range []string{"read", "reaction", "edit_zero", "comment", "handover"} {
		if w := post(h, readShape(t, file+".json")); w.Code != http.StatusOK {
			t.Errorf("%s: answered %d", file, w.Code)
		}
	}
}

func TestHandler_refusals(t *testing.T) {
	t.Parallel()
	body := privateMessage()
	large := bytes.Repeat([]byte(" "), 2_000)
	for _, test := range []struct {
		name  string
		body  []byte
		edits []func(*http.Request)
		code  int
	}{
		{name: "as_it_should_be", code: http.StatusOK},
		{name: "without_a_content_type", edits: []func(*http.Request){with("Content-Type", "")}, code: http.StatusOK},
		{name: "content_type_with_charset", edits: []func(*http.Request){with("Content-Type", "Application/JSON; charset=utf-8")}, code: http.StatusOK},
		{name: "form", edits: []func(*http.Request){with("Content-Type", "application/x-www-form-urlencoded")}, code: http.StatusUnsupportedMediaType},
		{name: "malformed_content_type", edits: []func(*http.Request){with("Content-Type", "application/json; =")}, code: http.StatusUnsupportedMediaType},
		{name: "put", edits: []func(*http.Request){func(r *http.Request) { r.Method = http.MethodPut }}, code: http.StatusMethodNotAllowed},
		{name: "head", edits: []func(*http.Request){func(r *http.Request) { r.Method = http.MethodHead }}, code: http.StatusMethodNotAllowed},
		{name: "too_large", body: large, code: http.StatusRequestEntityTooLarge},
		{name: "too_large_by_its_own_account_is_not_even_read", edits: []func(*http.Request){func(r *http.Request) { r.ContentLength = 1_001 }}, code: http.StatusRequestEntityTooLarge},
		{name: "too_large_without_a_length", body: large, edits: []func(*http.Request){func(r *http.Request) { r.ContentLength = -1 }}, code: http.StatusRequestEntityTooLarge},
		{name: "cut_off", edits: []func(*http.Request){func(r *http.Request) {
			r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body[:10]), iotest.ErrReader(io.ErrUnexpectedEOF)))
		}}, code: http.StatusBadRequest},
		{name: "no_signature", edits: []func(*http.Request){with("X-Hub-Signature-256", "")}, code: http.StatusForbidden},
		{name: "only_the_old_signature", edits: []func(*http.Request){with("X-Hub-Signature-256", ""), with("X-Hub-Signature", sign(secret, body))}, code: http.StatusForbidden},
		{name: "wrong_secret", edits: []func(*http.Request){with("X-Hub-Signature-256", sign("wrong", body))}, code: http.StatusForbidden},
		{name: "empty_secret", edits: []func(*http.Request){with("X-Hub-Signature-256", sign("", body))}, code: http.StatusForbidden},
		{name: "another_body", edits: []func(*http.Request){with("X-Hub-Signature-256", sign(secret, []byte("{}")))}, code: http.StatusForbidden},
		{name: "no_prefix", edits: []func(*http.Request){with("X-Hub-Signature-256", strings.TrimPrefix(sign(secret, body), "sha256="))}, code: http.StatusForbidden},
		{name: "half_a_signature", edits: []func(*http.Request){with("X-Hub-Signature-256", sign(secret, body)[:39])}, code: http.StatusForbidden},
		{name: "older_secret", edits: []func(*http.Request){with("X-Hub-Signature-256", sign("an older secret", body))}, code: http.StatusOK},
		{name: "signed_nonsense", body: []byte("nonsense"), code: http.StatusOK},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			store := &memory{}
			opts := options(store)
			opts.MaxBodyBytes = 1_000
			opts.AppSecrets = func() ([]string, error) { return []string{"", "an older secret", secret}, nil }
			if test.body == nil {
				test.body = body
			}
			w := post(newHandler(t, opts), test.body, test.edits...)
			if w.Code != test.code {
				t.Errorf("answered %d, want %d", w.Code, test.code)
			}
			if stored := len(store.deliveries); (stored == 1) != (test.code == http.StatusOK) {
				t.Errorf("answered %d with %d deliveries stored", w.Code, stored)
			}
			if allow := w.Header().Get("Allow"); (allow == "GET, POST") != (test.code == http.StatusMethodNotAllowed) {
				t.Errorf("Allow: %q", allow)
			}
			if w.Code != http.StatusOK && w.Header().Get("X-Content-Type-Options") != "nosniff" {
				t.Error("without nosniff")
			}
		})
	}
}

func TestHandler_failed_commits_are_server_errors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err  error
		code int
	}{
		{webhook.ErrOverloaded, http.StatusServiceUnavailable},
		{fmt.Errorf("shutting down: %w", webhook.ErrOverloaded), http.StatusServiceUnavailable},
		{errors.New("disk full"), http.StatusInternalServerError},
		{context.DeadlineExceeded, http.StatusInternalServerError},
	} {
		w := post(newHandler(t, options(&memory{err: test.err})), privateMessage())
		if w.Code != test.code {
			t.Errorf("%v: answered %d, want %d", test.err, w.Code, test.code)
		}
		if after := w.Header().Get("Retry-After"); (after != "") != (test.code == http.StatusServiceUnavailable) {
			t.Errorf("%v: Retry-After %q", test.err, after)
		}
	}
}

func TestHandler_secrets_are_read_at_each_request(t *testing.T) {
	t.Parallel()
	secrets, fails := []string{"the first"}, error(nil)
	opts := options(&memory{})
	opts.AppSecrets = func() ([]string, error) { return secrets, fails }
	h := newHandler(t, opts)
	if w := post(h, privateMessage()); w.Code != http.StatusForbidden {
		t.Errorf("before the rotation: %d", w.Code)
	}
	secrets = []string{"the first", secret}
	if w := post(h, privateMessage()); w.Code != http.StatusOK {
		t.Errorf("after the rotation: %d", w.Code)
	}
	// Without a secret everything would look forged, or nothing would.
	for _, secrets = range [][]string{nil, {""}, {"", ""}} {
		body := privateMessage()
		if w := post(h, body, with("X-Hub-Signature-256", sign("", body))); w.Code != http.StatusInternalServerError {
			t.Errorf("secrets %q: %d", secrets, w.Code)
		}
	}
	secrets, fails = []string{secret}, errors.New("permission denied")
	if w := post(h, privateMessage()); w.Code != http.StatusInternalServerError {
		t.Errorf("secrets not readable: %d", w.Code)
	}
}

// TestHandler_logs_nothing_private_and_not_too_often drives every line that the
// handler can write, many times within a minute and then once more.
func TestHandler_logs_nothing_private_and_not_too_often(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	now := received
	store := &memory{}
	secrets, verify := []string{secret}, token
	opts := options(store)
	opts.Now = func() time.Time { return now }
	opts.Logger = logTo(&out)
	opts.AppSecrets = func() ([]string, error) { return secrets, nil }
	opts.VerifyToken = func() (string, error) { return verify, nil }
	h := newHandler(t, opts)
	body := privateMessage()
	unknown := delivery(fromPerson(`"poll":"` + private + `"`))
	for name, act := range map[string]func(){
		"signature": func() { post(h, body, with("X-Hub-Signature-256", sign("wrong", body))) },
		"overload":  func() { store.err = webhook.ErrOverloaded; post(h, body) },
		"commit":    func() { store.err = errors.New("disk full"); post(h, body) },
		"secrets":   func() { secrets = nil; post(h, body) },
		"undecoded": func() { post(h, unknown) },
		"handshake": func() { get(h, "hub.mode=subscribe&hub.challenge=1&hub.verify_token=guessed") },
		"no_token":  func() { verify = ""; get(h, "hub.mode=subscribe&hub.challenge=1&hub.verify_token=guessed") },
	} {
		store.err, secrets, verify = nil, []string{secret}, token
		// Each act starts a minute of its own: some share a pace.
		now = now.Add(2 * time.Minute)
		out.Reset()
		for range 100 {
			act()
		}
		if lines := strings.Count(out.String(), "\n"); lines != 1 {
			t.Errorf("%s: %d lines in a minute:\n%s", name, lines, out.String())
		}
		now = now.Add(time.Minute)
		act()
		if !strings.Contains(out.String(), "times=100") || strings.Count(out.String(), "\n") != 2 {
			t.Errorf("%s: a minute later:\n%s", name, out.String())
		}
		for _, s := range []string{private, secret, token, "guessed", "sha256", person, "mid-1", sign(secret, body)[7:], sign("wrong", body)[7:]} {
			if strings.Contains(out.String(), s) {
				t.Errorf("%s: the log holds %q", name, s)
			}
		}
	}
}

// TestHandler_over_http goes through a real server: the limit also holds for a
// body that is sent in chunks.
func TestHandler_over_http(t *testing.T) {
	t.Parallel()
	store := &memory{}
	opts := options(store)
	opts.MaxBodyBytes = 1_000
	server := httptest.NewServer(newHandler(t, opts))
	defer server.Close()
	send := func(body []byte, chunked bool) int {
		var reader io.Reader = bytes.NewReader(body)
		if chunked {
			reader = io.MultiReader(reader)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, reader)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Hub-Signature-256", sign(secret, body))
		answer, err := server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		return answer.StatusCode
	}
	large := bytes.Repeat([]byte(" "), 1_001)
	for _, chunked := range []bool{false, true} {
		if code := send(privateMessage(), chunked); code != http.StatusOK {
			t.Errorf("chunked %v: %d", chunked, code)
		}
		if code := send(large, chunked); code != http.StatusRequestEntityTooLarge {
			t.Errorf("too large, chunked %v: %d", chunked, code)
		}
	}
	if len(store.deliveries) != 2 {
		t.Errorf("%d deliveries stored", len(store.deliveries))
	}
}
