package instagram_test

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"sidestream/internal/instagram"
)

func TestClient_classifies_by_code(t *testing.T) {
	const quoted = "quoted by the server"
	for _, c := range []struct {
		status        int
		code, subcode string // As JSON.
		message       string
		transient     bool
		want          instagram.Kind
	}{
		{400, "190", "463", "", false, instagram.TokenDead},
		{400, "190", "null", "", false, instagram.TokenDead},
		{500, "190", "460", "", false, instagram.TokenDead},
		{400, `"190"`, `"463"`, "", false, instagram.TokenDead},
		{400, "102", "0", "", false, instagram.TokenDead},
		{400, "2500", "0", "", false, instagram.TokenDead},
		{401, "null", "null", "", false, instagram.TokenDead},
		{400, "10", "0", "", false, instagram.Permission},
		{403, "3", "0", "", false, instagram.Permission},
		{400, "200", "2534041", "", false, instagram.Permission},
		{400, "299", "0", "", false, instagram.Permission},
		{400, "368", "0", "", false, instagram.Permission},
		{400, "230", "0", "", false, instagram.NoConsent},
		{400, "100", "0", "User consent is required to access user profile", false, instagram.NoConsent},
		{400, "10", "0", "(#10) user consent is required", false, instagram.NoConsent},
		{400, "9010", "0", "", false, instagram.Gone},
		{400, "100", "2534014", "", false, instagram.Gone},
		{400, "100", "33", "", false, instagram.Gone},
		{400, "803", "0", "", false, instagram.Gone},
		{400, "100", "0", "(#100) Tried accessing nonexisting field (x)", false, instagram.Config},
		{400, "100", "33", "Unsupported request - method type: get", false, instagram.Config},
		{400, "4", "0", "", true, instagram.Throttled},
		{403, "17", "0", "", false, instagram.Throttled},
		{400, "32", "0", "", false, instagram.Throttled},
		{400, "341", "0", "", false, instagram.Throttled},
		{400, "613", "2534040", "", false, instagram.Throttled},
		{400, "80001", "0", "", false, instagram.Throttled},
		{400, "80002", "0", "", false, instagram.Throttled},
		{400, "80006", "0", "", false, instagram.Throttled},
		{429, "null", "null", "", false, instagram.Throttled},
		{400, "1", "0", "", false, instagram.Temporary},
		{500, "2", "0", "", true, instagram.Temporary},
		{400, "10", "0", "", true, instagram.Temporary},
		{400, "77777", "0", "", false, instagram.Temporary},
		{400, `"soon"`, "0", "", false, instagram.Temporary},
		{400, `{"no":1}`, "4.5", "", false, instagram.Temporary},
		{200, "190", "463", "", false, instagram.TokenDead},
	} {
		t.Run(fmt.Sprintf("%d_%s_%s_%s", c.status, c.code, c.subcode, c.want), func(t *testing.T) {
			client := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				fmt.Fprintf(w, `{"error":{"message":%q,"type":"OAuthException","code":%s,"error_subcode":%s,"is_transient":%t}}`,
					c.message+quoted+token, c.code, c.subcode, c.transient)
			}))
			_, err := client.Username(t.Context(), userID)
			e := asError(t, err)
			if e.Kind != c.want || e.Status != c.status {
				t.Errorf("got %+v, want %s", e, c.want)
			}
			if code := strings.Trim(c.code, `"`); e.Code != 0 && fmt.Sprint(e.Code) != code {
				t.Errorf("code is %d, want %s", e.Code, code)
			}
		})
	}
}

func TestClient_goes_by_status_where_there_is_no_code(t *testing.T) {
	for status, want := range map[int]instagram.Kind{
		401: instagram.TokenDead, 403: instagram.Config, 404: instagram.Config, 304: instagram.Config,
		408: instagram.Temporary, 429: instagram.Throttled, 500: instagram.Temporary, 503: instagram.Temporary,
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			client := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(status)
				if status != http.StatusNotModified {
					fmt.Fprint(w, "<html>quoted by the server")
				}
			}))
			if kind := kindOf(t, client, userID); kind != want {
				t.Errorf("got %q, want %q", kind, want)
			}
		})
	}
}

