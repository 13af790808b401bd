//go:build container

package containertest

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sidestream/internal/testkit"
)

// composers are the two programs that read a compose file, as far as they are
// installed.
func composers(tb testing.TB) []string {
	tb.Helper()
	var found []string
	for _, c := range []string{"docker compose", "docker-compose"} {
		if _, err := shell(tb.Context(), ".", nil, c+" version"); err == nil {
			found = append(found, c)
		}
	}
	if len(found) == 0 {
		tb.Fatal("neither docker compose nor docker-compose is installed")
	}
	return found
}

// TestCompose runs the commands of docs/INSTALL.md as they stand there.
func TestCompose(t *testing.T) {
	for _, target := range []string{"writer", "replicator"} {
		image(t, target)
	}
	for _, composer := range composers(t) {
		t.Run(strings.ReplaceAll(composer, " ", "_"), func(t *testing.T) { composeUp(t, composer) })
	}
}

// installation is the compose file at work.
type installation struct {
	dir     string
	env     []string
	files   string
	command string
	ports   *strings.Replacer
	prom    int
	// project is the name under which compose makes everything, version the
	// images' tag.
	project, version string
}

func newInstallation(t *testing.T, composer string) installation {
	t.Helper()
	webhook, prom := testkit.Port(t), testkit.Port(t)
	i := installation{
		dir: copyTree(t), files: "-f deploy/compose.yaml", prom: prom,
		project: strings.ReplaceAll(newName("compose"), "-", ""), version: imageTag(),
	}
	i.ports = strings.NewReplacer("127.0.0.1:8080", "127.0.0.1:"+strconv.Itoa(webhook))
	i.env = []string{
		"COMPOSE_PROJECT_NAME=" + i.project,
		"SIDESTREAM_WEBHOOK_PORT=" + strconv.Itoa(webhook), "SIDESTREAM_STATUS_PORT=" + strconv.Itoa(testkit.Port(t)),
		"SIDESTREAM_PROMETHEUS_PORT=" + strconv.Itoa(prom), "SIDESTREAM_GRAFANA_PORT=" + strconv.Itoa(testkit.Port(t)),
		"SIDESTREAM_PROMETHEUS_IMAGE=" + prometheusImage,
	}
	// What is made is found again even where this test is killed.
	labels := "services:\n"
	for _, service := range []string{"writer", "replicator", "mariadb", "prometheus"} {
		labels += "  " + service + ":\n    labels: {" + labelKey + ": " + runID() + "}\n"
		if service == "mariadb" && !strings.Contains(docker(t, "image", "inspect", "--format", "{{.Config.Entrypoint}}", mariadbImage), "docker-entrypoint.sh") {
			// A stand-in for the official image, which does not read passwords from files.
			labels += "    environment: {MARIADB_ROOT_PASSWORD: \"$ROOT_PASSWORD\", MARIADB_PASSWORD: \"$PASSWORD\"}\n"
		}
	}
	labels += "networks:\n  default:\n    labels: {" + labelKey + ": " + runID() + "}\n"
	if err := os.WriteFile(filepath.Join(i.dir, "test.yaml"), []byte(labels), 0o600); err != nil {
		t.Fatal(err)
	}
	i.command = composer + " " + i.files + " -f test.yaml"
	return i
}

// run runs one block of the page.
func (i *installation) run(t *testing.T, block string) (string, error) {
	t.Helper()
	block = i.ports.Replace(strings.ReplaceAll(block, "docker compose "+i.files, i.command))
	// The images are built, from modules that compose could not reach.
	if up := " up --build --detach"; strings.Contains(block, up) {
		services := ""
		if !hasImage(t.Context(), "grafana/grafana:12.1.0") {
			t.Log("no image of Grafana can be had here: it is left out")
			services = " mariadb replicator writer prometheus"
		}
		block = strings.Replace(block, up, " up --detach"+services, 1)
	}
	passwords := `export PASSWORD=$(cat deploy/secrets/crm_password 2>/dev/null) ROOT_PASSWORD=$(cat deploy/secrets/crm_root_password 2>/dev/null)` + "\n"
	return shell(t.Context(), i.dir, append(slices.Clone(i.env), "SIDESTREAM_VERSION="+i.version), strings.Replace(passwords, "export", "set +e; export", 1)+"set -e\n"+block)
}

func composeUp(t *testing.T, composer string) {
	i := newInstallation(t, composer)
	t.Cleanup(func() {
		if out, err := shell(cleanupContext(), i.dir, append(i.env, "PASSWORD=", "ROOT_PASSWORD="), i.command+" down --volumes --timeout 5"); err != nil { // where the test failed half-way
			t.Errorf("%v: %s", err, out)
		}
	})
	started := time.Now()
	for _, block := range commands(t, "INSTALL.md", "Compose") {
		if strings.Contains(block, " stop\n") {
			i.wantHealthy(t)
			i.wantPrometheus(t)
			i.wantDashboard(t)
			i.upgrade(t)
		}
		i.eventually(t, block, func(out string) error {
			if strings.Contains(block, "SELECT") {
				if !strings.Contains(out, "Hello") {
					return errors.New("the message is not in the CRM: " + out)
				}
				t.Logf("%.0f s after up:\n%s", time.Since(started).Seconds(), out)
			}
			if strings.Contains(block, "schema") && !strings.Contains(out, "GRANT") {
				return errors.New("no GRANT: " + out)
			}
			return nil
		})
		if strings.Contains(block, " stop\n") {
			i.wantOrder(t)
		}
	}
	for _, block := range commands(t, "UNINSTALL.md", "With containers") {
		i.eventually(t, block, nil)
	}
	i.wantNothing(t)
}

