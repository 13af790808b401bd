//go:build chaos

package chaos_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"sidestream/internal/simulate"
	"sidestream/internal/testkit"
	"sidestream/internal/testkit/mariadb"
)

const (
	secret = "an app secret for storms"
	token  = "graph-token-for-storms"
)

// site is one source: a writer with its file, and the replicators beside it.
type site struct {
	source int
	// twins is true where a second replicator runs all the time.
	twins   bool
	dir     string
	path    string
	config  string
	webhook string

	// Only the storm's goroutine touches the programs.
	writer *testkit.Process
	frozen bool // the writer
	slots  [replicatorsPerSource]slot
	// everyone is all that was ever started: their logs are searched in the end.
	everyone []*testkit.Process

	talk *conversation
	// gate is held for reading by whoever delivers, and for writing where nothing
	// may be under way.
	gate   sync.RWMutex
	sender *simulate.Sender
	forger *simulate.Sender

	mu sync.Mutex
	// past are deliveries that were acknowledged and may come again.
	past []simulate.Delivery
	// lostBehind is where messages had been stored that an older copy has lost.
	lostBehind map[string]int64
}

// slot is a place for a replicator.
type slot struct {
	listen  string
	process *testkit.Process
	frozen  bool
	// settled is how many COMMITs in doubt the process has said to be committed.
	settled int
}

func newSite(t *testing.T, seed uint64, source int, db mariadb.DB, graph string) *site {
	t.Helper()
	local := func() string { return fmt.Sprintf("127.0.0.1:%d", testkit.Port(t)) }
	s := &site{source: source, twins: source == 1, dir: t.TempDir(), webhook: local(), talk: newConversation(seed, source), lostBehind: map[string]int64{}}
	s.path, s.config = filepath.Join(s.dir, "messages.db"), filepath.Join(t.TempDir(), "config.toml")
	for i := range s.slots {
		s.slots[i].listen = local()
	}
	text := fmt.Sprintf(`
[database]
path = %q
[writer]
listen = %q
metrics_listen = %q
verify_token = "a verify token for storms"
app_secrets = [%q]
[source]
name = "source-%d"
poll_interval = "100ms"
[replicator]
batch_rows = 40
max_backoff = "500ms"
shutdown_timeout = "3s"
[crm]
addresses = [%q]
user = %q
password = %q
database = %q
connect_timeout = "1s"
read_timeout = "2s"
write_timeout = "2s"
[instagram]
base_url = %q
access_token = %q
max_wait = "50ms"
`, s.path, s.webhook, local(), secret, source, db.Addr, db.User, db.Password, db.Name, graph+"/v26.0", token)
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.sender, s.forger = newSender(t, s.webhook, secret, -1), newSender(t, s.webhook, "a guess", 1)
	return s
}

func newSender(t *testing.T, webhook, secret string, attempts int) *simulate.Sender {
	t.Helper()
	sender, err := simulate.NewSender(simulate.SenderOptions{URL: "http://" + webhook + "/webhook", Secret: secret, Attempts: attempts, Sleep: soon})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sender.Close)
	return sender
}

func (s *site) start(t *testing.T, program string, env []string, args ...string) *testkit.Process {
	t.Helper()
	p := testkit.StartProcess(t, testkit.ProcessOptions{
		Path: testkit.BuildBinary(t, "sidestream/cmd/"+program), Args: append(args, "-c", s.config), Env: env, Dir: s.dir, Quiet: true,
	})
	s.everyone = append(s.everyone, p)
	return p
}

// startWriter has the writer running and awake.
func (s *site) startWriter(t *testing.T) {
	t.Helper()
	if s.writer != nil {
		s.thawWriter(t)
		return
	}
	s.writer = s.start(t, "writer", nil)
	s.writer.WaitOutput(t, patience, `"msg":"started"`)
}

func (s *site) thawWriter(t *testing.T) {
	t.Helper()
	if s.frozen {
		s.writer.Cont(t)
		s.frozen = false
	}
}

// stopWriter ends the writer in good order.
func (s *site) stopWriter(t *testing.T) {
	t.Helper()
	s.thawWriter(t)
	s.writer.Term(t)
	s.writer.WantExit(t, patience, 0)
	s.writer = nil
}

// startReplicator starts a replicator unless it runs.
func (s *site) startReplicator(t *testing.T, i int) {
	t.Helper()
	if s.slots[i].process == nil {
		s.slots[i].process = s.start(t, "replicator", []string{"SIDESTREAM_REPLICATOR_LISTEN=" + s.slots[i].listen})
		s.slots[i].frozen, s.slots[i].settled = false, 0
	}
}

// running returns a slot in which a replicator runs, from slot i on.
func (s *site) running(i int) *slot {
	for n := range s.slots {
		if slot := &s.slots[(i+n)%len(s.slots)]; slot.process != nil {
			return slot
		}
	}
	return nil
}

func (l *slot) thaw(t *testing.T) {
	t.Helper()
	if l.process != nil && l.frozen {
		l.process.Cont(t)
		l.frozen = false
	}
}

// command runs one of a program's commands and returns what it says.
func (s *site) command(t *testing.T, program string, args ...string) (stdout string, err error) {
	t.Helper()
	p := s.start(t, program, nil, args...)
	if code := p.Wait(t, patience); code != 0 {
		return p.Stdout(), fmt.Errorf("%s %v: exit code %d: %s%s", program, args, code, p.Stdout(), p.Stderr())
	}
	return p.Stdout(), nil
}

// status is the part of /status that a storm looks at.
type status struct {
	State       string `json:"state"`
	Reason      string `json:"reason"`
	Hint        string `json:"hint"`
	CursorKnown bool   `json:"cursor_known"`
	Position    int64  `json:"position"`
	LagChanges  *int64 `json:"lag_changes"`
}

func (s *site) status(t *testing.T, i int) (found status, err error) {
	t.Helper()
	body, err := get(s.slots[i].listen, "/status")
	if err != nil {
		return found, err
	}
	return found, json.Unmarshal([]byte(body), &found)
}

// get asks a program for one of its pages.
func get(address, page string) (string, error) {
	client := http.Client{Timeout: 2 * time.Second}
	defer client.CloseIdleConnections()
	response, err := client.Get("http://" + address + page)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// drained tells why a replicator is not at the end of the file.
func (s *site) drained(t *testing.T, i int) error {
	t.Helper()
	found, err := s.status(t, i)
	if err == nil && (found.Reason != "" || !found.CursorKnown || found.LagChanges == nil || *found.LagChanges != 0) {
		err = fmt.Errorf("source %d: state %s %s, position %d", s.source, found.State, found.Reason, found.Position)
	}
	return err
}
