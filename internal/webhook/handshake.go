package webhook

import (
	"crypto/sha256"
	"crypto/subtle"
	"io"
	"net/http"
	"net/url"
)

// handshake echoes the challenge to whoever knows the verify token. Meta calls
// it when the callback address is saved in the App Dashboard.
func (h *Handler) handshake(w http.ResponseWriter, r *http.Request) int {
	query := r.URL.Query()
	challenge := parameter(query, "challenge")
	if parameter(query, "mode") != "subscribe" || challenge == "" {
		return refuse(w, http.StatusForbidden)
	}
	token, err := h.opts.VerifyToken()
	if err != nil || token == "" {
		// An empty token would let in everyone who sends none.
		h.complain(&h.paces.handshake, "verify token is not readable", err)
		return refuse(w, http.StatusInternalServerError)
	}
	if !sameToken(parameter(query, "verify_token"), token) {
		h.complain(&h.paces.handshake, "handshake with a wrong verify token", nil)
		return refuse(w, http.StatusForbidden)
	}
	header := w.Header()
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	// The challenge is documented as a number, but it is opaque: it goes back
	// as it came.
	_, _ = io.WriteString(w, challenge)
	h.log.Info("webhook handshake answered")
	return http.StatusOK
}

// parameter returns hub.<name>, or hub_<name>: some proxies and testers turn
// dots into underscores.
func parameter(query url.Values, name string) string {
	if query.Has("hub." + name) {
		return query.Get("hub." + name)
	}
	return query.Get("hub_" + name)
}

// sameToken compares hashes, so that the time tells nothing of the length either.
func sameToken(got, want string) bool {
	a, b := sha256.Sum256([]byte(got)), sha256.Sum256([]byte(want))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}
