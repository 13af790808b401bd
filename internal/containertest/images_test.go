//go:build container

package containertest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// The images that come from elsewhere. The Dockerfile names the first two.
const (
	goImage         = "golang:1.26-bookworm"
	staticImage     = "gcr.io/distroless/static-debian12:nonroot"
	mariadbImage    = "mariadb:10.11"
	prometheusImage = "prom/prometheus:latest"
	debianImage     = "debian:bookworm-slim"
)

// imageVersion is what the programs under test call themselves: always the same,
// so that what was built once is found in the builder's cache.
const imageVersion = "container-test"

// imageTag is the run's own: another run may build from other sources.
func imageTag() string { return imageVersion + "-" + runID() }

func imageOf(target string) string { return "sidestream/" + target + ":" + imageTag() }

// baseImages runs the script in SIDESTREAM_BASE_IMAGES where an image is missing.
func baseImages(ctx context.Context) error {
	script := os.Getenv("SIDESTREAM_BASE_IMAGES")
	if script == "" {
		return nil // the engine pulls them
	}
	missing := false
	for _, image := range []string{goImage, staticImage, mariadbImage, prometheusImage, debianImage} {
		if _, err := dockerTry(ctx, "image", "inspect", image); err != nil {
			missing = true
		}
	}
	if !missing {
		return nil
	}
	fmt.Fprintln(os.Stderr, "base images are missing; running", script)
	command := exec.CommandContext(ctx, script)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", script, err, output)
	}
	return nil
}

// hasImage tells whether the engine has an image or can pull it.
func hasImage(ctx context.Context, image string) bool {
	if _, err := dockerTry(ctx, "image", "inspect", image); err == nil {
		return true
	}
	_, err := dockerTry(ctx, "pull", "--quiet", image)
	return err == nil
}

// built are the images that were built already by this test process.
var built sync.Map

type build struct {
	once sync.Once
	err  error
	took time.Duration
}

// image builds a target of the Dockerfile, once per test process.
func image(tb testing.TB, target string) string {
	tb.Helper()
	value, _ := built.LoadOrStore(target, new(build))
	b, _ := value.(*build)
	b.once.Do(func() {
		started := time.Now()
		b.err = buildImage(tb, target, imageOf(target))
		b.took = time.Since(started)
		tb.Logf("built %s in %.0f s", imageOf(target), b.took.Seconds())
	})
	if b.err != nil {
		tb.Fatal(b.err)
	}
	return imageOf(target)
}

// buildImage builds a target, or what no target gives, with modules from this machine's own cache: no container
// registry's or proxy's certificate has to be inside of the builder.
func buildImage(tb testing.TB, target, tag string) error {
	tb.Helper()
	args := []string{"build", "--tag", tag, "--label", label(), "--build-arg", "VERSION=" + imageVersion}
	if target != "" {
		args = append(args, "--target", target)
	}
	args = append(args, modules(tb)...)
	command := exec.CommandContext(tb.Context(), "docker", append(args, top)...)
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if err := command.Run(); err != nil {
		lines := strings.Split(output.String(), "\n")
		return fmt.Errorf("docker build %s: %w\n%s", target, err, strings.Join(lines[max(0, len(lines)-40):], "\n"))
	}
	return nil
}

// modules serves the module cache to the build and returns the arguments that
// lead there. The proxy's name never changes, and HTTP_PROXY, which does, is no
// part of the key under which the builder caches its layers.
func modules(tb testing.TB) []string {
	tb.Helper()
	// The bridge's first address is this machine, as containers see it.
	subnet, err := netip.ParsePrefix(docker(tb, "network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Subnet}}"))
	if err != nil {
		tb.Fatal(err)
	}
	gateway := subnet.Masked().Addr().Next()
	listener, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", netip.AddrPortFrom(gateway, 0).String())
	if err != nil {
		tb.Logf("the builder has to fetch modules by itself: %v", err)
		return nil
	}
	if output, err := exec.CommandContext(tb.Context(), "go", "mod", "download").CombinedOutput(); err != nil {
		tb.Logf("go mod download: %v\n%s", err, output)
	}
	cache, err := exec.CommandContext(tb.Context(), "go", "env", "GOMODCACHE").Output()
	if err != nil {
		tb.Fatal(err)
	}
	files := http.FileServer(http.Dir(filepath.Join(strings.TrimSpace(string(cache)), "cache", "download")))
	server := &http.Server{Handler: files, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	tb.Cleanup(func() { _ = server.Close() })
	return []string{
		"--build-arg", "GOPROXY=http://modules.invalid", "--build-arg", "GOSUMDB=off",
		"--build-arg", "HTTP_PROXY=http://" + listener.Addr().String(),
	}
}
