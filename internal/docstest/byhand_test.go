package docstest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"sidestream/internal/testkit"
	"sidestream/internal/testkit/mariadb"
)

// patient is longer than anything here takes on a busy machine.
const patient = 2 * time.Minute

// clone is a fresh checkout in which the page's commands run as they stand
// there, against a private server.
type clone struct {
	dir string
	env []string
	// ports takes the addresses on the page to free ones.
	ports *strings.Replacer
}

func newClone(t *testing.T) clone {
	t.Helper()
	for _, tool := range []string{"mariadb", "curl", "openssl"} {
		if _, err := exec.LookPath(tool); err != nil {
			mariadb.Missing(t, tool)
		}
	}
	server := mariadb.Start(t)
	c := clone{dir: t.TempDir()}
	copyTree(t, c.dir)
	host, port, err := net.SplitHostPort(server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	// Who types the commands is the server's administrator.
	home := t.TempDir()
	settings := fmt.Sprintf("[client]\nhost=%s\nport=%s\nprotocol=tcp\nuser=%s\npassword=%s\n", host, port, server.User, server.Password)
	if err := os.WriteFile(filepath.Join(home, ".my.cnf"), []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	writer, metrics, ops := address(t), address(t), address(t)
	c.ports = strings.NewReplacer("127.0.0.1:8080", writer, "127.0.0.1:9464", metrics, "127.0.0.1:9465", ops)
	c.env = []string{
		"HOME=" + home, "SIDESTREAM_CRM_ADDRESSES=" + server.Addr(), "SIDESTREAM_WRITER_LISTEN=" + writer,
		"SIDESTREAM_WRITER_METRICS_LISTEN=" + metrics, "SIDESTREAM_REPLICATOR_LISTEN=" + ops,
	}
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPROXY"} {
		c.env = append(c.env, name+"="+goEnv(t, name))
	}
	return c
}

func address(t *testing.T) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(testkit.Port(t)))
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// copyTree copies what the programs are built from.
func copyTree(t *testing.T, to string) {
	t.Helper()
	for _, name := range []string{"cmd", "internal", "mapping", "replicator", "watcher"} {
		if err := os.CopyFS(filepath.Join(to, name), withoutTests{os.DirFS(filepath.Join(top, name))}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"go.mod", "go.sum", "config.example.toml"} {
		if err := os.WriteFile(filepath.Join(to, name), []byte(readFile(t, name)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// withoutTests leaves out the many files that no build needs.
type withoutTests struct{ fs.FS }

func (w withoutTests) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(w.FS, name)
	var kept []fs.DirEntry
	for _, e := range entries {
		if e.Name() != "testdata" && !strings.HasSuffix(e.Name(), "_test.go") {
			kept = append(kept, e)
		}
	}
	return kept, err
}

// start starts a command that runs until the test's end.
func (c clone) start(t *testing.T, command string) {
	t.Helper()
	p := testkit.StartProcess(t, testkit.ProcessOptions{Path: "/bin/bash", Args: []string{"-c", "exec " + command}, Env: c.env, Dir: c.dir})
	p.WaitOutput(t, patient, `"msg":"started"`)
}

// run runs a block and returns what it prints.
func (c clone) run(t *testing.T, block string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	command := exec.CommandContext(ctx, "/bin/bash", "-euo", "pipefail", "-c", c.ports.Replace(block))
	command.Dir = c.dir
	command.Env = append([]string{"PATH=" + os.Getenv("PATH")}, c.env...)
	out, err := command.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(out), fmt.Errorf("%w\n%s", err, exit.Stderr)
	}
	return string(out), err
}

// daemon tells whether a block is one of the programs, running until stopped.
func daemon(block string) bool {
	switch strings.TrimSpace(block) {
	case "bin/writer -c config.toml", "bin/replicator -c config.toml":
		return true
	}
	return false
}

func TestReadme_section_by_hand_works(t *testing.T) {
	c := newClone(t)
	var ran, daemons, outputs int
	var last string
	for _, f := range readPage(t, "README.md").fences {
		switch {
		case f.under != byHand:
		case f.language == "text":
			// What the block before prints, as soon as it has something to print.
			outputs++
			testkit.EventuallyNil(t, patient, func() error {
				out, err := c.run(t, last)
				if err == nil && strings.TrimSpace(out) != strings.TrimSpace(f.text) {
					err = fmt.Errorf("printed %q", out)
				}
				return err
			}, fmt.Sprintf("what stands on README.md:%d", f.line))
		case daemon(f.text):
			daemons++
			c.start(t, strings.TrimSpace(f.text))
		default:
			ran++
			last = f.text
			if out, err := c.run(t, f.text); err != nil {
				t.Fatalf("README.md:%d: %v\n%s\n%s", f.line, err, f.text, out)
			}
		}
	}
	if ran < 5 || daemons != 2 || outputs < 1 {
		t.Errorf("%d blocks, %d programs and %d outputs were found: does this test still read the page?", ran, daemons, outputs)
	}
}
