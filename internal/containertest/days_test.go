package containertest

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/go-sql-driver/mysql"

	"sidestream/internal/simulate"
	"sidestream/internal/testkit"
	"sidestream/internal/testkit/mariadb"
)

// host is a machine with both programs installed as units, on which the pages'
// commands run as they stand there. Its directories are those of the pages,
// moved into a temporary one.
type host struct {
	dir   string
	env   []string
	paths *strings.Replacer
	// The ports of the webhook, the writer's metrics and the replicator.
	webhook, writerOps, ops int
	// units are those that run.
	units map[string]*testkit.Process
}

// office is the CRM with its administrator's settings for the client.
type office struct {
	server *mariadb.Server
	home   string
}

func newOffice(t *testing.T) office {
	t.Helper()
	for _, tool := range []string{"mariadb", "mariadb-dump", "sqlite3", "rsync"} {
		if _, err := exec.LookPath(tool); err != nil {
			mariadb.Missing(t, tool)
		}
	}
	o := office{server: mariadb.Start(t), home: t.TempDir()}
	write(t, filepath.Join(o.home, ".my.cnf"), o.settings())
	o.server.Exec(t, "CREATE DATABASE crm CHARACTER SET utf8mb4")
	o.server.Exec(t, strings.Replace(mariadb.CRMTable, "messages", "crm.messages", 1))
	o.server.Exec(t, "CREATE USER crm@'%' IDENTIFIED BY 'secret'")
	o.server.Exec(t, "GRANT ALL ON crm.* TO crm@'%'")
	return o
}

// settings are what the client needs to be the administrator.
func (o office) settings() string {
	name, port, _ := strings.Cut(o.server.Addr(), ":")
	return fmt.Sprintf("[client]\nhost=%s\nport=%s\nprotocol=tcp\nuser=%s\npassword=%s\n", name, port, o.server.User, o.server.Password)
}

