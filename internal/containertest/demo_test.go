//go:build container

package containertest

import (
	"strings"
	"testing"
)

// TestDemo runs the demo's image as a newcomer would, with nothing to write to
// but /tmp.
func TestDemo(t *testing.T) {
	name := image(t, "demo")
	wantConfig(t, name, "demo")
	args := append([]string{"run", "--rm", "--label", label(), "--network", "none", "--tmpfs", "/tmp"}, hardened()...)
	out := docker(t, append(args, name, "--for", "5s")...)
	if !strings.Contains(out, "messages") {
		t.Errorf("the demo says:\n%s", out)
	}
	t.Logf("%s", tail(out, 12))
}
