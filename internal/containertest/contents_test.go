//go:build container

package containertest

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Limits of the replicator, as promised to whoever pulls it.
const (
	maxBinary = 20 << 20
	maxImage  = 25 << 20
)

// TestImages looks into the images of both programs.
func TestImages(t *testing.T) {
	for _, target := range []string{"writer", "replicator"} {
		t.Run(target, func(t *testing.T) {
			name := image(t, target)
			binary := wantFiles(t, name, "usr/local/bin/"+target)
			size, err := strconv.Atoi(docker(t, "image", "inspect", "--format", "{{.Size}}", name))
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s: binary %.1f MB, image %.1f MB", target, float64(len(binary))/1e6, float64(size)/1e6)
			if len(binary) > maxBinary || size > maxImage {
				t.Errorf("the binary has %d bytes, the image %d", len(binary), size)
			}
			wantStatic(t, binary)
			wantConfig(t, name, target)
			out := docker(t, append(append([]string{"run", "--rm", "--label", label(), "--network", "none"}, hardened()...), name, "version")...)
			if out != target+" "+imageVersion {
				t.Errorf("the version is %q", out)
			}
		})
	}
}

// wantFiles reads the image's files and returns one of them.
func wantFiles(t *testing.T, name, wanted string) []byte {
	t.Helper()
	id := docker(t, "create", "--label", label(), name)
	defer docker(t, "rm", "--force", id)
	archive := filepath.Join(t.TempDir(), "image.tar")
	docker(t, "export", "--output", archive, id)
	seen := map[string]*tar.Header{}
	var content []byte
	each(t, archive, func(h *tar.Header, r io.Reader) {
		name := strings.TrimPrefix(strings.TrimSuffix(h.Name, "/"), "./")
		seen[name] = h
		if name == wanted {
			var err error
			if content, err = io.ReadAll(r); err != nil {
				t.Fatal(err)
			}
		}
	})
	for _, file := range []string{"etc/ssl/certs/ca-certificates.crt", "usr/share/zoneinfo/Europe/Berlin", wanted} {
		if seen[file] == nil {
			t.Errorf("%s has no %s", name, file)
		}
	}
	if h := seen["data"]; h == nil || h.Uid != 65532 || h.Gid != 65532 {
		t.Errorf("/data is not the program's own: %+v", h)
	}
	for _, shell := range []string{"bin/sh", "bin/bash", "usr/bin/sh"} {
		if seen[shell] != nil {
			t.Errorf("%s has a shell", name)
		}
	}
	return content
}

func each(t *testing.T, archive string, visit func(*tar.Header, io.Reader)) {
	t.Helper()
	file, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	reader := tar.NewReader(file)
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		visit(header, reader)
	}
}

// wantStatic fails the test where the binary asks for a loader or a library.
func wantStatic(t *testing.T, binary []byte) {
	t.Helper()
	file, err := elf.NewFile(bytes.NewReader(binary))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the binary is not static")
		}
	}
	if libraries, err := file.ImportedLibraries(); err != nil || len(libraries) > 0 {
		t.Errorf("the binary needs %v, %v", libraries, err)
	}
}

// wantConfig checks what the image says of itself.
func wantConfig(t *testing.T, name, target string) {
	t.Helper()
	var config struct {
		User        string
		Entrypoint  []string
		Labels      map[string]string
		Healthcheck struct{ Test []string }
	}
	if err := json.Unmarshal([]byte(docker(t, "image", "inspect", "--format", "{{json .Config}}", name)), &config); err != nil {
		t.Fatal(err)
	}
	if config.User != "65532:65532" {
		t.Errorf("it runs as %q", config.User)
	}
	if want := []string{"CMD", "/usr/local/bin/" + target, "healthcheck"}; strings.Join(config.Healthcheck.Test, " ") != strings.Join(want, " ") {
		t.Errorf("the health check is %q", config.Healthcheck.Test)
	}
	for _, key := range []string{"title", "description", "version", "revision", "licenses"} {
		if config.Labels["org.opencontainers.image."+key] == "" {
			t.Errorf("the label %s is missing", key)
		}
	}
	if got := config.Labels["org.opencontainers.image.version"]; got != imageVersion {
		t.Errorf("the version label is %q", got)
	}
}

// TestImages_are_reproducible builds the replicator a second time, from sources
// in another directory and without anything cached.
func TestImages_are_reproducible(t *testing.T) {
	name := image(t, "replicator")
	first := sum(t, wantFiles(t, name, "usr/local/bin/replicator"))
	if err := buildImage(t, "build", imageOf("build")); err != nil {
		t.Fatal(err)
	}
	out := docker(t, "run", "--rm", "--label", label(), "--network", "none", imageOf("build"), "sh", "-c",
		`cp -r /src /elsewhere && cd /elsewhere && GOCACHE=/tmp/empty go build `+
			`-ldflags "-s -w -extldflags -static -X main.version=`+imageVersion+`" -o /tmp/replicator ./cmd/replicator && sha256sum </tmp/replicator`)
	second, _, _ := strings.Cut(out, " ")
	t.Logf("sha256 of the replicator, twice: %s", first)
	if first != second {
		t.Errorf("the second build has %s", second)
	}
}

func sum(t *testing.T, content []byte) string {
	t.Helper()
	digest := sha256.Sum256(content)
	return hex.EncodeToString(digest[:])
}
