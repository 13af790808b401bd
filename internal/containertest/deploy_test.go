package containertest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sidestream/internal/config"
	"sidestream/internal/testkit/mariadb"
)

// deployed reads a file in deploy/.
func deployed(tb testing.TB, name string) string {
	tb.Helper()
	content, err := os.ReadFile(filepath.Join(top, "deploy", name))
	if err != nil {
		tb.Fatal(err)
	}
	return string(content)
}

func TestAlerts_fire_when_they_should(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		mariadb.Missing(t, "promtool")
	}
	for _, args := range [][]string{
		{"check", "rules", "alerts.yml"}, {"test", "rules", "alerts_test.yml"}, {"check", "config", "--syntax-only", "prometheus.yml"},
	} {
		command := exec.CommandContext(t.Context(), promtool, args...)
		command.Dir = filepath.Join(top, "deploy/prometheus")
		if out, err := command.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}

var (
	alertName   = regexp.MustCompile(`(?m)^ +- alert: (\w+)$`)
	metricName  = regexp.MustCompile(`\bsidestream_[a-z_]+`)
	runbookLine = regexp.MustCompile(`(?m)^ +runbook: (\S+)$`)
)

func TestAlerts_each_has_a_test_and_a_place_in_the_runbook(t *testing.T) {
	rules, tests := deployed(t, "prometheus/alerts.yml"), deployed(t, "prometheus/alerts_test.yml")
	page, err := os.ReadFile(filepath.Join(top, "docs/OPERATIONS.md"))
	if err != nil {
		t.Fatal(err)
	}
	names := alertName.FindAllStringSubmatch(rules, -1)
	runbooks := runbookLine.FindAllStringSubmatch(rules, -1)
	if len(names) < 15 || len(names) != len(runbooks) {
		t.Fatalf("%d alerts, %d with a runbook", len(names), len(runbooks))
	}
	for i, name := range names {
		if !strings.Contains(tests, "alertname: "+name[1]+"\n") {
			t.Errorf("%s has no test", name[1])
		}
		if want := "docs/OPERATIONS.md#alert-" + strings.ToLower(name[1]); runbooks[i][1] != want {
			t.Errorf("%s has the runbook %s, want %s", name[1], runbooks[i][1], want)
		}
		if !strings.Contains(string(page), "### Alert: "+name[1]+"\n") {
			t.Errorf("docs/OPERATIONS.md has no heading \"Alert: %s\"", name[1])
		}
	}
}

