//go:build container

package containertest

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sidestream/internal/testkit"
)

// names numbers what is made, so that names are unique within the run.
var names atomic.Int64

func newName(what string) string {
	return fmt.Sprintf("sidestream-%s-%s-%d", runID(), what, names.Add(1))
}

// hardened is how every container of ours runs.
func hardened() []string {
	return []string{"--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"}
}

// container is one that runs, or ran.
type container struct{ name string }

// startContainer starts a container in the background. flags stand before the
// image, args after it.
func startContainer(tb testing.TB, what, image string, flags, args []string) *container {
	tb.Helper()
	c := &container{name: newName(what)}
	all := append([]string{"run", "--detach", "--name", c.name, "--label", label()}, flags...)
	docker(tb, append(append(all, image), args...)...)
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("the last lines of %s:\n%s", c.name, tail(c.logs(tb), 15))
		}
		c.remove(tb)
	})
	return c
}

// remove removes the container, running or not.
func (c *container) remove(tb testing.TB) {
	tb.Helper()
	if _, err := dockerTry(cleanupContext(), "rm", "--force", "--volumes", c.name); err != nil && !strings.Contains(err.Error(), "No such container") {
		tb.Error(err)
	}
}

// inspect returns one field of what the engine knows.
func (c *container) inspect(tb testing.TB, format string) string {
	tb.Helper()
	return docker(tb, "inspect", "--format", format, c.name)
}

func (c *container) running(tb testing.TB) bool {
	tb.Helper()
	return c.inspect(tb, "{{.State.Running}}") == "true"
}

// wantExit fails the test unless the container has ended with a code.
func (c *container) wantExit(tb testing.TB, code int) {
	tb.Helper()
	testkit.Eventually(tb, patient, func() bool { return !c.running(tb) }, c.name+" ended")
	if got := c.inspect(tb, "{{.State.ExitCode}}"); got != strconv.Itoa(code) {
		tb.Errorf("%s ended with code %s, want %d", c.name, got, code)
	}
}

// address returns where a port of the container is on one of its networks.
func (c *container) address(tb testing.TB, network string, port int) string {
	tb.Helper()
	ip := c.inspect(tb, `{{(index .NetworkSettings.Networks "`+network+`").IPAddress}}`)
	return net.JoinHostPort(ip, strconv.Itoa(port))
}

// health is the engine's verdict: starting, healthy or unhealthy.
func (c *container) health(tb testing.TB) string {
	tb.Helper()
	return c.inspect(tb, "{{.State.Health.Status}}")
}

func (c *container) waitHealth(tb testing.TB, want string) {
	tb.Helper()
	testkit.Eventually(tb, patient, func() bool { return c.health(tb) == want }, c.name+" is "+want)
}

// logs returns what the program has written on both outputs.
func (c *container) logs(tb testing.TB) string {
	tb.Helper()
	// Both, and stderr is where our programs log.
	out, err := dockerLogs(c.name)
	if err != nil {
		tb.Error(err)
	}
	return out
}

// kill sends a signal from outside, as the kernel's OOM killer does.
func (c *container) kill(tb testing.TB, signal string) {
	tb.Helper()
	docker(tb, "kill", "--signal", signal, c.name)
}

// stop asks the container to end, as an orchestrator does, and returns how long
// that took; beyond grace it is killed.
func (c *container) stop(tb testing.TB, grace time.Duration) time.Duration {
	tb.Helper()
	started := time.Now()
	docker(tb, "stop", "--time", strconv.Itoa(int(grace.Seconds())), c.name)
	return time.Since(started)
}

// again starts a container that has ended.
func (c *container) again(tb testing.TB) {
	tb.Helper()
	docker(tb, "start", c.name)
}

// exec runs a command inside and returns its output and exit code.
func (c *container) exec(tb testing.TB, args ...string) (output string, code int) {
	tb.Helper()
	out, err := dockerTry(tb.Context(), append([]string{"exec", c.name}, args...)...)
	if err != nil {
		out += err.Error()
	}
	return out, exitCode(err)
}

func tail(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
