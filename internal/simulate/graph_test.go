package simulate_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"
	"time"

	"sidestream/internal/simulate"
)

// reply is what a Graph sends.
type reply struct {
	Username string `json:"username"`
	Error    struct {
		Code    int `json:"code"`
		Subcode int `json:"error_subcode"`
	} `json:"error"`
}

func TestGraph(t *testing.T) {
	type question struct{ method, uri, authorization string }
	good := question{http.MethodGet, "/v26.0/1?fields=username", "Bearer right"}
	for name, c := range map[string]struct {
		prepare       func(*simulate.Graph)
		question      question
		status        int
		code, subcode int
		username      string
	}{
		"a_user_has_a_name":       {func(*simulate.Graph) {}, good, 200, 0, 0, simulate.Username("1")},
		"a_user_can_be_renamed":   {func(g *simulate.Graph) { g.Rename("1", "new") }, good, 200, 0, 0, "new"},
		"no_token":                {func(*simulate.Graph) {}, question{good.method, good.uri, ""}, 400, 190, 463, ""},
		"a_wrong_token":           {func(*simulate.Graph) {}, question{good.method, good.uri, "Bearer wrong"}, 400, 190, 463, ""},
		"a_token_that_has_ended":  {func(g *simulate.Graph) { g.SetToken("next") }, good, 400, 190, 463, ""},
		"a_token_in_the_url":      {func(*simulate.Graph) {}, question{good.method, good.uri + "&access_token=right", good.authorization}, 400, 100, 0, ""},
		"a_post":                  {func(*simulate.Graph) {}, question{http.MethodPost, good.uri, good.authorization}, 400, 100, 33, ""},
		"other_fields":            {func(*simulate.Graph) {}, question{good.method, "/v26.0/1?fields=biography", good.authorization}, 400, 100, 0, ""},
		"down":                    {func(g *simulate.Graph) { g.SetMode(simulate.ModeDown) }, good, 500, 0, 0, ""},
		"throttled":               {func(g *simulate.Graph) { g.SetMode(simulate.ModeThrottled) }, good, 400, 4, 0, ""},
		"token_dead":              {func(g *simulate.Graph) { g.SetMode(simulate.ModeTokenDead) }, good, 400, 190, 463, ""},
		"permission":              {func(g *simulate.Graph) { g.SetMode(simulate.ModePermission) }, good, 400, 10, 0, ""},
		"down_and_up_again":       {func(g *simulate.Graph) { g.SetMode(simulate.ModeDown); g.SetMode(simulate.ModeOK) }, good, 200, 0, 0, simulate.Username("1")},
		"a_user_without_consent":  {func(g *simulate.Graph) { g.SetUser("1", simulate.UserNoConsent) }, good, 400, 230, 0, ""},
		"a_user_who_is_gone":      {func(g *simulate.Graph) { g.SetUser("1", simulate.UserGone) }, good, 400, 100, 2534014, ""},
		"another_user_is_gone":    {func(g *simulate.Graph) { g.SetUser("2", simulate.UserGone) }, good, 200, 0, 0, simulate.Username("1")},
		"a_user_who_has_returned": {func(g *simulate.Graph) { g.SetUser("1", simulate.UserGone); g.SetUser("1", simulate.UserKnown) }, good, 200, 0, 0, simulate.Username("1")},
	} {
		t.Run(name, func(t *testing.T) {
			graph := simulate.NewGraph("right")
			c.prepare(graph)
			r := httptest.NewRequestWithContext(t.Context(), c.question.method, c.question.uri, nil)
			if c.question.authorization != "" {
				r.Header.Set("Authorization", c.question.authorization)
			}
			w := httptest.NewRecorder()
			graph.ServeHTTP(w, r)
			var got reply
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil && c.status != 500 {
				t.Fatal(err)
			}
			if w.Code != c.status || got.Error.Code != c.code || got.Error.Subcode != c.subcode || got.Username != c.username {
				t.Errorf("got %d %s", w.Code, w.Body)
			}
			if graph.Requests("1") != 1 || graph.Requests("2") != 0 || graph.Total() != 1 {
				t.Errorf("counted %d, %d, %d", graph.Requests("1"), graph.Requests("2"), graph.Total())
			}
		})
	}

	t.Run("a_slow_answer_waits_no_longer_than_its_client", func(t *testing.T) {
		graph := simulate.NewGraph("right")
		graph.SetDelay(time.Hour)
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("gone"))
		w := httptest.NewRecorder()
		graph.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, good.uri, nil))
		if w.Body.Len() != 0 {
			t.Errorf("got %s", w.Body)
		}
		graph.SetDelay(time.Millisecond)
		w = httptest.NewRecorder()
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, good.uri, nil)
		r.Header.Set("Authorization", good.authorization)
		graph.ServeHTTP(w, r)
		if w.Code != 200 {
			t.Errorf("got %d", w.Code)
		}
	})

	t.Run("usage_is_reported", func(t *testing.T) {
		graph := simulate.NewGraph("right")
		graph.SetUsage(95)
		w := httptest.NewRecorder()
		graph.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, good.uri, nil))
		var usage map[string]int
		if err := json.Unmarshal([]byte(w.Header().Get("X-App-Usage")), &usage); err != nil || usage["call_count"] != 95 {
			t.Errorf("usage %v, %v", usage, err)
		}
	})
}

func TestUsername(t *testing.T) {
	form := regexp.MustCompile(`^[a-z0-9._]{3,30}$`)
	seen := make(map[string]bool)
	for _, id := range simulate.NewGenerator(simulate.GeneratorOptions{Users: 200}).UserIDs() {
		name := simulate.Username(id)
		if !form.MatchString(name) || name != simulate.Username(id) {
			t.Errorf("user %s is %q", id, name)
		}
		seen[name] = true
	}
	if len(seen) != 200 {
		t.Errorf("200 users share %d names", len(seen))
	}
}