func TestDashboard_and_alerts_name_only_metrics_that_exist(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(top, "docs/METRICS.md"))
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	for _, name := range metricName.FindAllString(string(page), -1) {
		known[name] = true
	}
	var dashboard struct {
		UID    string
		Panels []struct {
			Title   string
			Type    string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal([]byte(deployed(t, "grafana/dashboards/sidestream.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	var expressions []string
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			expressions = append(expressions, target.Expr)
		}
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("the panel %q asks for nothing", p.Title)
		}
	}
	if len(expressions) < 15 {
		t.Errorf("the dashboard has %d expressions", len(expressions))
	}
	for rule := range strings.SplitSeq(deployed(t, "prometheus/alerts.yml"), "- alert:") {
		_, expression, _ := strings.Cut(rule, "expr:")
		expression, _, _ = strings.Cut(expression, "annotations:")
		expressions = append(expressions, expression)
	}
	for _, e := range expressions {
		for _, name := range metricName.FindAllString(e, -1) {
			if !known[name] && !known[strings.TrimSuffix(name, "_bucket")] {
				t.Errorf("%s is no metric", name)
			}
		}
	}
	for _, wanted := range []string{
		"replicator_lag_seconds", "replicator_changes_applied_total", "replicator_apply_failures_total", "replicator_blocked",
		"replicator_dead_letters_open", "writer_webhook_requests_total",
	} {
		if !slices.ContainsFunc(expressions, func(e string) bool { return strings.Contains(e, "sidestream_"+wanted) }) {
			t.Errorf("nobody looks at %s", wanted)
		}
	}
}

// units are the files for systemd.
func units() []string { return []string{"sidestream-writer.service", "sidestream-replicator.service"} }

// TestUnits_are_right asks systemd itself, where it is installed.
func TestUnits_are_right(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Log("systemd-analyze is not installed: the units are not verified")
		return
	}
	dir := t.TempDir()
	programs := regexp.MustCompile(`/usr/local/bin/\w+`)
	for _, unit := range units() {
		// It wants the program to be there.
		text := programs.ReplaceAllString(deployed(t, "systemd/"+unit), "/bin/true")
		if err := os.WriteFile(filepath.Join(dir, unit), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, unit := range units() {
		path := filepath.Join(dir, unit)
		if out, err := exec.CommandContext(t.Context(), analyze, "verify", path).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", unit, err, out)
		}
		// 0 is sealed, 10 is open.
		out, err := exec.CommandContext(t.Context(), analyze, "security", "--offline=true", "--threshold=15", path).CombinedOutput()
		if err != nil {
			t.Errorf("%s is too open: %v\n%s", unit, err, out)
		}
		t.Logf("%s", tailLine(string(out)))
	}
}

func tailLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

func TestUnits_say_what_the_programs_rely_on(t *testing.T) {
	for _, unit := range units() {
		text := deployed(t, "systemd/"+unit)
		for _, line := range []string{
			"User=sidestream", "Group=sidestream", "StateDirectory=sidestream", "Restart=on-failure", "RestartPreventExitStatus=64 78",
			"NoNewPrivileges=yes", "ProtectSystem=strict", "CapabilityBoundingSet=", "UMask=0027",
		} {
			if !strings.Contains(text, "\n"+line+"\n") {
				t.Errorf("%s does not say %s", unit, line)
			}
		}
		credentials := regexp.MustCompile(`(?m)^LoadCredential=(\w+):/etc/sidestream/(\w+)$`).FindAllStringSubmatch(text, -1)
		if len(credentials) == 0 {
			t.Errorf("%s has no credential", unit)
		}
		for _, c := range credentials {
			if c[1] != c[2] || !strings.Contains(text, "=%d/"+c[1]+"\n") {
				t.Errorf("%s does not use the credential %s", unit, c[1])
			}
		}
	}
	if !strings.Contains(deployed(t, "systemd/sidestream-replicator.service"), "\nBefore=sidestream-writer.service\n") {
		t.Error("the replicator is not stopped after the writer")
	}
}

// TestConfigurations_are_right loads the files of compose and systemd with the
// secrets where they will be.
func TestConfigurations_are_right(t *testing.T) {
	dir := t.TempDir()
	for _, secret := range []string{"verify_token", "app_secrets", "crm_password"} {
		if err := os.WriteFile(filepath.Join(dir, secret), []byte("x\n"), 0o400); err != nil {
			t.Fatal(err)
		}
	}
	for name, environ := range map[string][]string{
		"compose/config.toml": nil,
		"systemd/config.toml": {
			"SIDESTREAM_WRITER_VERIFY_TOKEN_FILE=" + dir + "/verify_token", "SIDESTREAM_WRITER_APP_SECRETS_FILE=" + dir + "/app_secrets",
			"SIDESTREAM_CRM_PASSWORD_FILE=" + dir + "/crm_password",
		},
	} {
		file := filepath.Join(t.TempDir(), "config.toml")
		if err := os.WriteFile(file, []byte(strings.ReplaceAll(deployed(t, name), "/run/secrets", dir)), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, program := range []config.Program{config.Writer, config.Replicator} {
			if _, err := config.Load(config.Options{Path: file, Environ: environ, Program: program}); err != nil {
				t.Errorf("%s, %v: %v", name, program, err)
			}
		}
	}
}

// TestWorkflows_are_pinned reads the workflows: whatever they use is named by
// its commit, and the token may read unless a job says why it must write.
func TestWorkflows_are_pinned(t *testing.T) {
	used := regexp.MustCompile(`(?m)^\s*(?:- )?uses: (\S+)(.*)$`)
	pinned := regexp.MustCompile(`^[\w./-]+@[0-9a-f]{40}$`)
	for _, name := range []string{"ci.yml", "release.yml"} {
		content, err := os.ReadFile(filepath.Join(top, ".github/workflows", name))
		if err != nil {
			t.Fatal(err)
		}
		uses := used.FindAllStringSubmatch(string(content), -1)
		if len(uses) < 4 {
			t.Errorf("%s uses %d actions", name, len(uses))
		}
		for _, u := range uses {
			if !strings.HasPrefix(u[1], "./") && (!pinned.MatchString(u[1]) || !strings.HasPrefix(u[2], " # v")) {
				t.Errorf("%s uses %s%s", name, u[1], u[2])
			}
		}
		if !strings.Contains(string(content), "\npermissions:\n  contents: read\n\n") {
			t.Errorf("%s gives its token more than reading", name)
		}
		if checkouts, kept := strings.Count(string(content), "actions/checkout@"), strings.Count(string(content), "persist-credentials: false"); checkouts != kept {
			t.Errorf("%s leaves the token behind in %d of %d checkouts", name, checkouts-kept, checkouts)
		}
	}
}
