package instagram_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sidestream/internal/instagram"
	"sidestream/internal/simulate"
)

const (
	token  = "IGtokenThatMustNotShow"
	userID = "90000000000000001"
)

// serve starts a server and returns a client of it.
func serve(tb testing.TB, handler http.Handler, change ...func(*instagram.Options)) *instagram.Client {
	tb.Helper()
	server := httptest.NewServer(handler)
	tb.Cleanup(server.Close)
	opts := instagram.Options{
		BaseURL: server.URL + "/v26.0/",
		Token:   func() (string, error) { return token, nil },
		Timeout: 30 * time.Second,
	}
	for _, c := range change {
		c(&opts)
	}
	client, err := instagram.New(opts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(client.Close)
	return client
}

// kindOf asks for a user and returns the kind of the error, or "ok".
func kindOf(tb testing.TB, client *instagram.Client, id string) instagram.Kind {
	tb.Helper()
	name, err := client.Username(tb.Context(), id)
	if err == nil {
		if name == "" {
			tb.Error("an empty name without an error")
		}
		return "ok"
	}
	return asError(tb, err).Kind
}

// asError checks what every error must fulfil.
func asError(tb testing.TB, err error) *instagram.Error {
	tb.Helper()
	var e *instagram.Error
	if !errors.As(err, &e) {
		tb.Fatalf("error is %T, want *instagram.Error", err)
	}
	for _, secret := range []string{token, userID, "quoted by the server", "127.0.0.1"} {
		if strings.Contains(err.Error(), secret) {
			tb.Errorf("error text %q shows %q", err, secret)
		}
	}
	return e
}

func TestClient_Username(t *testing.T) {
	t.Run("a_name_is_returned_and_the_token_travels_in_the_header", func(t *testing.T) {
		var got *http.Request
		client := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			got = r
			fmt.Fprint(w, `{"username":"anna.bakes","id":"1"}`)
		}))
		name, err := client.Username(t.Context(), userID)
		if err != nil || name != "anna.bakes" {
			t.Fatalf("got %q, %v", name, err)
		}
		if want := "/v26.0/" + userID + "?fields=username"; got.RequestURI != want {
			t.Errorf("asked %q, want %q", got.RequestURI, want)
		}
		if h := got.Header.Get("Authorization"); h != "Bearer "+token {
			t.Errorf("authorization is %q", h)
		}
	})

	t.Run("the_graph_stub_is_understood_in_every_mode", func(t *testing.T) {
		graph := simulate.NewGraph(token)
		client := serve(t, graph)
		graph.SetUser("2", simulate.UserNoConsent)
		graph.SetUser("3", simulate.UserGone)
		if name, err := client.Username(t.Context(), userID); err != nil || name != simulate.Username(userID) {
			t.Errorf("got %q, %v", name, err)
		}
		if kind := kindOf(t, client, "2"); kind != instagram.NoConsent {
			t.Errorf("no consent is %q", kind)
		}
		if kind := kindOf(t, client, "3"); kind != instagram.Gone {
			t.Errorf("gone is %q", kind)
		}
		for mode, want := range map[simulate.Mode]instagram.Kind{
			simulate.ModeDown: instagram.Temporary, simulate.ModeTokenDead: instagram.TokenDead,
			simulate.ModePermission: instagram.Permission, simulate.ModeThrottled: instagram.Throttled,
		} {
			if mode == simulate.ModeThrottled {
				continue // Last: it makes the client pause.
			}
			graph.SetMode(mode)
			if kind := kindOf(t, client, userID); kind != want {
				t.Errorf("mode %s is %q, want %q", mode, kind, want)
			}
		}
		graph.SetMode(simulate.ModeThrottled)
		_, err := client.Username(t.Context(), userID)
		if e := asError(t, err); e.Kind != instagram.Throttled || e.RetryAfter != time.Minute {
			t.Errorf("throttled is %+v", e)
		}
	})

	t.Run("a_wrong_token_is_dead_and_a_new_one_is_used_at_once", func(t *testing.T) {
		current := "old"
		client := serve(t, simulate.NewGraph(token), func(o *instagram.Options) {
			o.Token = func() (string, error) { return current, nil }
		})
		if kind := kindOf(t, client, userID); kind != instagram.TokenDead {
			t.Errorf("wrong token is %q", kind)
		}
		current = token + "\n" // As an editor leaves it in a file.
		if kind := kindOf(t, client, userID); kind != "ok" {
			t.Errorf("right token is %q", kind)
		}
	})

	t.Run("without_a_usable_token_or_id_no_request_is_made", func(t *testing.T) {
		graph := simulate.NewGraph(token)
		current, failure := "", error(nil)
		client := serve(t, graph, func(o *instagram.Options) {
			o.Token = func() (string, error) { return current, failure }
		})
		if _, err := client.Username(t.Context(), userID); !errors.Is(err, instagram.ErrNoToken) {
			t.Errorf("empty token: %v", err)
		}
		current = "two\nlines"
		if kind := kindOf(t, client, userID); kind != instagram.Config {
			t.Errorf("token with a newline is %q", kind)
		}
		failure = errors.New("open token: no such file")
		if _, err := client.Username(t.Context(), userID); !errors.Is(err, failure) || asError(t, err).Kind != instagram.Config {
			t.Errorf("unreadable token: %v", err)
		}
		current, failure = token, nil
		for _, id := range []string{"", ".", "..", "me"} {
			if kind := kindOf(t, client, id); kind != instagram.NotKnown {
				t.Errorf("id %q is %q", id, kind)
			}
		}
		if n := graph.Total(); n != 0 {
			t.Errorf("%d requests were made", n)
		}
	})

	t.Run("an_id_with_odd_characters_stays_one_path_segment", func(t *testing.T) {
		var uri string
		client := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			uri = r.RequestURI
			fmt.Fprint(w, `{"username":"x"}`)
		}))
		for id, want := range map[string]string{
			"../me":         "..%2Fme",
			"1?fields=x#y":  "1%3Ffields=x%23y",
			"a b%2F":        "a%20b%252F",
			"nul\x00\r\n\"": "nul%00%0D%0A%22",
		} {
			uri = ""
			kindOf(t, client, id)
			if want := "/v26.0/" + want + "?fields=username"; uri != want {
				t.Errorf("id %q asked %q, want %q", id, uri, want)
			}
		}
	})

	t.Run("a_profile_without_a_usable_name_is_not_known", func(t *testing.T) {
		body := ""
		client := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }))
		for _, body = range []string{
			`{}`, `{"username":null}`, `{"username":""}`, `{"username":"a\u0000b"}`,
			`{"username":"` + strings.Repeat("é", 101) + `"}`,
		} {
			if kind := kindOf(t, client, userID); kind != instagram.NotKnown {
				t.Errorf("%.40s is %q", body, kind)
			}
		}
	})

	t.Run("an_answer_that_is_no_profile_is_temporary", func(t *testing.T) {
		body := ""
		client := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) }))
		for _, body = range []string{"", "<html>quoted by the server", `[]`, `{"username":7}`, `{"username":"a"`} {
			if kind := kindOf(t, client, userID); kind != instagram.Temporary {
				t.Errorf("%s is %q", body, kind)
			}
		}
	})

	t.Run("an_endless_answer_is_cut_off", func(t *testing.T) {
		client := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, `{"username":"`)
			for r.Context().Err() == nil {
				if _, err := w.Write([]byte(strings.Repeat("a", 4096))); err != nil {
					return
				}
			}
		}))
		_, err := client.Username(t.Context(), userID)
		if e := asError(t, err); e.Kind != instagram.Temporary || e.Status != 200 {
			t.Errorf("endless answer is %+v", e)
		}
	})
}

