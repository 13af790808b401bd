//go:build container

package containertest

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sidestream/internal/simulate"
	"sidestream/internal/testkit"
	"sidestream/internal/testkit/mariadb"
)

// maxConnections is what one sidecar may hold open at the CRM.
const maxConnections = 2

// load is how many sources feed one CRM, how fast, and for how long.
type load struct {
	sources int
	// rate is how many messages a second each source gets, perDelivery how many
	// of them one webhook brings: Instagram sends up to 1,000 at once. A commit
	// and a transaction cost far more than the messages in them.
	rate, perDelivery int
	lasting           time.Duration
}

// source is a SQLite file with its writer and its sidecar.
type source struct {
	name                    string
	webhook, writerOps, ops int
	user                    string
}

// TestShowOneSource measures what one pair of programs costs.
func TestShowOneSource(t *testing.T) {
	feedsOneCRM(t, load{sources: 1, rate: 100, perDelivery: 1, lasting: 30 * time.Second})
}

// TestShowSources feeds one MariaDB from twenty files at once, each with its own
// writer and sidecar, as processes on this machine.
func TestShowSources(t *testing.T) {
	feedsOneCRM(t, load{sources: 20, rate: 100, perDelivery: 10, lasting: 60 * time.Second})
}

func feedsOneCRM(t *testing.T, l load) {
	t.Helper()
	server := mariadb.Start(t, mariadb.Args("--innodb-buffer-pool-size=512M", "--innodb-log-file-size=256M"))
	server.Exec(t, "CREATE DATABASE crm CHARACTER SET utf8mb4")
	server.Exec(t, strings.Replace(mariadb.CRMTable, "messages", "crm.messages", 1))
	var sources []source
	for i := range l.sources {
		sources = append(sources, startSource(t, server, i))
	}
	admin := server.Open(t)
	stop, peak := watchConnections(t, admin)
	before := cpuOf(t, sources)
	started := time.Now()
	sent, late := feedAll(t, l, sources)
	fed := time.Since(started)
	drained := waitAll(t, sources)
	after := cpuOf(t, sources)
	stop()

	total := 0
	for _, n := range sent {
		total += n
	}
	p50, p99 := lagOf(t, sources)
	missing, doubled, reordered := compareAll(t, admin, sent)
	t.Logf("%d sources, %d sidecars, one MariaDB, %.0f s at %d messages/s each in deliveries of %d: %d acknowledged (%.0f/s; the latest was %.1f s behind its time)",
		l.sources, l.sources, fed.Seconds(), l.rate, l.perDelivery, total, float64(total)/fed.Seconds(), late.Seconds())
	t.Logf("missing %d, doubled %d, out of order within a source %d; drained %.1f s after the last", missing, doubled, reordered, drained.Seconds())
	t.Logf("commit in SQLite to commit in the CRM: p50 %s, p99 %s", p50, p99)
	for i, program := range []string{"writers", "sidecars"} {
		used := after[i] - before[i]
		t.Logf("CPU of the %s: %.1f %% of a core, %.2f s per 1,000 messages", program, 100*used/fed.Seconds(), 1000*used/float64(total))
	}
	most := 0
	for _, s := range sources {
		most = max(most, peak[s.user])
	}
	t.Logf("connections per sidecar, at most: %d; state: %s", most, stateOf(t, admin, total))
	if missing+doubled+reordered > 0 {
		t.Error("the CRM differs from what was acknowledged")
	}
	if most > maxConnections || most == 0 {
		t.Errorf("a sidecar held %d connections", most)
	}
}

// cpuOf returns how many seconds of CPU all writers and all sidecars have used.
func cpuOf(t *testing.T, sources []source) (used [2]float64) {
	t.Helper()
	for _, s := range sources {
		for i, port := range []int{s.writerOps, s.ops} {
			used[i] += metric(t, "http://127.0.0.1:"+strconv.Itoa(port), "process_cpu_seconds_total")
		}
	}
	return used
}

