//go:build container

package containertest

import (
	"context"
	"fmt"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if _, err := dockerTry(context.Background(), "version", "--format", "{{.Server.Version}}"); err != nil {
		fmt.Fprintln(os.Stderr, "these tests need a Docker engine:", err)
		return 1
	}
	if err := baseImages(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	clean, err := startCleaner()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := clean(); err != nil {
		fmt.Fprintln(os.Stderr, "cleaning up:", err)
		return 1
	}
	return code
}
