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
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Limits of the replicator, as promised to whoever pulls it.
const (
	maxBinary = 20_000_000
	maxImage  = 25_000_000
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
			wantHealthcheck(t, wantConfig(t, name, target), target)
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

// imageConfig is what an image says of itself.
type imageConfig struct {
	User        string
	Entrypoint  []string
	Labels      map[string]string
	Healthcheck struct{ Test []string }
}

// wantConfig checks what every image of ours says of itself.
func wantConfig(t *testing.T, name, target string) imageConfig {
	t.Helper()
	var config imageConfig
	if err := json.Unmarshal([]byte(docker(t, "image", "inspect", "--format", "{{json .Config}}", name)), &config); err != nil {
		t.Fatal(err)
	}
	if config.User != "65532:65532" {
		t.Errorf("it runs as %q", config.User)
	}
	if !slices.Equal(config.Entrypoint, []string{"/usr/local/bin/" + target}) {
		t.Errorf("it starts %q", config.Entrypoint)
	}
	for _, key := range []string{"title", "description", "version", "revision", "licenses"} {
		if config.Labels["org.opencontainers.image."+key] == "" {
			t.Errorf("the label %s is missing", key)
		}
	}
	if got := config.Labels["org.opencontainers.image.version"]; got != imageVersion {
		t.Errorf("the version label is %q", got)
	}
	return config
}

// wantHealthcheck is for the programs that run for long.
func wantHealthcheck(t *testing.T, config imageConfig, target string) {
	t.Helper()
	if want := []string{"CMD", "/usr/local/bin/" + target, "healthcheck"}; !slices.Equal(config.Healthcheck.Test, want) {
		t.Errorf("the health check is %q", config.Healthcheck.Test)
	}
}

// TestShowImages_are_reproducible builds both programs a second time, from
// sources in another directory and without anything cached, which takes minutes.
func TestShowImages_are_reproducible(t *testing.T) {
	programs := []string{"writer", "replicator"}
	var first []string
	for _, program := range programs {
		first = append(first, sum(t, wantFiles(t, image(t, program), "usr/local/bin/"+program)))
	}
	if err := buildImage(t, "build", imageOf("build")); err != nil {
		t.Fatal(err)
	}
	out := docker(t, "run", "--rm", "--label", label(), "--network", "none", imageOf("build"), "sh", "-c",
		`cp -r /src /elsewhere && cd /elsewhere && mkdir /tmp/again && GOCACHE=/tmp/empty go build `+
			`-ldflags "-s -w -extldflags -static -X main.version=`+imageVersion+`" -o /tmp/again/ ./cmd/writer ./cmd/replicator && cd /tmp/again && sha256sum writer replicator`)
	for i, line := range strings.Split(out, "\n") {
		second, _, _ := strings.Cut(line, " ")
		t.Logf("sha256 of the %s, twice: %s", programs[i], first[i])
		if first[i] != second {
			t.Errorf("the second build has %s", second)
		}
	}
}

// TestImages_default_is_the_replicator builds without a target.
func TestImages_default_is_the_replicator(t *testing.T) {
	for _, target := range []string{"replicator", "demo"} {
		image(t, target) // the classic builder makes every stage on its way
	}
	if err := buildImage(t, "", imageOf("default")); err != nil {
		t.Fatal(err)
	}
	wantHealthcheck(t, wantConfig(t, imageOf("default"), "replicator"), "replicator")
}

func sum(t *testing.T, content []byte) string {
	t.Helper()
	digest := sha256.Sum256(content)
	return hex.EncodeToString(digest[:])
}
