package ops

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// deadline is for waits that end at once unless something is broken.
const deadline = 10 * time.Second

// run starts a server with o on a free port and stops it with the test.
func run(tb testing.TB, o Options) string {
	tb.Helper()
	o.Listen, o.ListenKey = "127.0.0.1:0", "replicator.listen"
	if o.Registry == nil {
		o.Registry = NewRegistry("replicator", "1.2.3")
	}
	s, err := New(o)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(tb.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				tb.Errorf("Run: %v", err)
			}
		case <-time.After(deadline):
			tb.Error("Run does not end with its context")
		}
	})
	return s.Addr()
}

// page gets a page of the server at addr.
func page(tb testing.TB, addr, path string) (status int, body string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), deadline)
	defer cancel()
	status, raw, err := Get(ctx, addr, path)
	if err != nil {
		tb.Fatal(err)
	}
	return status, string(raw)
}

func TestServer_pages(t *testing.T) {
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("hello")) })
	addr := run(t, Options{
		Program:  "replicator",
		Version:  "1.2.3",
		Handlers: map[string]http.Handler{"/status": hello},
		Ready:    func() error { return errors.New("the first read is still to come") },
	})
	for _, tc := range []struct {
		path, want string
		status     int
	}{
		{"/metrics", `sidestream_build_info{goversion="go`, 200},
		{"/metrics", "process_open_fds", 200},
		{"/metrics", "go_goroutines", 200},
		{"/metrics", "promhttp_metric_handler_errors_total", 200},
		{"/healthz", "ok\n", 200},
		{"/readyz", "the first read is still to come\n", 503},
		{"/status", "hello", 200},
		{"/", `href="/status"`, 200},
		{"/", "1.2.3", 200},
		{"/debug/pprof/", "", 404},
	} {
		status, body := page(t, addr, tc.path)
		if status != tc.status || !strings.Contains(body, tc.want) {
			t.Errorf("%s: status %d, want %d with %q in:\n%s", tc.path, status, tc.status, tc.want, body)
		}
	}
	if _, body := page(t, addr, "/"); strings.Contains(body, "debug/pprof") {
		t.Error("the index page offers profiles")
	}
}

func TestServer_a_broken_collector_is_logged_and_the_others_stay(t *testing.T) {
	registry := NewRegistry("replicator", "1.2.3")
	desc := prometheus.NewDesc("sidestream_test_broken", "Fails.", nil, nil)
	registry.MustRegister(invalid{desc})
	var log lockedBuffer
	addr := run(t, Options{Registry: registry, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	status, body := page(t, addr, "/metrics")
	if status != http.StatusOK || !strings.Contains(body, "sidestream_build_info") {
		t.Errorf("status %d:\n%s", status, body)
	}
	if !strings.Contains(log.String(), "source is away") {
		t.Errorf("log does not hold the collector's error:\n%s", log.String())
	}
}

type invalid struct{ desc *prometheus.Desc }

func (c invalid) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }
func (c invalid) Collect(ch chan<- prometheus.Metric) {
	ch <- prometheus.NewInvalidMetric(c.desc, errors.New("source is away"))
}

func TestNew_refuses(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	bad := filepath.Join(t.TempDir(), "web.yml")
	if err := os.WriteFile(bad, []byte("tls_server_confg: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	for name, tc := range map[string]struct {
		o    Options
		want []string
	}{
		"a_busy_port_with_its_key_and_address": {
			Options{Registry: registry, Listen: busy.Addr().String(), ListenKey: "writer.metrics_listen"},
			[]string{"writer.metrics_listen", busy.Addr().String(), "address already in use", "is another one running? Otherwise change the key"},
		},
		"an_unknown_key_in_the_web_configuration": {
			Options{Registry: registry, Listen: "127.0.0.1:0", WebConfigFile: bad},
			[]string{bad, "tls_server_confg"},
		},
		"no_registry": {Options{Listen: "127.0.0.1:0"}, []string{"no registry"}},
		"a_page_of_its_own": {
			Options{
				Registry: prometheus.NewRegistry(), Listen: "127.0.0.1:0",
				Handlers: map[string]http.Handler{"/metrics": http.NotFoundHandler()},
			},
			[]string{"/metrics is taken"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.o.Registry != nil {
				tc.o.Registry = prometheus.NewRegistry()
			}
			_, err := New(tc.o)
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
		})
	}
}

func TestServer_gives_the_port_back(t *testing.T) {
	t.Run("after_close", func(t *testing.T) {
		s, err := New(Options{Listen: "127.0.0.1:0", Registry: prometheus.NewRegistry()})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		rebind(t, s.Addr())
	})
	t.Run("after_a_run_whose_context_had_ended", func(t *testing.T) {
		s, err := New(Options{Listen: "127.0.0.1:0", Registry: prometheus.NewRegistry()})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Run(ctx); err != nil {
			t.Fatal(err)
		}
		rebind(t, s.Addr())
	})
}

func rebind(tb testing.TB, addr string) {
	tb.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	l.Close()
}

func TestServer_run_says_so_where_the_listener_breaks(t *testing.T) {
	s, err := New(Options{Listen: "127.0.0.1:0", Registry: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := s.Run(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

// webConfig writes a web configuration with a certificate of its own.
func webConfig(tb testing.TB, extra string) string {
	tb.Helper()
	dir := tb.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotAfter:     time.Now().Add(time.Hour),
		DNSNames:     []string{"metrics.example"},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		tb.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		tb.Fatal(err)
	}
	write := func(name string, content []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	write("cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
	write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
	write("web.yml", []byte("tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n"+extra))
	return filepath.Join(dir, "web.yml")
}

func TestServer_speaks_tls_by_its_web_configuration(t *testing.T) {
	addr := run(t, Options{WebConfigFile: webConfig(t, "")})
	if status, body := page(t, addr, "/metrics"); status != 200 || !strings.Contains(body, "sidestream_build_info") {
		t.Errorf("status %d:\n%s", status, body)
	}
	plain, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Body.Close()
	if plain.StatusCode != http.StatusBadRequest {
		t.Errorf("plain HTTP is answered with %d", plain.StatusCode)
	}
	http.DefaultClient.CloseIdleConnections()
}

// lockedBuffer is a log that may be read while it is written.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
