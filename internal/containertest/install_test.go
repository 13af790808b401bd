//go:build container

package containertest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"sidestream/internal/testkit"
)

// TestInstall_docker_run runs the commands of docs/INSTALL.md as they stand
// there, with names of this run's own.
func TestInstall_docker_run(t *testing.T) {
	for _, target := range []string{"writer", "replicator"} {
		image(t, target)
	}
	server := startCRM(t)
	w := newWorld(t, server)
	writer, replicator, volume := newName("writer"), newName("replicator"), newName("volume")
	t.Cleanup(func() {
		for _, args := range [][]string{{"rm", "--force", writer, replicator}, {"volume", "rm", volume}} {
			if _, err := dockerTry(cleanupContext(), args...); err != nil {
				t.Error(err)
			}
		}
	})
	names := strings.NewReplacer(
		"docker volume create", "docker volume create --label "+label(), "docker run", "docker run --label "+label(),
		"sidestream-data", volume, "sidestream-writer", writer, "sidestream-replicator", replicator, ":devel", ":"+imageTag(),
		"127.0.0.1:8080", "127.0.0.1:"+strconv.Itoa(w.webhook), "from the App Dashboard", appSecret,
		"192.0.2.10:3306", server.inspect(t, "{{.NetworkSettings.IPAddress}}")+":3306",
		"PASSWORD=secret", "PASSWORD="+crmPassword, "DATABASE=crm", "DATABASE="+w.database,
	)
	blocks := commands(t, "INSTALL.md", "docker run")
	// What is there to ask is asked once it is up.
	start, ask, _ := strings.Cut(blocks[0], "docker exec")
	if out, err := shell(t.Context(), ".", nil, names.Replace(start)); err != nil {
		t.Fatal(err, out)
	}
	testkit.EventuallyNil(t, patient, func() error {
		out, err := shell(t.Context(), ".", nil, names.Replace("docker exec"+ask))
		if err == nil && !strings.Contains(out, "running") {
			err = errors.New("not running yet")
		}
		if err != nil {
			return errors.Join(err, errors.New(out))
		}
		return nil
	}, "status says running")
	w.post(t, 20)
	w.arrived(t)
	for _, block := range blocks[1:] {
		if out, err := shell(t.Context(), ".", nil, names.Replace(block)); err != nil {
			t.Fatal(err, out)
		}
	}
	for _, name := range []string{writer, replicator} {
		(&container{name: name}).wantExit(t, 0)
	}
}

// TestInstall_binary_and_systemd runs the commands of docs/INSTALL.md: those that
// build the programs in a copy of the repository, those that install them as root
// of a fresh Debian, with a stand-in for systemctl.
func TestInstall_binary_and_systemd(t *testing.T) {
	const debian = "debian:bookworm-slim"
	built := builtByHand(t)
	server := startCRM(t)
	w := newWorld(t, server)
	// A volume, because the container's own filesystem is none for SQLite's WAL.
	host := startContainer(t, "host", debian, []string{"--network", w.network, "--volume", w.volume + ":/var/lib/sidestream"}, []string{"sleep", "infinity"})
	host.exec(t, "mkdir", "-p", "/root/sidestream/deploy")
	docker(t, "cp", built, host.name+":/root/sidestream/bin")
	docker(t, "cp", filepath.Join(top, "deploy/systemd"), host.name+":/root/sidestream/deploy/systemd")
	docker(t, "cp", "testdata/systemctl", host.name+":/usr/local/bin/systemctl")

	run := func(script string) (string, error) {
		out, code := host.exec(t, "sh", "-ec", "cd /root/sidestream; "+script)
		if code != 0 {
			return out, errors.New(out)
		}
		return out, nil
	}
	blocks := commands(t, "INSTALL.md", "systemd")
	secrets := strings.NewReplacer("'secret'", "'"+crmPassword+"'", "'from the App Dashboard'", "'"+appSecret+"'")
	if _, err := run(secrets.Replace(blocks[0])); err != nil {
		t.Fatal(err)
	}
	if _, err := run("sed -i 's/127.0.0.1:3306/crm:3306/; s/^database = .*/database = \"" + w.database + "\"/' /etc/sidestream/config.toml"); err != nil {
		t.Fatal(err)
	}
	start, ask, _ := strings.Cut(blocks[1], "replicator status")
	out, err := run(start)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", out)
	testkit.EventuallyNil(t, patient, func() error {
		out, err := run("replicator status" + ask)
		if err == nil && !strings.Contains(out, "state         running") {
			err = errors.New(out)
		}
		return err
	}, "status says running")
	owner, err := run("stat -c '%U %a %n' /var/lib/sidestream /var/lib/sidestream/messages.db /etc/sidestream/crm_password")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", owner)
	if want := "sidestream 750 /var/lib/sidestream\nsidestream 640 /var/lib/sidestream/messages.db\nroot 600 /etc/sidestream/crm_password"; owner != want {
		t.Errorf("the files belong to\n%s\nwant\n%s", owner, want)
	}
}

// builtByHand builds the programs as the page says and returns their directory.
func builtByHand(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"cmd", "internal", "mapping", "replicator", "watcher", "go.mod", "go.sum", "Makefile"} {
		if out, err := exec.CommandContext(t.Context(), "cp", "-R", filepath.Join(top, name), dir).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	for _, block := range commands(t, "INSTALL.md", "Binary") {
		out, err := shell(t.Context(), dir, nil, block)
		if err != nil || !strings.Contains(out, "\nwriter devel\nreplicator devel\n") {
			t.Fatalf("%v:\n%s", err, out)
		}
	}
	for _, program := range []string{"writer", "replicator"} {
		binary, err := os.ReadFile(filepath.Join(dir, "bin", program))
		if err != nil {
			t.Fatal(err)
		}
		wantStatic(t, binary)
	}
	return filepath.Join(dir, "bin")
}
