package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

const (
	signatureHeader = "X-Hub-Signature-256"
	signaturePrefix = "sha256="
)

// signed tells whether header is the HMAC-SHA256 of the bytes received, in hex,
// by one of the secrets. Every secret is tried, so that the time does not tell
// which one it was. There are several because the two kinds of login sign with
// different secrets, and because secrets are rotated.
func signed(header string, body []byte, secrets []string) bool {
	digest, ok := strings.CutPrefix(header, signaturePrefix)
	got, err := hex.DecodeString(digest)
	if !ok || err != nil || len(got) != sha256.Size {
		return false
	}
	matched := false
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(body)
		if hmac.Equal(mac.Sum(nil), got) {
			matched = true
		}
	}
	return matched
}
