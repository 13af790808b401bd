package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sidestream/internal/simulate"
	"sidestream/internal/testkit"
	"sidestream/internal/testkit/mariadb"
)

const (
	secret  = "an app secret for tests"
	token   = "graph-token-for-tests"
	patient = 60 * time.Second
)

// rig is one installation: a config file, and the programs started with it.
type rig struct {
	db     mariadb.DB
	dir    string
	config string
	graph  *simulate.Graph

	webhook, writerOps, replicatorOps string
}

// newRig writes a configuration for a database behind an address.
func newRig(t *testing.T, db mariadb.DB, extra ...string) *rig {
	t.Helper()
	r := &rig{db: db, dir: t.TempDir(), graph: simulate.NewGraph(token)}
	graph := httptest.NewServer(r.graph)
	t.Cleanup(graph.Close)
	local := func() string { return fmt.Sprintf("127.0.0.1:%d", testkit.Port(t)) }
	r.webhook, r.writerOps, r.replicatorOps = local(), local(), local()
	r.config = filepath.Join(r.dir, "config.toml")
	text := fmt.Sprintf(`
[database]
path = %q
[writer]
listen = %q
metrics_listen = %q
verify_token = "a verify token for tests"
app_secrets = [%q]
[replicator]
listen = %q
max_backoff = "500ms"
[crm]
addresses = [%q]
user = %q
password = %q
database = %q
[instagram]
base_url = %q
access_token = %q
`, filepath.Join(r.dir, "messages.db"), r.webhook, r.writerOps, secret, r.replicatorOps, db.Addr, db.User, db.Password, db.Name, graph.URL+"/v26.0", token)
	if err := os.WriteFile(r.config, []byte(text+strings.Join(extra, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) start(t *testing.T, program string, args ...string) *testkit.Process {
	t.Helper()
	return testkit.StartProcess(t, testkit.ProcessOptions{Path: testkit.BuildBinary(t, "sidestream/cmd/"+program), Args: append(args, "-c", r.config), Dir: r.dir})
}

// startWriter starts the writer and waits until it answers.
func (r *rig) startWriter(t *testing.T) *testkit.Process {
	t.Helper()
	p := r.start(t, "writer")
	p.WaitOutput(t, patient, `"msg":"started"`)
	return p
}

func (r *rig) sender(t *testing.T) *simulate.Sender {
	t.Helper()
	s, err := simulate.NewSender(simulate.SenderOptions{
		URL: "http://" + r.webhook + "/webhook", Secret: secret, Attempts: -1,
		Sleep: func(ctx context.Context, _ time.Duration) error { return wait(ctx, 20*time.Millisecond) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// rows reads the CRM's table in id order.
func (r *rig) rows(t *testing.T) []simulate.Row {
	t.Helper()
	rows, err := r.db.Open(t).QueryContext(t.Context(), "SELECT user_id, direction, message, UNIX_TIMESTAMP(created_at) FROM messages ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var all []simulate.Row
	for rows.Next() {
		var row simulate.Row
		if err := rows.Scan(&row.UserID, &row.Direction, &row.Message, &row.CreatedAt); err != nil {
			t.Fatal(err)
		}
		all = append(all, row)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// status is the part of /status that tests look at.
type status struct {
	State       string   `json:"state"`
	Reason      string   `json:"reason"`
	Hint        string   `json:"hint"`
	CursorKnown bool     `json:"cursor_known"`
	Position    int64    `json:"position"`
	LagChanges  *int64   `json:"lag_changes"`
	LagSeconds  *float64 `json:"lag_seconds"`
}

func (r *rig) status(t *testing.T) (s status, err error) {
	t.Helper()
	body, err := get(t, "http://"+r.replicatorOps+"/status")
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal([]byte(body), &s)
}

func get(t *testing.T, url string) (string, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	return string(body), err
}

// drained waits until the replicator has applied everything.
func (r *rig) drained(t *testing.T) {
	t.Helper()
	testkit.EventuallyNil(t, patient, func() error {
		s, err := r.status(t)
		if err != nil {
			return err
		}
		if !s.CursorKnown || s.LagChanges == nil || *s.LagChanges != 0 {
			return fmt.Errorf("state %s %s, position %d", s.State, s.Reason, s.Position)
		}
		return nil
	}, "applied everything")
}

// waitState waits for a state and reason of the replicator.
func (r *rig) waitState(t *testing.T, state, reason string) status {
	t.Helper()
	var last status
	testkit.EventuallyNil(t, patient, func() error {
		s, err := r.status(t)
		last = s
		if err != nil {
			return err
		}
		if s.State != state || (reason != "" && s.Reason != reason) {
			return fmt.Errorf("state %s, reason %s", s.State, s.Reason)
		}
		return nil
	}, "in state "+state+" "+reason)
	return last
}

// compare fails the test unless the CRM holds exactly what was acknowledged.
func (r *rig) compare(t *testing.T, expected *simulate.Expected) simulate.Sums {
	t.Helper()
	sums := simulate.Compare(expected.Rows(), r.rows(t))
	if sums.Missing+sums.Doubled+sums.Unexpected+sums.Reordered > 0 {
		t.Errorf("the CRM differs from what was acknowledged: %+v", sums)
	}
	return sums
}
