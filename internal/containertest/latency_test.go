//go:build container

package containertest

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"sidestream/internal/testkit"
)

// Rounds of messages alternate between the two installations, so that whatever
// else the machine does meets both.
const (
	rounds   = 60
	perRound = 10
	// maxRatio is what containers may cost.
	maxRatio = 1.5
)

// TestShowLatency compares the time from the writer's answer to
// the row in the CRM: once with both programs in containers of their own, once
// with the very same binaries as plain processes, in the same run and with the
// same CRM.
func TestShowLatency(t *testing.T) {
	server := startCRM(t)
	contained := newWorld(t, server)
	writer := contained.writer(t)
	writer.waitHealth(t, "healthy")
	contained.replicator(t).waitHealth(t, "healthy")
	// Straight to the container, as plain talks to its process: a published port
	// has a proxy of Docker's in front.
	contained.sender = newSender(t, "http://"+writer.address(t, contained.network, 8080)+"/webhook")
	plain := newPlain(t, server)
	crmAddress := server.address(t, contained.network, 3306)
	contained.db, plain.db = openAt(t, crmAddress, contained.database), openAt(t, crmAddress, plain.database)

	var inContainers, asProcesses []time.Duration
	for range rounds {
		inContainers = append(inContainers, contained.timed(t, perRound)...)
		asProcesses = append(asProcesses, plain.timed(t, perRound)...)
	}
	contained.arrived(t)
	plain.arrived(t)
	ratio := float64(quantile(inContainers, 0.5)) / float64(quantile(asProcesses, 0.5))
	t.Logf("answer to row in the CRM, %d messages each: in containers p50 %.2f ms, p99 %.2f ms; as processes p50 %.2f ms, p99 %.2f ms; ratio %.2f",
		len(inContainers), ms(quantile(inContainers, 0.5)), ms(quantile(inContainers, 0.99)),
		ms(quantile(asProcesses, 0.5)), ms(quantile(asProcesses, 0.99)), ratio)
	if ratio > maxRatio {
		t.Errorf("containers cost a factor of %.2f, the limit is %.1f", ratio, maxRatio)
	}
}

// newPlain is a world whose programs run without containers: the binaries come
// out of the images.
func newPlain(t *testing.T, server *crm) *world {
	t.Helper()
	w := newWorld(t, server)
	dir := t.TempDir()
	config := filepath.Join(dir, "config.toml")
	text := fmt.Sprintf(`
[database]
path = %q
[writer]
listen = "127.0.0.1:%d"
metrics_listen = "127.0.0.1:%d"
verify_token = %q
app_secrets = [%q]
[replicator]
listen = "127.0.0.1:%d"
[crm]
addresses = [%q]
user = %q
password = %q
database = %q
`, filepath.Join(dir, "messages.db"), w.webhook, w.writerOps, verifyToken, appSecret, w.ops, server.address(t, w.network, 3306), crmUser, crmPassword, w.database)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"writer", "replicator"} {
		binary := filepath.Join(dir, program)
		id := docker(t, "create", "--label", label(), image(t, program))
		docker(t, "cp", id+":/usr/local/bin/"+program, binary)
		docker(t, "rm", id)
		p := testkit.StartProcess(t, testkit.ProcessOptions{Path: binary, Args: []string{"run", "--config", config}, Dir: dir})
		p.WaitOutput(t, patient, `"msg":"started"`)
	}
	w.waitState(t, "running", "")
	return w
}

// timed posts one message after the other and returns how long each took from
// the answer to being seen in the CRM.
func (w *world) timed(t *testing.T, n int) []time.Duration {
	t.Helper()
	counter, err := w.db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = counter.Close() }()
	last, err := lastID(t.Context(), counter, 0)
	if err != nil {
		t.Fatal(err)
	}
	var took []time.Duration
	for len(took) < n {
		d := w.generator.Next()
		if d.Repeat || len(d.Sent) != 1 {
			continue
		}
		if _, err := w.sender.Post(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		answered := time.Now()
		w.expected.Acknowledged(d)
		for before := last; last == before; {
			if last, err = lastID(t.Context(), counter, last); err != nil {
				t.Fatal(err)
			}
			if time.Since(answered) > patient {
				t.Fatal("no further row in the CRM")
			}
		}
		took = append(took, time.Since(answered))
	}
	return took
}

// lastID returns the highest id in the CRM, which is last where none is above it.
func lastID(ctx context.Context, c *sql.Conn, last int64) (id int64, err error) {
	return id, c.QueryRowContext(ctx, "SELECT COALESCE(MAX(id), ?) FROM messages WHERE id > ?", last, last).Scan(&id)
}

// quantile returns the value below which a share of all lies.
func quantile(all []time.Duration, share float64) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
