// Command demo shows Sidestream at work, with nothing installed but Go and a C
// compiler: a simulated Instagram sends signed webhooks to the real writer, and
// the real replicator carries them into an embedded MySQL-compatible server.
// At the end every message is counted.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// From the first signal on the next one ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}
