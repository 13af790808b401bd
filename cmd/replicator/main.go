// Command replicator carries the writer's messages into the CRM.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"sidestream/internal/app/replicator"
)

// version is set by the linker in released builds.
var version string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// From the first signal on the next one ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(replicator.Run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr, version))
}