// startSource starts a writer and its sidecar; each sidecar is a user of its own
// at the server, so that its connections can be told apart.
func startSource(t *testing.T, server *mariadb.Server, i int) source {
	t.Helper()
	s := source{name: fmt.Sprintf("s%02d", i), webhook: testkit.Port(t), writerOps: testkit.Port(t), ops: testkit.Port(t), user: fmt.Sprintf("sidecar%02d", i)}
	server.Exec(t, "CREATE USER "+s.user+"@'%' IDENTIFIED BY 'secret'")
	server.Exec(t, "GRANT ALL ON crm.* TO "+s.user+"@'%'")
	dir := t.TempDir()
	config := filepath.Join(dir, "config.toml")
	text := fmt.Sprintf("[database]\npath = %q\n[writer]\nlisten = \"127.0.0.1:%d\"\nmetrics_listen = \"127.0.0.1:%d\"\nverify_token = %q\napp_secrets = [%q]\n"+
		"[source]\nname = %q\n[replicator]\nlisten = \"127.0.0.1:%d\"\n[crm]\naddresses = [%q]\nuser = %q\npassword = \"secret\"\ndatabase = \"crm\"\n",
		filepath.Join(dir, "messages.db"), s.webhook, s.writerOps, verifyToken, appSecret, s.name, s.ops, server.Addr(), s.user)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, program := range []string{"writer", "replicator"} {
		p := testkit.StartProcess(t, testkit.ProcessOptions{Path: testkit.BuildBinary(t, "sidestream/cmd/"+program), Args: []string{"run", "--config", config}, Dir: dir})
		p.WaitOutput(t, patient, `"msg":"started"`)
	}
	return s
}

