//go:build container

package containertest

import (
	"errors"
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