// open returns a handle on the CRM's database.
func (o office) open(t *testing.T) *sql.DB {
	t.Helper()
	c := mysql.NewConfig()
	c.Net, c.Addr, c.User, c.Passwd, c.DBName = "tcp", o.server.Addr(), o.server.User, o.server.Password, "crm"
	connector, err := mysql.NewConnector(c)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// newHost installs both programs with the configuration of the units.
func newHost(t *testing.T, o office) *host {
	t.Helper()
	h := &host{dir: t.TempDir(), webhook: testkit.Port(t), writerOps: testkit.Port(t), ops: testkit.Port(t), units: map[string]*testkit.Process{}}
	places := []string{"/usr/local/lib/sidestream", "/usr/local/bin", "/var/lib/sidestream", "/var/backups", "/etc/sidestream", "/etc/systemd/system"}
	var moved []string
	for _, place := range places {
		if err := os.MkdirAll(h.dir+place, 0o755); err != nil {
			t.Fatal(err)
		}
		moved = append(moved, place, h.dir+place)
	}
	h.paths = strings.NewReplacer(append(moved, "127.0.0.1:9464", "127.0.0.1:"+strconv.Itoa(h.writerOps), "-o sidestream -g sidestream ", "", "chown sidestream:sidestream ", "test -f ")...)
	for _, program := range []string{"writer", "replicator"} {
		binary := testkit.BuildBinary(t, "sidestream/cmd/"+program)
		for _, place := range []string{h.dir + "/usr/local/bin", h.dir + "/new"} {
			if out, err := exec.CommandContext(t.Context(), "install", "-D", "-m", "755", binary, filepath.Join(place, program)).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
	}
	h.configure(t, o)
	return h
}

// configure writes the file that the units name, and the secrets.
func (h *host) configure(t *testing.T, o office) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(top, "deploy/systemd/config.toml"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("/var/lib/sidestream", h.dir+"/var/lib/sidestream", "127.0.0.1:3306", o.server.Addr()).Replace(string(content))
	etc := h.dir + "/etc/sidestream/"
	write(t, etc+"config.toml", text)
	write(t, etc+"verify_token", verifyToken)
	write(t, etc+"app_secrets", appSecret)
	write(t, etc+"crm_password", "secret")
	h.env = append(h.preamble(t),
		"HOME="+o.home, "PATH="+h.dir+"/usr/local/bin:"+os.Getenv("PATH"),
		"SIDESTREAM_WRITER_VERIFY_TOKEN_FILE="+etc+"verify_token", "SIDESTREAM_WRITER_APP_SECRETS_FILE="+etc+"app_secrets",
		"SIDESTREAM_WRITER_LISTEN=127.0.0.1:"+strconv.Itoa(h.webhook), "SIDESTREAM_REPLICATOR_LISTEN=127.0.0.1:"+strconv.Itoa(h.ops),
		"SIDESTREAM_WRITER_METRICS_LISTEN=127.0.0.1:"+strconv.Itoa(h.writerOps), "SIDESTREAM_REPLICATOR_MAX_BACKOFF=200ms",
	)
}

// preamble is what each of the pages sets before its first command, the same on
// all of them.
func (h *host) preamble(t *testing.T) []string {
	t.Helper()
	block := ""
	for page, title := range map[string]string{"BACKUP.md": "Backup and restore", "MOVING.md": "Moving", "UNINSTALL.md": "Uninstall", "UPGRADING.md": "Upgrading"} {
		own := commands(t, page, title)
		if len(own) != 1 || block != "" && own[0] != block {
			t.Fatalf("docs/%s begins with %q, another page with %q", page, own, block)
		}
		block = own[0]
	}
	variables, ok := strings.CutPrefix(block, "export ")
	if !ok || strings.Count(block, "\n") != 1 {
		t.Fatalf("the pages begin with %q", block)
	}
	return strings.Fields(h.paths.Replace(variables))
}

// start starts a unit and waits until it is up.
func (h *host) start(t *testing.T, unit string) {
	t.Helper()
	program := strings.TrimPrefix(unit, "sidestream-")
	p := testkit.StartProcess(t, testkit.ProcessOptions{Path: h.dir + "/usr/local/bin/" + program, Args: []string{"run"}, Env: h.env, Dir: h.dir})
	p.WaitOutput(t, patient, `"msg":"started"`)
	h.units[unit] = p
}

func (h *host) stop(t *testing.T, unit string) {
	t.Helper()
	if p := h.units[unit]; p != nil {
		p.Signal(t, syscall.SIGTERM)
		p.WantExit(t, patient, 0)
		delete(h.units, unit)
	}
}

// systemctl does what systemd would with a line of a page.
func (h *host) systemctl(t *testing.T, line string) {
	t.Helper()
	words := strings.Fields(strings.ReplaceAll(line, "--now", ""))
	for _, unit := range words[2:] {
		switch words[1] {
		case "start", "enable":
			h.start(t, unit)
		case "stop", "disable":
			h.stop(t, unit)
		case "restart":
			h.stop(t, unit)
			h.start(t, unit)
		default:
			t.Fatalf("systemctl %s?", words[1])
		}
	}
}

// section runs all blocks under a heading and returns what each printed. Calls
// of systemctl are done here, everything else by a shell.
func (h *host) section(t *testing.T, page, heading string) []string {
	t.Helper()
	var printed []string
	for _, block := range commands(t, page, heading) {
		printed = append(printed, h.block(t, block))
	}
	return printed
}

func (h *host) block(t *testing.T, block string) string {
	t.Helper()
	var printed, script strings.Builder
	flush := func() {
		// A replicator that was just started needs a moment for its first answer.
		testkit.EventuallyNil(t, patient, func() error {
			out, err := shell(t.Context(), h.dir, h.env, h.paths.Replace(script.String()))
			if err != nil {
				return errors.Join(err, errors.New(out))
			}
			printed.WriteString(out)
			return nil
		}, "done: "+script.String())
		script.Reset()
	}
	for line := range strings.Lines(block) {
		if strings.HasPrefix(line, "systemctl ") {
			flush()
			h.systemctl(t, line)
			continue
		}
		script.WriteString(line)
	}
	flush()
	return printed.String()
}

// traffic is Instagram towards whichever host is in charge.
type traffic struct {
	generator *simulate.Generator
	expected  *simulate.Expected
	db        *sql.DB
}

func newTraffic(t *testing.T, o office) *traffic {
	t.Helper()
	return &traffic{
		// What a lost file knew is lost with it, redeliveries among that.
		generator: simulate.NewGenerator(simulate.GeneratorOptions{Seed: 9, Shapes: simulate.MessageShapes(), RedeliverOnceIn: -1}),
		expected:  simulate.NewExpected(simulate.Rules{}), db: o.open(t),
	}
}

// post delivers n further messages.
func (m *traffic) post(t *testing.T, h *host, n int) {
	t.Helper()
	sender := newSender(t, "http://127.0.0.1:"+strconv.Itoa(h.webhook)+"/webhook")
	for until := m.expected.Messages() + n; m.expected.Messages() < until; {
		d := m.generator.Next()
		if _, err := sender.Post(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		m.expected.Acknowledged(d)
	}
}

// arrived waits until everything is in the CRM, once.
func (m *traffic) arrived(t *testing.T) {
	t.Helper()
	var sums simulate.Sums
	testkit.EventuallyNil(t, patient, func() error {
		got, err := readRows(t.Context(), m.db)
		if err != nil {
			return err
		}
		if sums = simulate.Compare(m.expected.Rows(), got); sums.Missing > 0 {
			return errors.New(sums.String())
		}
		return nil
	}, "every message is in the CRM")
	if !sums.Clean() {
		t.Errorf("the CRM differs from what was acknowledged: %s", sums)
	}
}

// blocked waits until the replicator of a host is blocked for a reason.
func (h *host) blocked(t *testing.T, reason string) {
	t.Helper()
	testkit.EventuallyNil(t, patient, func() error {
		s, err := readStatus(t.Context(), "http://127.0.0.1:"+strconv.Itoa(h.ops))
		if err != nil {
			return err
		}
		if s.State != "blocked" || s.Reason != reason {
			return fmt.Errorf("state %s, reason %s", s.State, s.Reason)
		}
		return nil
	}, "blocked as "+reason)
}

// running starts both units on a host and sends a few messages through.
func running(t *testing.T, o office) (*host, *traffic) {
	t.Helper()
	h, m := newHost(t, o), newTraffic(t, o)
	h.start(t, "sidestream-writer")
	h.start(t, "sidestream-replicator")
	m.post(t, h, 50)
	m.arrived(t)
	return h, m
}
