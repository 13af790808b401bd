package ops

import (
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/exporter-toolkit/web"
)

// routes returns the handler of every page.
func routes(o Options) (http.Handler, error) {
	mux := http.NewServeMux()
	mux.Handle("/metrics", promhttp.HandlerFor(o.Registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(o.Logger.Handler(), slog.LevelError),
		// One broken collector must not take the others' numbers away.
		ErrorHandling:       promhttp.ContinueOnError,
		Registry:            o.Registry,
		MaxRequestsInFlight: maxScrapes,
		Timeout:             scrapeTimeout,
	}))
	mux.Handle("/healthz", probe(o.Alive))
	mux.Handle("/readyz", probe(o.Ready))
	links := []web.LandingLinks{
		{Address: "/metrics", Text: "metrics"},
		{Address: "/healthz", Text: "healthz", Description: "is the process alive"},
		{Address: "/readyz", Text: "readyz", Description: "is it configured and listening"},
	}
	for _, path := range slices.Sorted(maps.Keys(o.Handlers)) {
		switch path {
		case "/metrics", "/healthz", "/readyz":
			return nil, fmt.Errorf("ops: the path %s is taken", path)
		}
		mux.Handle(path, o.Handlers[path])
		links = append(links, web.LandingLinks{Address: path, Text: strings.TrimPrefix(path, "/")})
	}
	if _, taken := o.Handlers["/"]; taken {
		return mux, nil
	}
	index, err := web.NewLandingPage(web.LandingConfig{
		Name:        "Sidestream " + o.Program,
		Version:     o.Version,
		Links:       links,
		HeaderColor: "#27496d",
		Profiling:   "false",
	})
	if err != nil {
		return nil, fmt.Errorf("index page: %w", err)
	}
	mux.Handle("/", index)
	return mux, nil
}

// probe answers 200 where check has nothing to say, 503 with its reason else.
func probe(check func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		if check != nil {
			if err := check(); err != nil {
				w.WriteHeader(http.StatusServiceUnavailable)
				fmt.Fprintln(w, err)
				return
			}
		}
		fmt.Fprintln(w, "ok")
	}
}
