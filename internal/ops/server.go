package ops

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/exporter-toolkit/web"
)

// What a client of the listener may take. A scrape takes milliseconds; the
// limits are there for clients that hang.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 10 * time.Second
	scrapeTimeout     = 10 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = 2 * time.Minute
	shutdownTimeout   = 2 * time.Second
	maxHeaderBytes    = 64 << 10
	maxScrapes        = 5
)

// Options are what a Server needs.
type Options struct {
	// Listen is the address to bind, as net.Listen takes it. Required.
	Listen string
	// ListenKey is the configuration key that Listen came from; errors name it.
	ListenKey string
	// WebConfigFile turns on TLS and basic auth. Defaults to none: plain HTTP.
	WebConfigFile string
	// Program and Version are shown on the index page.
	Program string
	Version string
	// Registry is what /metrics serves. Required.
	Registry *prometheus.Registry
	// Handlers are further pages by path; the index page links to them. A
	// handler for "/" takes the place of the index page.
	Handlers map[string]http.Handler
	// Ready tells why the program is not ready yet. Defaults to always ready.
	// It must not depend on the CRM: a sidecar that waits is ready.
	Ready func() error
	// Alive tells why the process should be restarted. Defaults to never. It
	// must not depend on anything outside of the process.
	Alive func() error
	// Logger defaults to none.
	Logger *slog.Logger
}

// Server is the listener for metrics, health and status pages.
type Server struct {
	listener net.Listener
	server   *http.Server
	config   string
	logger   *slog.Logger
}

// New binds the listener, so that a busy port or a bad web configuration is an
// error at start. Whoever does not call Run must call Close.
func New(o Options) (*Server, error) {
	if o.Registry == nil {
		return nil, errors.New("ops: no registry")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if err := web.Validate(o.WebConfigFile); err != nil {
		return nil, fmt.Errorf("web configuration %s: %w", o.WebConfigFile, err)
	}
	handler, err := routes(o)
	if err != nil {
		return nil, err
	}
	listener, err := Listen(context.Background(), o.ListenKey, o.Listen)
	if err != nil {
		return nil, err
	}
	return &Server{
		listener: listener,
		config:   o.WebConfigFile,
		logger:   o.Logger,
		server: &http.Server{
			Handler:           handler,
			ReadHeaderTimeout: readHeaderTimeout,
			ReadTimeout:       readTimeout,
			WriteTimeout:      writeTimeout,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeaderBytes,
			ErrorLog:          slog.NewLogLogger(o.Logger.Handler(), slog.LevelWarn),
		},
	}, nil
}

// Listen binds an address that a configuration key holds, which its error names.
func Listen(ctx context.Context, key, address string) (net.Listener, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s = %q: %w: is another one running? Otherwise change the key", key, address, err)
	case err != nil:
		return nil, fmt.Errorf("%s = %q: %w", key, address, err)
	}
	return listener, nil
}

// Addr is the address that the listener is bound to.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Close gives up the port of a Server that never ran.
func (s *Server) Close() error { return s.listener.Close() }

// Run serves until ctx ends, which is no error. Requests in flight then have
// two seconds to finish.
func (s *Server) Run(ctx context.Context) error {
	served := make(chan error, 1)
	go func() {
		flags := &web.FlagConfig{WebConfigFile: &s.config}
		served <- web.Serve(s.listener, s.server, flags, s.logger)
	}()
	select {
	case err := <-served:
		return fmt.Errorf("serve %s: %w", s.Addr(), err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := s.server.Shutdown(grace); err != nil {
		// What hangs at this point is a client; its connection is cut.
		err = s.server.Close()
		s.logger.Warn("cut connections that did not finish", "err", err)
	}
	<-served
	return nil
}
