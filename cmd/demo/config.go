package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// Names inside of the temporary directory.
const (
	configName   = "config.toml"
	databaseName = "messages.db"
)

// Secrets that protect nothing.
const (
	appSecret   = "demo-app-secret"
	verifyToken = "demo-verify-token"
	accessToken = "demo-access-token"
)

// addresses are those that the two programs listen on.
type addresses struct {
	webhook, writerMetrics, replicator string
}

func (a addresses) webhookURL() string { return "http://" + a.webhook + "/webhook" }

func (a addresses) writerPage(name string) string { return "http://" + a.writerMetrics + "/" + name }

func (a addresses) replicatorPage(name string) string { return "http://" + a.replicator + "/" + name }

// Ports are chosen below the range that systems give to outgoing connections,
// so that none of those takes one before its program does.
const (
	firstPort = 20000
	lastPort  = 31999
)

// chooseAddresses finds three free ports. They are named in the configuration,
// so that the other commands of the programs find them there.
func chooseAddresses(ctx context.Context) (addresses, error) {
	var a addresses
	for _, address := range []*string{&a.webhook, &a.writerMetrics, &a.replicator} {
		for tries := 0; ; tries++ {
			*address = fmt.Sprintf("127.0.0.1:%d", firstPort+rand.IntN(lastPort-firstPort+1)) //nolint:gosec // a port number is no secret
			listener, err := new(net.ListenConfig).Listen(ctx, "tcp", *address)
			if err == nil {
				// Closed at the end, so that none is found twice.
				defer listener.Close()
				break
			}
			if tries == 100 {
				return a, errors.Join(errors.New("no free port"), err)
			}
		}
	}
	return a, nil
}

// writeConfig writes the file that both programs read.
func writeConfig(dir string, a addresses, crmAddress, graphURL string) error {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# Written by the demo. Both programs read it.")
	line("[database]\npath = %q", filepath.Join(dir, databaseName))
	line("[writer]\nlisten = %q\nmetrics_listen = %q", a.webhook, a.writerMetrics)
	line("verify_token = %q\napp_secrets = [%q]", verifyToken, appSecret)
	line("[replicator]\nlisten = %q", a.replicator)
	line("[crm]\naddresses = [%q]\nuser = %q\ndatabase = %q", crmAddress, crmUser, crmDatabase)
	line("[instagram]\nbase_url = %q\naccess_token = %q", graphURL, accessToken)
	return os.WriteFile(filepath.Join(dir, configName), []byte(b.String()), 0o600)
}
