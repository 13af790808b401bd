package mysql

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"

	driver "github.com/go-sql-driver/mysql"
)

// TLS says how connections to the CRM are protected.
type TLS struct {
	// Mode is "disabled", "preferred" (use it where the server offers it; the
	// default), "required" (no certificate check), "verify-ca" or "verify-full".
	Mode string
	// CAFile holds PEM certificates; empty means the system's.
	CAFile string
	// ServerName is checked instead of the address's host.
	ServerName string
}

func (t TLS) validate() error {
	switch t.Mode {
	case "", "disabled", "preferred", "required", "verify-ca", "verify-full":
		return nil
	}
	return fmt.Errorf("mysql: unknown TLS mode %q", t.Mode)
}

// apply sets the driver's fields for one address. The CA file is read at each
// connection, like every other secret.
func (t TLS) apply(cfg *driver.Config) error {
	switch t.Mode {
	case "disabled":
		cfg.TLSConfig = "false"
		return nil
	case "", "preferred":
		cfg.TLSConfig = "preferred"
		return nil
	}
	// The checks below replace the library's, which cannot verify the chain
	// without the name.
	conf := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: true} //nolint:gosec // see verify
	conf.ServerName = t.ServerName
	if conf.ServerName == "" {
		if host, _, err := net.SplitHostPort(cfg.Addr); err == nil {
			conf.ServerName = host
		}
	}
	if t.Mode != "required" {
		roots, err := t.roots()
		if err != nil {
			return err
		}
		name := conf.ServerName
		if t.Mode == "verify-ca" {
			name = ""
		}
		conf.VerifyConnection = func(state tls.ConnectionState) error { return verify(state, roots, name) }
	}
	cfg.TLS = conf
	return nil
}

func (t TLS) roots() (*x509.CertPool, error) {
	if t.CAFile == "" {
		return x509.SystemCertPool()
	}
	pem, err := os.ReadFile(t.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read crm.tls_ca_file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("crm.tls_ca_file holds no PEM certificate")
	}
	return pool, nil
}

func verify(state tls.ConnectionState, roots *x509.CertPool, name string) error {
	if len(state.PeerCertificates) == 0 {
		return errors.New("the server sent no certificate")
	}
	chain := x509.NewCertPool()
	for _, c := range state.PeerCertificates[1:] {
		chain.AddCert(c)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: chain, DNSName: name})
	return err
}
