package testkit

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// builds holds the binaries that this test binary has built: tests share them
// because a cold build takes most of a minute.
//
//nolint:gochecknoglobals // one cache per test process is the point of it
var builds struct {
	mu   sync.Mutex
	dir  string
	byID map[string]*build
	// guard is kept: the directory is removed when its pipe is collected.
	guard *Guard
}

type build struct {
	prepare, once sync.Once

	dir  string
	path string
	err  error
	out  []byte
}

// BuildBinary compiles a main package of this module, once per test process and
// set of build tags, and returns the path of the binary. pkg is an import path
// ("sidestream/cmd/writer") or relative to the module's root ("./cmd/writer").
// The binary is removed when the test binary ends.
func BuildBinary(tb testing.TB, pkg string, tags ...string) string {
	tb.Helper()
	id := pkg + " " + strings.Join(tags, ",")
	return buildFor(tb, id).run(tb, id, pkg, "-tags", strings.Join(tags, ","))
}

// BuildOverlay is BuildBinary with files of the module replaced by other texts,
// by their path inside the module: the tree is not touched.
func BuildOverlay(tb testing.TB, pkg string, files map[string]string) string {
	tb.Helper()
	id := fmt.Sprintf("%s %x", pkg, sha256.Sum256(fmt.Append(nil, files))) // maps print in order
	b := buildFor(tb, id)
	overlay := filepath.Join(b.dir, "overlay.json")
	b.prepare.Do(func() { b.err = writeOverlay(b.dir, overlay, ModuleRoot(tb), files) })
	if b.err != nil {
		tb.Fatalf("overlay of %s: %v", pkg, b.err)
	}
	return b.run(tb, pkg+" with an overlay", pkg, "-overlay", overlay)
}

// writeOverlay writes the files and what go build is told about them.
func writeOverlay(dir, overlay, root string, files map[string]string) error {
	replaced := map[string]string{}
	for file, text := range files {
		changed := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		if err := os.WriteFile(changed, []byte(text), 0o600); err != nil {
			return err
		}
		replaced[filepath.Join(root, file)] = changed
	}
	text, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		return err
	}
	return os.WriteFile(overlay, text, 0o600)
}

func (b *build) run(tb testing.TB, id, pkg string, flags ...string) string {
	tb.Helper()
	b.once.Do(func() {
		b.path = filepath.Join(b.dir, path.Base(filepath.ToSlash(pkg)))
		cmd := exec.Command("go", append(append([]string{"build", "-o", b.path}, flags...), pkg)...) //nolint:noctx // the build serves later tests too
		cmd.Dir = ModuleRoot(tb)
		b.out, b.err = cmd.CombinedOutput()
	})
	if b.err != nil {
		tb.Fatalf("build %s: %v\n%s", id, b.err, b.out)
	}
	return b.path
}

// buildFor returns the build of id.
func buildFor(tb testing.TB, id string) *build {
	tb.Helper()
	builds.mu.Lock()
	defer builds.mu.Unlock()
	if builds.byID == nil {
		dir, err := os.MkdirTemp("", "sidestream-bin-") //nolint:usetesting // lives longer than the test
		if err != nil {
			tb.Fatalf("directory for binaries: %v", err)
		}
		guard, err := NewGuard(dir)
		if err != nil {
			tb.Fatalf("%v", err)
		}
		builds.dir, builds.guard, builds.byID = dir, guard, map[string]*build{}
	}
	if b := builds.byID[id]; b != nil {
		return b
	}
	// One directory per build: the same program may be built with other tags.
	dir, err := os.MkdirTemp(builds.dir, "b") //nolint:usetesting // lives longer than the test
	if err != nil {
		tb.Fatalf("directory for %s: %v", id, err)
	}
	b := &build{dir: dir}
	builds.byID[id] = b
	return b
}

// ModuleRoot walks up from the test's directory to the one with go.mod.
func ModuleRoot(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatalf("working directory: %v", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			tb.Fatal("no go.mod above the test's directory")
		}
		dir = up
	}
}
