package e2e_test

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sidestream/internal/simulate"
	"sidestream/internal/testkit"
	"sidestream/internal/testkit/mariadb"
)

// TestShowCore is what `make show-core` prints.
func TestShowCore(t *testing.T) {
	t.Run("a_thousand_messages_survive_seven_kills", survivesKills)
	t.Run("the_CRM_may_come_later", crmComesLater)
	t.Run("ten_mistakes_are_ten_lines", tenMistakes)
	t.Run("metrics_are_clean_under_promtool", promtoolClean)
}

func survivesKills(t *testing.T) {
	const messages, replicatorKills, writerKills = 1000, 5, 2
	r := newRig(t, mariadb.Shared(t).Database(t))
	writer, replicator := r.startWriter(t), r.start(t, "replicator")

	sender, expected := r.sender(t), simulate.NewExpected(simulate.Rules{})
	generator := simulate.NewGenerator(simulate.GeneratorOptions{Seed: 2, Shapes: simulate.MessageShapes()})
	var acknowledged atomic.Int64
	done := make(chan error, 1)
	go func() {
		for expected.Messages() < messages {
			d := generator.Next()
			if _, err := sender.Post(t.Context(), d); err != nil {
				done <- err
				return
			}
			expected.Acknowledged(d)
			acknowledged.Store(int64(expected.Messages()))
		}
		done <- nil
	}()

	random := rand.New(rand.NewPCG(1, 2))
	kills := replicatorKills + writerKills
	for k := range kills {
		at := int64((k + 1) * messages / (kills + 1))
		testkit.Eventually(t, patient, func() bool { return acknowledged.Load() >= at }, "further messages acknowledged")
		// Somewhere inside the next few transactions.
		if err := wait(t.Context(), time.Duration(random.IntN(20_000))*time.Microsecond); err != nil {
			t.Fatal(err)
		}
		if k%3 == 2 {
			writer.Kill(t)
			writer.Wait(t, patient)
			writer = r.startWriter(t)
			continue
		}
		replicator.Kill(t)
		replicator.Wait(t, patient)
		replicator = r.start(t, "replicator")
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	r.drained(t)
	sums := r.compare(t, expected)
	wantUsernames(t, r)
	t.Logf("SIGKILLs: replicator %d, writer %d", replicatorKills, writerKills)
	t.Logf("acknowledged %d, in the CRM %d, missing %d, doubled %d, reordered %d", sums.Expected, sums.Got, sums.Missing, sums.Doubled, sums.Reordered)

	replicator.Term(t)
	replicator.WantExit(t, patient, 0)
	writer.Term(t)
	writer.WantExit(t, patient, 0)
	wantNoText(t, writer, replicator)
}

// wantUsernames checks that every username is the user's or the fallback.
func wantUsernames(t *testing.T, r *rig) {
	t.Helper()
	names, fallbacks := 0, 0
	for _, row := range r.db.Rows(t, "SELECT user_id, username, COUNT(*) FROM messages GROUP BY user_id, username") {
		switch row[1] {
		case simulate.Username(row[0]):
			names++
		case row[0]:
			fallbacks++
		default:
			t.Errorf("user %s is called %q", row[0], row[1])
		}
	}
	if names == 0 {
		t.Error("no username was looked up")
	}
	t.Logf("pairs of user and username: %d looked up, %d fallbacks", names, fallbacks)
}

// wantNoText checks that no secret and no text of a message was logged.
func wantNoText(t *testing.T, processes ...*testkit.Process) {
	t.Helper()
	for _, p := range processes {
		for _, bad := range []string{secret, token, "#0000"} {
			if strings.Contains(p.Stderr()+p.Stdout(), bad) {
				t.Errorf("%q stands in the log", bad)
			}
		}
	}
}

func crmComesLater(t *testing.T) {
	server := mariadb.Start(t)
	db := server.Database(t)
	r := newRig(t, db)
	server.Kill(t)
	writer, replicator := r.startWriter(t), r.start(t, "replicator")
	sender, expected := r.sender(t), simulate.NewExpected(simulate.Rules{})
	generator := simulate.NewGenerator(simulate.GeneratorOptions{Seed: 3})
	for expected.Messages() < 100 {
		d := generator.Next()
		if _, err := sender.Post(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		expected.Acknowledged(d)
	}
	s := r.waitState(t, "waiting", "crm_unreachable")
	t.Logf("CRM absent: %d acknowledged, replicator %s (%s), next: %s", expected.Messages(), s.State, s.Reason, s.Hint)
	server.Restart(t)
	r.drained(t)
	sums := r.compare(t, expected)
	t.Logf("CRM present, no restart: in the CRM %d, missing %d, doubled %d, reordered %d", sums.Got, sums.Missing, sums.Doubled, sums.Reordered)
	for _, p := range []*testkit.Process{writer, replicator} {
		select {
		case <-p.Done():
			t.Error("a program ended")
		default:
		}
	}
}

func tenMistakes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte(`[database]
path = 7
[writer]
listen = "nowhere"
verify_tokken = "x"
max_body_bytes = "8 MB"
[source]
poll_interval = 5
[mapping]
directions = "sideways"
on_unsend = "forget"
[crm]
addresses = "127.0.0.1:3306"
user = "crm"
database = "crm"
tls = "maybe"
read_timeout = "1 fortnight"
`), 0o600); err != nil {
		t.Fatal(err)
	}
	p := testkit.StartProcess(t, testkit.ProcessOptions{Path: testkit.BuildBinary(t, "sidestream/cmd/replicator"), Args: []string{"check", "-c", path}})
	p.WantExit(t, patient, 78)
	lines := regexp.MustCompile(`config\.toml:(\d+): `).FindAllStringSubmatch(p.Stderr(), -1)
	distinct := map[string]bool{}
	for _, l := range lines {
		distinct[l[1]] = true
	}
	if len(distinct) != 10 {
		t.Errorf("%d lines are named, want 10", len(distinct))
	}
	t.Logf("exit 78\n%s", p.Stderr())
}

func promtoolClean(t *testing.T) {
	r := newRig(t, mariadb.Shared(t).Database(t))
	r.startWriter(t)
	r.start(t, "replicator")
	r.drained(t)
	for name, address := range map[string]string{"writer": r.writerOps, "replicator": r.replicatorOps} {
		text, err := get(t, "http://"+address+"/metrics")
		if err != nil {
			t.Fatal(err)
		}
		families := strings.Count(text, "# TYPE sidestream_")
		if families < 8 {
			t.Errorf("%s has %d families of its own", name, families)
		}
		promtool, err := exec.LookPath("promtool")
		if err != nil {
			mariadb.Missing(t, "promtool")
		}
		command := exec.CommandContext(t.Context(), promtool, "check", "metrics")
		command.Stdin = strings.NewReader(text)
		if output, err := command.CombinedOutput(); err != nil || len(output) > 0 {
			t.Errorf("promtool on %s: %v\n%s", name, err, output)
		}
		t.Logf("%s: %d families of sidestream_, promtool check metrics: clean", name, families)
	}
}
