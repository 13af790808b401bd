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

// debian is a machine on which units are installed.
type debian struct {
	*container
	// real tells that systemd itself starts them, and not a stand-in.
	real bool
}

// TestInstall_binary_and_systemd runs the commands of docs/INSTALL.md: those that
// build the programs in a copy of the repository, those that install and start
// them as root of a fresh Debian, under systemd.
func TestInstall_binary_and_systemd(t *testing.T) {
	built := builtByHand(t)
	w := newWorld(t, startCRM(t))
	host := newDebian(t, w)
	host.exec(t, "mkdir", "-p", "/root/sidestream/deploy")
	docker(t, "cp", built, host.name+":/root/sidestream/bin")
	docker(t, "cp", filepath.Join(top, "deploy/systemd"), host.name+":/root/sidestream/deploy/systemd")

	blocks := commands(t, "INSTALL.md", "systemd")
	secrets := strings.NewReplacer("'secret'", "'"+crmPassword+"'", "'from the App Dashboard'", "'"+appSecret+"'")
	host.must(t, secrets.Replace(blocks[0]))
	host.must(t, "sed -i 's/127.0.0.1:3306/crm:3306/; s/^database = .*/database = \""+w.database+"\"/' /etc/sidestream/config.toml")
	// In the field a proxy on the same host speaks to the writer.
	host.must(t, "printf '[writer]\\nlisten = \":8080\"\\n' >>/etc/sidestream/config.toml")
	start, ask, _ := strings.Cut(blocks[1], "replicator status")
	t.Logf("%s", host.must(t, start))
	running := func() {
		testkit.EventuallyNil(t, patient, func() error {
			out, err := host.sh(t, "replicator status"+ask)
			if err == nil && !strings.Contains(out, "state         running") {
				err = errors.New(out)
			}
			return err
		}, "status says running")
	}
	running()
	owner := host.must(t, "stat -c '%U %a %n' /var/lib/sidestream /var/lib/sidestream/messages.db /etc/sidestream/crm_password")
	if want := "sidestream 750 /var/lib/sidestream\nsidestream 640 /var/lib/sidestream/messages.db\nroot 600 /etc/sidestream/crm_password"; owner != want {
		t.Errorf("the files belong to\n%s\nwant\n%s", owner, want)
	}
	w.sender = newSender(t, "http://"+host.address(t, w.network, 8080)+"/webhook")
	w.post(t, 20)
	t.Logf("real systemd: %v; %s", host.real, w.arrived(t))
	if !host.real {
		return
	}
	host.restartsWhatWasKilled(t, "sidestream-writer")
	host.restartsWhatWasKilled(t, "sidestream-replicator")
	w.post(t, 40)
	w.arrived(t)
	host.leavesWrongConfigurationsAlone(t)
	running()
	w.post(t, 60)
	host.stopsTheWriterFirst(t)
	host.must(t, "systemctl start sidestream-replicator")
	t.Logf("after kills, a wrong configuration and a stop: %s", w.arrived(t))
}

// newDebian starts one in a world, on a volume: the container's own filesystem is
// none for SQLite's WAL.
func newDebian(t *testing.T, w *world) *debian {
	t.Helper()
	flags := []string{"--network", w.network, "--volume", w.volume + ":/var/lib/sidestream"}
	if _, err := dockerTry(t.Context(), "build", "--tag", imageOf("systemd"), "--label", label(), "testdata/systemd"); err != nil {
		t.Logf("systemd cannot be installed, a stand-in starts the units: %v", err)
		d := &debian{container: startContainer(t, "host", debianImage, flags, []string{"sleep", "infinity"})}
		docker(t, "cp", "testdata/systemd/systemctl", d.name+":/usr/local/bin/systemctl")
		return d
	}
	// What systemd needs to mount, to hide processes and to filter system calls.
	flags = append(flags, "--cap-add", "SYS_ADMIN", "--cap-add", "SYS_PTRACE", "--security-opt", "seccomp=unconfined",
		"--security-opt", "apparmor=unconfined", "--cgroupns", "private", "--tmpfs", "/run", "--tmpfs", "/run/lock", "--tmpfs", "/tmp")
	d := &debian{container: startContainer(t, "host", imageOf("systemd"), flags, nil), real: true}
	testkit.EventuallyNil(t, patient, func() error {
		out, err := d.sh(t, "systemctl is-system-running || true")
		if err == nil && out != "running" && out != "degraded" {
			err = errors.New(out)
		}
		return err
	}, "systemd is up")
	return d
}

// sh runs a script as root in the directory where the release was unpacked.
func (d *debian) sh(t *testing.T, script string) (string, error) {
	t.Helper()
	out, code := d.exec(t, "sh", "-ec", "mkdir -p /root/sidestream; cd /root/sidestream; "+script)
	if code != 0 {
		return out, errors.New(out)
	}
	return out, nil
}

func (d *debian) must(t *testing.T, script string) string {
	t.Helper()
	out, err := d.sh(t, script)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// property is what systemd knows of a unit.
func (d *debian) property(t *testing.T, unit, name string) string {
	t.Helper()
	return d.must(t, "systemctl show --value --property "+name+" "+unit)
}

func (d *debian) eventually(t *testing.T, unit, name, want string) {
	t.Helper()
	testkit.Eventually(t, patient, func() bool { return d.property(t, unit, name) == want }, unit+" has "+name+"="+want)
}

func (d *debian) restartsWhatWasKilled(t *testing.T, unit string) {
	t.Helper()
	d.must(t, "systemctl kill --signal KILL "+unit)
	d.eventually(t, unit, "NRestarts", "1")
	d.eventually(t, unit, "ActiveState", "active")
}

// leavesWrongConfigurationsAlone breaks the file and mends it.
func (d *debian) leavesWrongConfigurationsAlone(t *testing.T) {
	t.Helper()
	const unit, file = "sidestream-replicator", "/etc/sidestream/config.toml"
	d.must(t, "cp "+file+" /root/right.toml; echo 'listne = 1' >>"+file+"; systemctl restart "+unit+" || true")
	d.eventually(t, unit, "ActiveState", "failed")
	if code, restarts := d.property(t, unit, "ExecMainStatus"), d.property(t, unit, "NRestarts"); code != "78" || restarts != "0" {
		t.Errorf("with a wrong configuration the unit ends with %s and was restarted %s times", code, restarts)
	}
	d.must(t, "cp /root/right.toml "+file+"; systemctl start "+unit)
}

// stoppedAt returns when a unit ended, in µs since the machine's start.
func (d *debian) stoppedAt(t *testing.T, unit string) int64 {
	t.Helper()
	at, err := strconv.ParseInt(d.property(t, unit, "InactiveEnterTimestampMonotonic"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// stopsTheWriterFirst stops both in one go, as a shutdown does.
func (d *debian) stopsTheWriterFirst(t *testing.T) {
	t.Helper()
	d.must(t, "systemctl stop sidestream-replicator sidestream-writer")
	writer, replicator := d.stoppedAt(t, "sidestream-writer"), d.stoppedAt(t, "sidestream-replicator")
	if writer >= replicator {
		t.Errorf("the writer ended at %d µs, the replicator at %d", writer, replicator)
	}
	for _, unit := range []string{"sidestream-writer", "sidestream-replicator"} {
		if result := d.property(t, unit, "Result"); result != "success" {
			t.Errorf("%s ended with %s", unit, result)
		}
	}
	t.Logf("systemctl stop of both: the writer ended first; %s", d.must(t, "journalctl --no-pager --output cat --unit sidestream-replicator | grep '\"stopped\"' | tail -n 1"))
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