// feedAll delivers to every source at its rate and returns how many messages
// each acknowledged, and how far the slowest fell behind its timetable.
func feedAll(t *testing.T, l load, sources []source) (sent []int, late time.Duration) {
	t.Helper()
	sent = make([]int, len(sources))
	behind := make([]time.Duration, len(sources))
	errs := make([]error, len(sources))
	var group sync.WaitGroup
	for i, s := range sources {
		sender := newSender(t, "http://127.0.0.1:"+strconv.Itoa(s.webhook)+"/webhook")
		group.Go(func() { sent[i], behind[i], errs[i] = l.feed(t.Context(), sender, s, i) })
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	return sent, slices.Max(behind)
}

func (l load) feed(ctx context.Context, sender *simulate.Sender, s source, i int) (sent int, behind time.Duration, err error) {
	// Businesses do not speak in step.
	interval := time.Duration(l.perDelivery) * time.Second / time.Duration(l.rate)
	begun := time.Now().Add(time.Duration(i) * interval / time.Duration(l.sources))
	for n := 0; ; n++ {
		due := begun.Add(time.Duration(n) * interval)
		if due.Sub(begun) >= l.lasting {
			return sent, behind, nil
		}
		if early := time.Until(due); early > 0 {
			if err := wait(ctx, early); err != nil {
				return sent, behind, err
			}
		} else {
			behind = max(behind, -early)
		}
		body, err := json.Marshal(l.delivery(s, i, sent))
		if err != nil {
			return sent, behind, err
		}
		if _, err := sender.Post(ctx, simulate.Delivery{Body: body}); err != nil {
			return sent, behind, err
		}
		sent += l.perDelivery
	}
}

// delivery is the body of one delivery, in which each message's text says which
// of which source it is.
func (l load) delivery(s source, i, first int) any {
	type object map[string]any
	account, at := fmt.Sprintf("1784140000000%04d", i), time.Now().UnixMilli()
	var messages []object
	for n := first; n < first+l.perDelivery; n++ {
		messages = append(messages, object{
			"sender": object{"id": fmt.Sprintf("90%02d00000000%03d", i, n%500)}, "recipient": object{"id": account}, "timestamp": at,
			"message": object{"mid": fmt.Sprintf("%s-%08d", s.name, n), "text": fmt.Sprintf("%s %08d", s.name, n)},
		})
	}
	return object{"object": "instagram", "entry": []object{{"id": account, "time": at, "messaging": messages}}}
}

// waitAll waits until no sidecar has anything left, and returns how long that took.
func waitAll(t *testing.T, sources []source) time.Duration {
	t.Helper()
	started := time.Now()
	for _, s := range sources {
		testkit.EventuallyNil(t, patient, func() error {
			now, err := readStatus(t.Context(), "http://127.0.0.1:"+strconv.Itoa(s.ops))
			if err == nil && (!now.CursorKnown || now.LagChanges == nil || *now.LagChanges > 0) {
				err = fmt.Errorf("%s is %s %s, lag %v", s.name, now.State, now.Reason, now.LagChanges)
			}
			return err
		}, s.name+" is drained")
	}
	return time.Since(started)
}

// watchConnections counts connections by user until stop is called.
func watchConnections(t *testing.T, admin *sql.DB) (stop func(), peak map[string]int) {
	t.Helper()
	peak = map[string]int{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for wait(ctx, 200*time.Millisecond) == nil {
			rows, err := admin.QueryContext(ctx, "SELECT user, COUNT(*) FROM information_schema.processlist GROUP BY user")
			if err != nil {
				continue
			}
			for rows.Next() {
				var user string
				var n int
				if rows.Scan(&user, &n) == nil {
					peak[user] = max(peak[user], n)
				}
			}
			_ = rows.Err()
			_ = rows.Close()
		}
	}()
	return func() { cancel(); <-done }, peak
}

// lagOf reads the quantiles from all sidecars' histograms together; a quantile
// is known to be at most its bucket's upper bound.
func lagOf(t *testing.T, sources []source) (p50, p99 string) {
	t.Helper()
	counts := map[float64]float64{}
	for _, s := range sources {
		text, err := get(t.Context(), "http://127.0.0.1:"+strconv.Itoa(s.ops)+"/metrics")
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(strings.NewReader(text))
		for lines.Scan() {
			rest, ok := strings.CutPrefix(lines.Text(), `sidestream_replicator_end_to_end_duration_seconds_bucket{le="`)
			if !ok || strings.HasPrefix(rest, "+Inf") {
				continue
			}
			bound, value, _ := strings.Cut(rest, `"} `)
			le, err := strconv.ParseFloat(bound, 64)
			if err != nil {
				t.Fatal(err)
			}
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			counts[le] += n
		}
	}
	return atMost(counts, 0.5), atMost(counts, 0.99)
}

func atMost(cumulative map[float64]float64, share float64) string {
	bounds := make([]float64, 0, len(cumulative))
	total := 0.0
	for le, n := range cumulative {
		bounds = append(bounds, le)
		total = max(total, n)
	}
	slices.Sort(bounds)
	for _, le := range bounds {
		if cumulative[le] >= share*total {
			return fmt.Sprintf("≤ %.1f ms", le*1000)
		}
	}
	return "beyond the histogram"
}

// compareAll counts, by the texts, what is missing, doubled, or behind a later
// one of its own source.
func compareAll(t *testing.T, admin *sql.DB, sent []int) (missing, doubled, reordered int) {
	t.Helper()
	rows, err := admin.QueryContext(t.Context(), "SELECT message FROM crm.messages ORDER BY id")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	next := make([]int, len(sent))
	seen := map[string]bool{}
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			t.Fatal(err)
		}
		var i, n int
		if _, err := fmt.Sscanf(text, "s%d %d", &i, &n); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if seen[text] {
			doubled++
			continue
		}
		seen[text] = true
		if n < next[i] {
			reordered++
		}
		next[i] = max(next[i], n+1)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for _, n := range sent {
		missing += n
	}
	return missing - len(seen), doubled, reordered
}

// stateOf says what the state tables hold.
func stateOf(t *testing.T, admin *sql.DB, messages int) string {
	t.Helper()
	var runs, bytes int
	if _, err := admin.ExecContext(t.Context(), "ANALYZE TABLE crm.sidestream_ledger"); err != nil {
		t.Fatal(err)
	}
	if err := admin.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM crm.sidestream_ledger").Scan(&runs); err != nil {
		t.Fatal(err)
	}
	if err := admin.QueryRowContext(t.Context(), "SELECT data_length + index_length FROM information_schema.tables WHERE table_schema = 'crm' AND table_name = 'sidestream_ledger'").Scan(&bytes); err != nil {
		t.Fatal(err)
	}
	var waits, deadlocks int
	var name string
	if err := admin.QueryRowContext(t.Context(), "SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_waits'").Scan(&name, &waits); err != nil {
		t.Fatal(err)
	}
	if err := admin.QueryRowContext(t.Context(), "SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'").Scan(&name, &deadlocks); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d ledger runs for %d messages (%.0f messages each), %d kB (%.1f MB per million); row lock waits %d, deadlocks %d",
		runs, messages, float64(messages)/float64(max(runs, 1)), bytes/1024, float64(bytes)/float64(messages), waits, deadlocks)
}
