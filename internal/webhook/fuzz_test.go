package webhook_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sidestream/internal/webhook"
)

func FuzzDecode(f *testing.F) {
	for _, file := range shapeFiles(f) {
		f.Add(readShape(f, file))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		checkDecoded(t, body, webhook.Decode(body, received))
	})
}

// FuzzSignature compares the handler with the definition: what it takes is
// signed by one of the secrets, and what is signed it takes.
func FuzzSignature(f *testing.F) {
	for _, file := range shapeFiles(f) {
		body := readShape(f, file)
		f.Add(sign(secret, body), body, true)
		f.Add(sign("wrong", body), body, false)
	}
	for _, header := range []string{"", "sha256=", "sha1=00", "sha256=zz", "sha256=" + strings.Repeat("0", 64), sign("", nil)} {
		f.Add(header, []byte("{}"), false)
	}
	f.Fuzz(func(t *testing.T, header string, body []byte, honest bool) {
		if honest {
			header = sign(secret, body)
		}
		store := &memory{}
		h := newHandler(t, options(store))
		r := httptest.NewRequest(http.MethodPost, "/webhook", strings.NewReader(string(body)))
		r.Header.Set("X-Hub-Signature-256", header)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		digest, prefixed := strings.CutPrefix(header, "sha256=")
		want := http.StatusForbidden
		// Hexadecimal digits count in either case.
		if prefixed && "sha256="+strings.ToLower(digest) == sign(secret, body) {
			want = http.StatusOK
		}
		if w.Code != want {
			t.Fatalf("%d for signature %q, want %d", w.Code, header, want)
		}
		if want != http.StatusOK && len(store.deliveries) > 0 {
			t.Fatal("stored without a signature")
		}
	})
}

// sign is Meta's definition of the header.
func sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}
