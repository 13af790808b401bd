//go:build container

package containertest

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// slow is longer than any call of the Docker client takes, builds included.
const slow = 30 * time.Minute

// labelKey marks what a run of these tests has made.
const labelKey = "sidestream.test"

// runID is the label's value, the same within one test process. It is a random
// one: several runs, each with process ids of its own, may share one engine.
var runID = sync.OnceValue(func() string { return "run-" + strings.ToLower(rand.Text()[:12]) })

func label() string { return labelKey + "=" + runID() }

// docker runs the Docker client and returns what it prints, without the line's
// end.
func docker(tb testing.TB, args ...string) string {
	tb.Helper()
	out, err := dockerTry(tb.Context(), args...)
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

// dockerTry is docker for what may fail; the error holds what the client said.
func dockerTry(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, slow)
	defer cancel()
	command := exec.CommandContext(ctx, "docker", args...)
	var stdout, stderr bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &stderr
	if err := command.Run(); err != nil {
		return stdout.String(), fmt.Errorf("docker %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(stdout.String()), nil
}

// exitCode returns the exit code that an error of dockerTry carries, 0 for nil.
func exitCode(err error) int {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	if err != nil {
		return -1
	}
	return 0
}

// cleaning waits for the end of its input, which is the end of the test process
// however that comes, and removes what carries the label.
const cleaning = `cat >/dev/null
docker ps -aq --filter "label=$1" | while read -r id; do docker rm -f -v "$id"; done
docker network ls -q --filter "label=$1" | while read -r id; do docker network rm "$id"; done
docker volume ls -q --filter "label=$1" | while read -r id; do docker volume rm -f "$id"; done
# Without their layers, which the next run builds on.
docker images -q --filter "label=$1" | sort -u | while read -r id; do docker rmi --force --no-prune "$id"; done`

// startCleaner returns a function that cleans up at once and waits for that.
func startCleaner() (func() error, error) {
	command := exec.Command("/bin/sh", "-c", "("+cleaning+") >/dev/null 2>&1", "cleaner", label())
	// Its own group, so that a Ctrl-C for the tests does not end the cleaner first.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	input, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	return func() error { return errors.Join(input.Close(), command.Wait()) }, nil
}

// cleanupContext is for what happens after a test's own context has ended.
func cleanupContext() context.Context { return context.Background() }

// dockerLogs returns both outputs of a container.
func dockerLogs(name string) (string, error) {
	ctx, cancel := context.WithTimeout(cleanupContext(), patient)
	defer cancel()
	out, err := exec.CommandContext(ctx, "docker", "logs", name).CombinedOutput()
	return string(out), err
}
