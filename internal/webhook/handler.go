package webhook

import (
	"log/slog"
	"net/http"
)

// Handler answers Instagram's requests. Mount it at the webhook's path.
type Handler struct {
	opts    Options
	log     *slog.Logger
	metrics *metrics
	budget  budget
	// Each kind of line has its own pace: a stranger who knocks without pause
	// must not hide that the disk is full.
	paces paces
}

// New returns a Handler, or an error that names the first bad option.
func New(opts Options) (*Handler, error) {
	if err := opts.validate(); err != nil {
		return nil, err
	}
	m, err := newMetrics(opts.Registerer)
	if err != nil {
		return nil, err
	}
	return &Handler{opts: opts, log: opts.Logger, metrics: m, budget: budget{limit: opts.MaxHeldBytes}}, nil
}

// ServeHTTP answers the handshake (GET) and deliveries (POST).
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := h.opts.Now()
	var code int
	switch r.Method {
	case http.MethodGet:
		code = h.handshake(w, r)
	case http.MethodPost:
		code = h.receive(w, r)
	default:
		w.Header().Set("Allow", "GET, POST")
		code = refuse(w, http.StatusMethodNotAllowed)
	}
	h.metrics.request(code, h.opts.Now().Sub(start))
}

// refuse answers with a status and its name: nothing that a prober could use.
func refuse(w http.ResponseWriter, code int) int {
	http.Error(w, http.StatusText(code), code)
	return code
}