func TestClient_pauses_close_to_the_limit(t *testing.T) {
	start := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		status int
		header http.Header
		want   time.Duration
	}{
		"below_the_limit":            {200, http.Header{"X-App-Usage": {`{"call_count":89,"total_cputime":1,"total_time":1}`}}, 0},
		"calls_at_the_limit":         {200, http.Header{"X-App-Usage": {`{"call_count":90,"total_cputime":1,"total_time":1}`}}, 5 * time.Minute},
		"processor_time_above_it":    {200, http.Header{"X-App-Usage": {`{"call_count":1,"total_cputime":120.5,"total_time":1}`}}, 5 * time.Minute},
		"one_business_case_above_it": {200, http.Header{"X-Business-Use-Case-Usage": {`{"1":[{"call_count":3}],"2":[{"call_count":1},{"total_time":99,"estimated_time_to_regain_access":7}]}`}}, 7 * time.Minute},
		"an_absurd_wait":             {200, http.Header{"X-Business-Use-Case-Usage": {`{"1":[{"call_count":100,"estimated_time_to_regain_access":1e300}]}`}}, 24 * time.Hour},
		"headers_that_are_no_json":   {200, http.Header{"X-App-Usage": {"ninety"}, "X-Business-Use-Case-Usage": {`[1]`}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			now, asked := start, 0
			client := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				asked++
				maps.Copy(w.Header(), c.header)
				w.WriteHeader(c.status)
				fmt.Fprint(w, `{"username":"anna"}`)
			}), func(o *instagram.Options) { o.Now = func() time.Time { return now } })
			if kind := kindOf(t, client, userID); kind != "ok" {
				t.Fatalf("the answer itself is %q", kind)
			}
			if c.want == 0 {
				if kind := kindOf(t, client, userID); kind != "ok" {
					t.Errorf("the next answer is %q", kind)
				}
				return
			}
			_, err := client.Username(t.Context(), userID)
			if e := asError(t, err); e.Kind != instagram.Throttled || e.RetryAfter != c.want || asked != 1 {
				t.Errorf("got %+v after %d requests, want %s", e, asked, c.want)
			}
			now = start.Add(c.want)
			if kind := kindOf(t, client, userID); kind != "ok" || asked != 2 {
				t.Errorf("after the pause: %q, %d requests", kind, asked)
			}
		})
	}
}

func TestClient_a_short_pause_does_not_end_a_long_one(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	arrived, proceed := make(chan struct{}), make(chan struct{})
	client := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-App-Usage", `{"call_count":95}`)
		if strings.HasSuffix(r.URL.Path, "/short") {
			arrived <- struct{}{}
			<-proceed
		} else {
			w.Header().Set("Retry-After", "3600")
		}
		fmt.Fprint(w, `{"username":"anna"}`)
	}), func(o *instagram.Options) { o.Now = func() time.Time { return now } })
	short := make(chan error)
	go func() {
		_, err := client.Username(t.Context(), "short")
		short <- err
	}()
	<-arrived
	if kind := kindOf(t, client, "long"); kind != "ok" {
		t.Errorf("the long one is %q", kind)
	}
	close(proceed)
	if err := <-short; err != nil {
		t.Errorf("the short one: %v", err)
	}
	_, err := client.Username(t.Context(), userID)
	if e := asError(t, err); e.RetryAfter != time.Hour {
		t.Errorf("got %+v, want an hour", e)
	}
}

func TestClient_reads_how_long_to_wait(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"":      0,
		"90":    90 * time.Second,
		"soon":  0,
		"-5":    0,
		"NaN":   0,
		"1e300": 24 * time.Hour,
		now.Add(2 * time.Minute).Format(http.TimeFormat):     2 * time.Minute,
		now.Add(-2 * time.Minute).Format(http.TimeFormat):    0,
		now.AddDate(10, 0, 0).Format(http.TimeFormat):        24 * time.Hour,
		"Mon, 99 Foo 2026 12:00:00 GMT quoted by the server": 0,
	} {
		t.Run(value, func(t *testing.T) {
			client := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", value)
				w.WriteHeader(http.StatusTooManyRequests)
			}), func(o *instagram.Options) { o.Now = func() time.Time { return now } })
			_, err := client.Username(t.Context(), userID)
			if e := asError(t, err); e.Kind != instagram.Throttled || e.RetryAfter != want {
				t.Errorf("got %+v, want %s", e, want)
			}
		})
	}
}