func TestClient_redirects(t *testing.T) {
	var elsewhere atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		elsewhere.Add(1)
		fmt.Fprint(w, `{"username":"caught"}`)
	}))
	t.Cleanup(other.Close)

	t.Run("another_host_is_refused", func(t *testing.T) {
		client := serve(t, http.RedirectHandler(other.URL+"/v26.0/1", http.StatusFound))
		if kind := kindOf(t, client, userID); kind != instagram.Config {
			t.Errorf("redirect is %q", kind)
		}
		if n := elsewhere.Load(); n != 0 {
			t.Errorf("the other host was asked %d times", n)
		}
	})
	t.Run("a_given_client_cannot_allow_it", func(t *testing.T) {
		given := &http.Client{Transport: &http.Transport{}}
		client := serve(t, http.RedirectHandler(other.URL, http.StatusTemporaryRedirect),
			func(o *instagram.Options) { o.HTTPClient = given })
		if kind := kindOf(t, client, userID); kind != instagram.Config {
			t.Errorf("redirect is %q", kind)
		}
		if given.CheckRedirect != nil {
			t.Error("the given client was changed")
		}
	})
	t.Run("its_own_host_is_followed", func(t *testing.T) {
		client := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(r.URL.Path, "/v26.0/") {
				http.Redirect(w, r, "/v27.0/1", http.StatusFound)
				return
			}
			fmt.Fprint(w, `{"username":"moved"}`)
		}))
		if name, err := client.Username(t.Context(), userID); err != nil || name != "moved" {
			t.Errorf("got %q, %v", name, err)
		}
	})
	t.Run("a_circle_ends", func(t *testing.T) {
		client := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
		}))
		if kind := kindOf(t, client, userID); kind != instagram.Config {
			t.Errorf("circle is %q", kind)
		}
	})
}

