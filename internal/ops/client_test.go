package ops

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestHealthcheck(t *testing.T) {
	// The password is "scrape".
	const users = "basic_auth_users:\n  prometheus: $2a$04$O8yh1gjIWsU7neyqNhRvtO89a8CS/LcYNrPEtYAoNViUMnzOhfRJC\n"
	passwordOnly := filepath.Join(t.TempDir(), "web.yml")
	if err := os.WriteFile(passwordOnly, []byte(users), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		o    Options
		want string
	}{
		"alive":                           {Options{}, ""},
		"alive_behind_tls":                {Options{WebConfigFile: webConfig(t, "")}, ""},
		"alive_behind_a_password":         {Options{WebConfigFile: passwordOnly}, ""},
		"alive_behind_tls_and_a_password": {Options{WebConfigFile: webConfig(t, users)}, ""},
		"alive_behind_client_certificates": {
			Options{WebConfigFile: webConfig(t, "  client_auth_type: RequireAnyClientCert\n")}, "",
		},
		"alive_behind_client_certificates_of_tls_1_2": {
			Options{WebConfigFile: webConfig(t, "  client_auth_type: RequireAnyClientCert\n  max_version: TLS12\n")}, "",
		},
		"not_ready_is_alive": {Options{Ready: func() error { return errors.New("waiting") }}, ""},
		"dead": {
			Options{Alive: func() error { return errors.New("the loop stands still") }},
			"answered 503: the loop stands still",
		},
		"dead_behind_tls": {
			Options{WebConfigFile: webConfig(t, ""), Alive: func() error { return errors.New("the loop stands still") }},
			"answered 503: the loop stands still",
		},
	} {
		t.Run(name, func(t *testing.T) {
			addr := run(t, tc.o)
			err := Healthcheck(t.Context(), addr, deadline)
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
	t.Run("nobody_listens", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		if err := Healthcheck(t.Context(), l.Addr().String(), deadline); err == nil {
			t.Error("no error")
		}
	})
	t.Run("nobody_answers_in_time", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		err = Healthcheck(t.Context(), l.Addr().String(), 10*time.Millisecond)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestDialable(t *testing.T) {
	for listen, want := range map[string]string{
		":9465":              "127.0.0.1:9465",
		"0.0.0.0:9465":       "127.0.0.1:9465",
		"[::]:9465":          "[::1]:9465",
		"[::1]:9465":         "[::1]:9465",
		"127.0.0.1:9465":     "127.0.0.1:9465",
		"10.1.2.3:9465":      "10.1.2.3:9465",
		"crm.example:metric": "crm.example:metric",
	} {
		if got, err := dialable(listen); err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", listen, got, err, want)
		}
	}
	if _, err := dialable("9465"); err == nil {
		t.Error("a port alone is no address")
	}
}
