package webhook_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func get(h http.Handler, query string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/webhook?"+query, nil))
	return w
}

func TestHandler_handshake(t *testing.T) {
	t.Parallel()
	good := url.QueryEscape(token)
	const script = "<script>1</script>&\"\x00ü"
	for _, test := range []struct{ name, query, challenge string }{
		{"dots", "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=" + good, "1158201444"},
		{"underscores", "hub_mode=subscribe&hub_challenge=1158201444&hub_verify_token=" + good, "1158201444"},
		{"mixed", "hub.mode=subscribe&hub_challenge=5&hub.verify_token=" + good, "5"},
		{"opaque_challenge_verbatim", "hub.mode=subscribe&hub.challenge=" + url.QueryEscape(script) + "&hub.verify_token=" + good, script},
		{"wrong_token", "hub.mode=subscribe&hub.challenge=5&hub.verify_token=wrong", ""},
		{"longer_token", "hub.mode=subscribe&hub.challenge=5&hub.verify_token=" + good + "x", ""},
		{"no_token", "hub.mode=subscribe&hub.challenge=5", ""},
		{"empty_token", "hub.mode=subscribe&hub.challenge=5&hub.verify_token=", ""},
		{"wrong_dots_right_underscores", "hub.mode=subscribe&hub.challenge=5&hub.verify_token=wrong&hub_verify_token=" + good, ""},
		{"other_mode", "hub.mode=unsubscribe&hub.challenge=5&hub.verify_token=" + good, ""},
		{"no_mode", "hub.challenge=5&hub.verify_token=" + good, ""},
		{"no_challenge", "hub.mode=subscribe&hub.verify_token=" + good, ""},
		{"nothing", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := get(newHandler(t, options(&memory{})), test.query)
			if w.Header().Get("X-Content-Type-Options") != "nosniff" || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
				t.Errorf("headers %v", w.Header())
			}
			if test.challenge == "" {
				if w.Code != http.StatusForbidden || strings.Contains(w.Body.String(), "5") {
					t.Errorf("%d %q", w.Code, w.Body)
				}
				return
			}
			if w.Code != http.StatusOK || w.Body.String() != test.challenge {
				t.Errorf("%d %q, want 200 %q", w.Code, w.Body, test.challenge)
			}
		})
	}
}

func TestHandler_handshake_reads_the_token_each_time(t *testing.T) {
	t.Parallel()
	current, fails := "first", error(nil)
	opts := options(&memory{})
	opts.VerifyToken = func() (string, error) { return current, fails }
	h := newHandler(t, opts)
	const query = "hub.mode=subscribe&hub.challenge=5&hub.verify_token="
	if w := get(h, query+"first"); w.Code != http.StatusOK {
		t.Errorf("first: %d", w.Code)
	}
	current = "second"
	if w := get(h, query+"first"); w.Code != http.StatusForbidden {
		t.Errorf("first, after the rotation: %d", w.Code)
	}
	if w := get(h, query+"second"); w.Code != http.StatusOK {
		t.Errorf("second: %d", w.Code)
	}
	current = ""
	if w := get(h, query); w.Code == http.StatusOK {
		t.Error("an unset token lets everyone in")
	}
	current, fails = "third", errors.New("permission denied")
	if w := get(h, query+"third"); w.Code != http.StatusInternalServerError {
		t.Errorf("token not readable: %d", w.Code)
	}
}
