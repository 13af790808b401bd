package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// maxDeletionBytes bounds a deletion request, which holds one short form field.
const maxDeletionBytes = 64 << 10

// The values of the result label of deletion requests.
const (
	deletionAccepted = "accepted"
	deletionRefused  = "refused"
)

var errSignedRequest = errors.New("not a signed request")

// confirmation is what a confirmation code looks like.
var confirmation = regexp.MustCompile(`^[0-9a-f]{20}$`)

// DeletionOptions configure a Deletion.
type DeletionOptions struct {
	// AppSecrets returns the secrets of which one must have signed a request, as
	// in Options.
	AppSecrets func() ([]string, error)
	// Now defaults to time.Now.
	Now func() time.Time
	// Logger defaults to one that discards.
	Logger *slog.Logger
	// Registerer receives the counter of requests; nil means none.
	Registerer prometheus.Registerer
}

// Deletion answers Meta's data deletion requests (Meta for Developers, "Data
// Deletion Request Callback"): a form field signed_request, answered with an
// address and a confirmation code. It acknowledges and counts them and deletes
// nothing: the user_id in them is app-scoped and names the login that connected
// a business account, and no author of a message is stored under such an id.
type Deletion struct {
	opts     DeletionOptions
	requests *prometheus.CounterVec
	refusals pace
}

// NewDeletion returns a Deletion, or an error that names the first bad option.
func NewDeletion(opts DeletionOptions) (*Deletion, error) {
	if opts.AppSecrets == nil {
		return nil, errors.New("webhook: DeletionOptions.AppSecrets is nil")
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	d := &Deletion{opts: opts, requests: prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "sidestream", Subsystem: "writer", Name: "deletion_requests_total",
		Help: "Data deletion requests by Meta; accepted ones were signed and acknowledged.",
	}, []string{"result"})}
	for _, result := range []string{deletionAccepted, deletionRefused} {
		d.requests.WithLabelValues(result)
	}
	if opts.Registerer != nil {
		if err := opts.Registerer.Register(d.requests); err != nil {
			return nil, fmt.Errorf("webhook: register metrics: %w", err)
		}
	}
	return d, nil
}

// ServeHTTP answers requests (POST) and the address given in their answer (GET).
func (d *Deletion) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	switch r.Method {
	case http.MethodGet:
		d.explain(w, r)
	case http.MethodPost:
		d.accept(w, r)
	default:
		w.Header().Set("Allow", "GET, POST")
		refuse(w, http.StatusMethodNotAllowed)
	}
}

// accept acknowledges a signed request. The log names it by its code alone.
func (d *Deletion) accept(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxDeletionBytes)
	if err := r.ParseForm(); err != nil {
		d.refuse(w, http.StatusBadRequest)
		return
	}
	secrets, err := d.secrets()
	if err != nil {
		d.opts.Logger.Error("app secrets are not readable", "err", err)
		refuse(w, http.StatusInternalServerError)
		return
	}
	code, err := verifyDeletion(r.PostForm.Get("signed_request"), secrets)
	if err != nil {
		d.refuse(w, http.StatusForbidden)
		return
	}
	d.requests.WithLabelValues(deletionAccepted).Inc()
	d.opts.Logger.Warn("data deletion request; nothing is deleted by itself, see docs/PRIVACY.md", "confirmation_code", code)
	address := url.URL{Scheme: "https", Host: r.Host, Path: r.URL.Path, RawQuery: url.Values{"code": {code}}.Encode()}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"url": address.String(), "confirmation_code": code})
}

// explain is the page to which Meta sends the person. It says the same about
// every code: which ones were given out is not kept.
func (d *Deletion) explain(w http.ResponseWriter, r *http.Request) {
	code := r.URL.Query().Get("code")
	if !confirmation.MatchString(code) {
		refuse(w, http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "Data deletion request "+code+"\n\n"+
		"The request was handed to the operator of this service, who deletes what is stored.\n"+
		"To ask about it, write to the address in the service's privacy policy and name the code.\n")
}

func (d *Deletion) refuse(w http.ResponseWriter, code int) {
	d.requests.WithLabelValues(deletionRefused).Inc()
	if times, ok := d.refusals.take(d.opts.Now()); ok {
		d.opts.Logger.Warn("data deletion request with a missing or wrong signature", "times", times)
	}
	refuse(w, code)
}

func (d *Deletion) secrets() ([]string, error) {
	secrets, err := d.opts.AppSecrets()
	if err != nil {
		return nil, err
	}
	secrets = slices.DeleteFunc(slices.Clone(secrets), func(s string) bool { return s == "" })
	if len(secrets) == 0 {
		return nil, errNoSecret
	}
	return secrets, nil
}

// verifyDeletion checks base64url(signature).base64url(JSON) and returns the
// request's confirmation code. What is signed is the encoded text, not what it
// decodes to. The same request has the same code, which tells nothing about the
// user to those who do not know the secret.
func verifyDeletion(signed string, secrets []string) (code string, err error) {
	signature, payload, ok := strings.Cut(signed, ".")
	got, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(signature, "="))
	if !ok || err != nil || len(got) != sha256.Size {
		return "", errSignedRequest
	}
	signer := ""
	for _, secret := range secrets {
		if hmac.Equal(digest(secret, payload), got) {
			signer = secret
		}
	}
	if signer == "" {
		return "", errSignedRequest
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(payload, "="))
	if err != nil {
		return "", errSignedRequest
	}
	var request struct {
		Algorithm string `json:"algorithm"`
		UserID    id     `json:"user_id"`
	}
	if json.Unmarshal(raw, &request) != nil || request.UserID == "" || !strings.EqualFold(request.Algorithm, "HMAC-SHA256") {
		return "", errSignedRequest
	}
	return hex.EncodeToString(digest(signer, "deletion\n"+payload))[:20], nil
}

func digest(secret, text string) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return mac.Sum(nil)
}
