package webhook

import (
	"errors"
	"mime"
	"net/http"
	"slices"
)

// retryAfter is in seconds. Instagram keeps its own schedule; proxies and
// replays read it.
const retryAfter = "10"

var errNoSecret = errors.New("no app secret is set")

// receive takes a delivery. The order of its steps is the point: nothing is
// parsed before the signature has matched, and nothing is acknowledged before
// it is stored.
func (h *Handler) receive(w http.ResponseWriter, r *http.Request) int {
	if !jsonContent(r.Header.Get("Content-Type")) {
		return refuse(w, http.StatusUnsupportedMediaType)
	}
	body, release, code := h.read(w, r)
	defer release()
	if code != http.StatusOK {
		return refuse(w, code)
	}
	secrets, err := h.secrets()
	if err != nil {
		h.complain(&h.paces.secrets, "app secrets are not readable", err)
		return refuse(w, http.StatusInternalServerError)
	}
	if !signed(r.Header.Get(signatureHeader), body, secrets) {
		h.metrics.signatureFailures.Inc()
		h.complain(&h.paces.signature, "delivery with a missing or wrong signature", nil)
		return refuse(w, http.StatusForbidden)
	}

	decoded := Decode(body, h.opts.Now())
	var committed Committed
	if len(decoded.Changes)+len(decoded.Undecoded) > 0 {
		committed, err = h.opts.Commit(r.Context(), Delivery{Changes: decoded.Changes, Undecoded: decoded.Undecoded})
	}
	switch {
	case errors.Is(err, ErrOverloaded):
		h.complain(&h.paces.overload, "delivery refused for now", err)
		w.Header().Set("Retry-After", retryAfter)
		return refuse(w, http.StatusServiceUnavailable)
	case err != nil:
		h.complain(&h.paces.commit, "delivery not stored", err)
		return refuse(w, http.StatusInternalServerError)
	}
	// Only now: a delivery that comes again is not counted twice.
	h.metrics.delivery(decoded, committed, h.opts.Now())
	if len(decoded.Undecoded) > 0 {
		h.complain(&h.paces.undecoded, "delivery with events that were not understood, kept as undecoded", nil)
	}
	w.WriteHeader(http.StatusOK)
	return http.StatusOK
}

// read returns the body and 200, or the status to refuse it with. The body
// counts against the budget until release is called.
func (h *Handler) read(w http.ResponseWriter, r *http.Request) (body []byte, release func(), code int) {
	if r.ContentLength > h.opts.MaxBodyBytes {
		return nil, func() {}, http.StatusRequestEntityTooLarge
	}
	body, release, err := h.budget.read(http.MaxBytesReader(w, r.Body, h.opts.MaxBodyBytes))
	_, tooLarge := errors.AsType[*http.MaxBytesError](err)
	switch {
	case err == nil:
		return body, release, http.StatusOK
	case tooLarge:
		return nil, release, http.StatusRequestEntityTooLarge
	case errors.Is(err, errNoRoom):
		h.complain(&h.paces.room, "delivery refused for now", err)
		w.Header().Set("Retry-After", retryAfter)
		return nil, release, http.StatusServiceUnavailable
	default:
		// The sender went away or was too slow.
		return nil, release, http.StatusBadRequest
	}
}

// secrets returns the usable secrets. Where there is none, nothing can be told
// about a signature: that is our mistake, not the sender's.
func (h *Handler) secrets() ([]string, error) {
	secrets, err := h.opts.AppSecrets()
	if err != nil {
		return nil, err
	}
	secrets = slices.DeleteFunc(slices.Clone(secrets), func(s string) bool { return s == "" })
	if len(secrets) == 0 {
		return nil, errNoSecret
	}
	return secrets, nil
}

// jsonContent accepts JSON, with parameters or without, and a sender that does
// not say: the signature decides.
func jsonContent(header string) bool {
	if header == "" {
		return true
	}
	kind, _, err := mime.ParseMediaType(header)
	return err == nil && kind == "application/json"
}