func TestClient_connection(t *testing.T) {
	hang := func(http.ResponseWriter, *http.Request) {}
	t.Run("a_slow_answer_times_out", func(t *testing.T) {
		graph := simulate.NewGraph(token)
		graph.SetDelay(time.Hour)
		client := serve(t, graph, func(o *instagram.Options) { o.Timeout = 20 * time.Millisecond })
		_, err := client.Username(t.Context(), userID)
		if e := asError(t, err); e.Kind != instagram.Temporary || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %+v", e)
		}
	})
	t.Run("a_cancelled_question_ends", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		client := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			cancel()
			<-r.Context().Done()
		}))
		_, err := client.Username(ctx, userID)
		if e := asError(t, err); e.Kind != instagram.Temporary || !errors.Is(err, context.Canceled) {
			t.Errorf("got %+v", e)
		}
	})
	t.Run("a_refused_or_broken_connection_is_temporary", func(t *testing.T) {
		server := httptest.NewServer(http.HandlerFunc(hang))
		server.Close()
		client := serve(t, http.HandlerFunc(hang), func(o *instagram.Options) { o.BaseURL = server.URL })
		if kind := kindOf(t, client, userID); kind != instagram.Temporary {
			t.Errorf("refused connection is %q", kind)
		}
		client = serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
		if kind := kindOf(t, client, userID); kind != instagram.Temporary {
			t.Errorf("broken connection is %q", kind)
		}
	})
}

func TestNew(t *testing.T) {
	some := func() (string, error) { return token, nil }
	if _, err := instagram.New(instagram.Options{Token: some}); err != nil {
		t.Errorf("defaults: %v", err)
	}
	for name, opts := range map[string]instagram.Options{
		"no_token_function":   {},
		"no_scheme":           {Token: some, BaseURL: "graph.instagram.com/v26.0"},
		"another_scheme":      {Token: some, BaseURL: "ftp://graph.instagram.com"},
		"no_host":             {Token: some, BaseURL: "https:///v26.0"},
		"a_token_in_the_url":  {Token: some, BaseURL: "https://graph.instagram.com?access_token=x"},
		"a_user_in_the_url":   {Token: some, BaseURL: "https://a:b@graph.instagram.com"},
		"not_a_url":           {Token: some, BaseURL: "https://%zz"},
		"a_negative_time_out": {Token: some, Timeout: -1},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := instagram.New(opts); err == nil {
				t.Error("no error")
			}
		})
	}
}
