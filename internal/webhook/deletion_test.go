package webhook_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"sidestream/internal/webhook"
)

func signedRequest(secret, payload string) string {
	encoded := base64.RawURLEncoding.EncodeToString([]byte(payload))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(encoded))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)) + "." + encoded
}

func TestDeletion(t *testing.T) {
	const user = "218471000000001"
	good := `{"algorithm":"HMAC-SHA256","issued_at":1790000000,"user_id":"` + user + `"}`
	var logged strings.Builder
	registry := prometheus.NewRegistry()
	deletion, err := webhook.NewDeletion(webhook.DeletionOptions{
		AppSecrets: func() ([]string, error) { return []string{"", "old secret", "new secret"}, nil },
		Logger:     slog.New(slog.NewTextHandler(&logged, nil)), Registerer: registry,
	})
	if err != nil {
		t.Fatal(err)
	}
	post := func(field, value string) *httptest.ResponseRecorder {
		request := httptest.NewRequest(http.MethodPost, "https://example.com/webhook/deletion", strings.NewReader(url.Values{field: {value}}.Encode()))
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		answer := httptest.NewRecorder()
		deletion.ServeHTTP(answer, request)
		return answer
	}
	get := func(address string) *httptest.ResponseRecorder {
		answer := httptest.NewRecorder()
		deletion.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, address, nil))
		return answer
	}

	t.Run("acknowledges_a_signed_request", func(t *testing.T) {
		for _, secret := range []string{"old secret", "new secret"} {
			answer := post("signed_request", signedRequest(secret, good))
			var body struct {
				URL  string `json:"url"`
				Code string `json:"confirmation_code"`
			}
			if err := json.Unmarshal(answer.Body.Bytes(), &body); err != nil || answer.Code != http.StatusOK {
				t.Fatalf("%d, %v", answer.Code, err)
			}
			if body.URL != "https://example.com/webhook/deletion?code="+body.Code || len(body.Code) != 20 {
				t.Errorf("%+v", body)
			}
			if page := get(body.URL); page.Code != http.StatusOK || !strings.Contains(page.Body.String(), body.Code) {
				t.Errorf("%d %s", page.Code, page.Body)
			}
			if again := post("signed_request", signedRequest(secret, good)); !strings.Contains(again.Body.String(), body.Code) {
				t.Error("the same request has another code")
			}
		}
	})
	t.Run("refuses_everything_else", func(t *testing.T) {
		whole := signedRequest("new secret", good)
		for name, value := range map[string]string{
			"another_secret":    signedRequest("wrong", good),
			"an_empty_secret":   signedRequest("", good),
			"nothing":           "",
			"no_payload":        strings.Split(whole, ".")[0],
			"a_changed_payload": whole[:len(whole)-4] + "AAAA",
			"another_algorithm": signedRequest("new secret", strings.Replace(good, "SHA256", "SHA1", 1)),
			"no_user":           signedRequest("new secret", `{"algorithm":"HMAC-SHA256"}`),
			"no_json":           signedRequest("new secret", `user_id`),
		} {
			if answer := post("signed_request", value); answer.Code != http.StatusForbidden {
				t.Errorf("%s: %d", name, answer.Code)
			}
		}
		if answer := post("other_field", whole); answer.Code != http.StatusForbidden {
			t.Errorf("%d", answer.Code)
		}
		if answer := post("signed_request", strings.Repeat("x", 1<<20)); answer.Code != http.StatusBadRequest {
			t.Errorf("too long: %d", answer.Code)
		}
		for _, code := range []string{"", "<script>", strings.Repeat("a", 21)} {
			if page := get("https://example.com/webhook/deletion?code=" + url.QueryEscape(code)); page.Code != http.StatusNotFound {
				t.Errorf("%q: %d", code, page.Code)
			}
		}
	})
	t.Run("counts_and_logs_no_id", func(t *testing.T) {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		for _, m := range families[0].GetMetric() {
			got[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
		}
		if got["accepted"] != 4 || got["refused"] != 10 {
			t.Errorf("counted %v", got)
		}
		if strings.Contains(logged.String(), user) || !strings.Contains(logged.String(), "confirmation_code=") {
			t.Error(logged.String())
		}
		if n := strings.Count(logged.String(), "wrong signature"); n != 1 {
			t.Errorf("%d lines about refusals", n)
		}
	})
}