// eventually runs a block until it ends with 0 and its output is right.
func (i *installation) eventually(t *testing.T, block string, right func(out string) error) {
	t.Helper()
	testkit.EventuallyNil(t, patient, func() error {
		out, err := i.run(t, block)
		if err != nil {
			return errors.Join(err, errors.New(out))
		}
		if right == nil {
			return nil
		}
		return right(out)
	}, "done: "+firstLine(block))
}

// upgrade replaces both containers by those of another tag, as UPGRADING.md says.
func (i *installation) upgrade(t *testing.T) {
	t.Helper()
	before := i.version
	i.version = before + "-next"
	for _, program := range []string{"writer", "replicator"} {
		docker(t, "tag", "sidestream/"+program+":"+before, "sidestream/"+program+":"+i.version)
	}
	for _, block := range commands(t, "UPGRADING.md", "With containers") {
		i.eventually(t, block, nil)
	}
	for _, program := range []string{"writer", "replicator"} {
		if got, want := i.container(t, program).inspect(t, "{{.Config.Image}}"), "sidestream/"+program+":"+i.version; got != want {
			t.Errorf("after the upgrade the %s is %s, want %s", program, got, want)
		}
	}
}

// wantNothing checks that nothing is left of the installation.
func (i *installation) wantNothing(t *testing.T) {
	t.Helper()
	project := "label=com.docker.compose.project=" + i.project
	for _, list := range [][]string{{"ps", "-aq"}, {"volume", "ls", "-q"}, {"network", "ls", "-q"}} {
		if left := docker(t, append(list, "--filter", project)...); left != "" {
			t.Errorf("docker %s: %s is left", strings.Join(list, " "), left)
		}
	}
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// wantHealthy waits until every service that runs is well.
func (i *installation) wantHealthy(t *testing.T) {
	t.Helper()
	names := strings.Fields(docker(t, "ps", "--format", "{{.Names}}", "--filter", "label=com.docker.compose.project="+i.project))
	for _, name := range names {
		(&container{name: name}).waitHealth(t, "healthy")
	}
	t.Logf("healthy: %s", strings.Join(names, ", "))
}

// wantOrder checks who ended when, and how.
func (i *installation) wantOrder(t *testing.T) {
	t.Helper()
	var order []string
	var last time.Time
	for _, service := range []string{"writer", "replicator", "mariadb"} {
		c := i.container(t, service)
		at, err := time.Parse(time.RFC3339Nano, c.inspect(t, "{{.State.FinishedAt}}"))
		if err != nil {
			t.Fatal(err)
		}
		if at.Before(last) {
			t.Errorf("%s ended before %v", service, order)
		}
		order, last = append(order, service), at
		if code := c.inspect(t, "{{.State.ExitCode}}"); code != "0" {
			t.Errorf("%s ended with code %s", service, code)
		}
	}
	t.Logf("ended in this order: %v", order)
}

// container finds a service's container, running or not.
func (i *installation) container(t *testing.T, service string) *container {
	t.Helper()
	id := docker(t, "ps", "-aq", "--filter", "label=com.docker.compose.project="+i.project, "--filter", "label=com.docker.compose.service="+service,
		"--filter", "label=com.docker.compose.oneoff=False")
	if id == "" || strings.Contains(id, "\n") {
		t.Fatalf("%s has the containers %q", service, id)
	}
	return &container{name: id}
}

// wantPrometheus checks that both programs are scraped and the rules are read.
func (i *installation) wantPrometheus(t *testing.T) {
	t.Helper()
	url := "http://127.0.0.1:" + strconv.Itoa(i.prom)
	testkit.EventuallyNil(t, patient, func() error {
		body, err := get(t.Context(), url+"/api/v1/query?query=count(up==1)")
		if err != nil {
			return err
		}
		if !strings.Contains(body, `"2"`) {
			return errors.New("not both are scraped: " + body)
		}
		return nil
	}, "Prometheus scrapes both programs")
	body, err := get(t.Context(), url+"/api/v1/rules")
	if err != nil {
		t.Fatal(err)
	}
	var rules struct {
		Data struct {
			Groups []struct{ Rules []json.RawMessage }
		}
	}
	if err := json.Unmarshal([]byte(body), &rules); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, g := range rules.Data.Groups {
		n += len(g.Rules)
	}
	if n < 15 {
		t.Errorf("Prometheus has %d rules", n)
	}
	t.Logf("Prometheus scrapes both and has %d alerts", n)
}

// copyTree copies what is in the repository, without its history, so that a
// page's commands may write there.
func copyTree(tb testing.TB) string {
	tb.Helper()
	dir := tb.TempDir()
	for _, name := range []string{"deploy", "docs", "config.example.toml"} {
		if out, err := exec.CommandContext(tb.Context(), "cp", "-R", filepath.Join(top, name), dir).CombinedOutput(); err != nil {
			tb.Fatalf("%v: %s", err, out)
		}
	}
	return dir
}
