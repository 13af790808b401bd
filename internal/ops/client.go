package ops

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// maxAnswer bounds what is read of an answer; pages of ours are far smaller.
const maxAnswer = 1 << 20

// Get asks a Server of this host, by the address that it was told to listen
// on, for one page. An address without a host, or with the one that stands for
// all (0.0.0.0, ::), is asked on the loopback.
//
// It speaks plain HTTP first, and HTTPS where the answer is that the listener
// wants that, so that the caller needs not read the web configuration. The
// certificate is not verified: it names the host as others call it, the
// connection does not leave the machine, and no secret is sent over it.
//
// ctx bounds the wait. An error means that there was no HTTP answer at all.
func Get(ctx context.Context, addr, path string) (status int, body []byte, err error) {
	host, err := dialable(addr)
	if err != nil {
		return 0, nil, err
	}
	client := &http.Client{
		Transport: &http.Transport{
			// Never through a proxy of the environment.
			Proxy:             nil,
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	status, body, err = get(ctx, client, "http://"+host+path)
	// net/http's answer to plain HTTP on a TLS listener (Server.serve).
	if err == nil && status == http.StatusBadRequest && strings.Contains(string(body), "HTTPS server") {
		return get(ctx, client, "https://"+host+path)
	}
	return status, body, err
}

func get(ctx context.Context, client *http.Client, url string) (int, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	return response.StatusCode, body, err
}

// dialable turns an address to listen on into one to connect to.
func dialable(addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	switch host {
	case "", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	return net.JoinHostPort(host, port), nil
}

// Healthcheck asks /healthz of the program that listens on addr and returns
// nil where it is alive. timeout bounds the wait.
//
// A listener that demands a password or a client certificate, or that limits
// its rate, counts as alive: the health check has no key, and the process has
// shown that it accepts and answers.
func Healthcheck(ctx context.Context, addr string, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	status, body, err := Get(ctx, addr, "/healthz")
	// crypto/tls reports an alert of the other side this way.
	if alert, ok := errors.AsType[*net.OpError](err); ok && alert.Op == "remote error" {
		return nil
	}
	if err != nil {
		return fmt.Errorf("healthcheck %s: %w", addr, err)
	}
	switch status {
	case http.StatusOK, http.StatusUnauthorized, http.StatusTooManyRequests:
		return nil
	default:
		return fmt.Errorf("healthcheck %s: answered %d: %s", addr, status, strings.TrimSpace(string(body)))
	}
}
