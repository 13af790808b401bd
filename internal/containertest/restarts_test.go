//go:build container

package containertest

import (
	"strings"
	"testing"
	"time"

	"sidestream/internal/testkit"
)

// grace is what `docker stop` gives by default before it kills.
const grace = 10 * time.Second

// traffic posts in the background until n messages have been acknowledged.
func (w *world) traffic(tb testing.TB, n int) (done <-chan error) {
	tb.Helper()
	finished := make(chan error, 1)
	go func() { finished <- w.tryPost(tb.Context(), n) }()
	return finished
}

// acknowledged waits until n messages have been acknowledged.
func (w *world) acknowledged(tb testing.TB, n int) {
	tb.Helper()
	testkit.Eventually(tb, patient, func() bool { return w.expected.Messages() >= n }, "further messages acknowledged")
}

func ended(t *testing.T, done <-chan error) {
	t.Helper()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(patient):
		t.Fatal("the traffic does not end")
	}
}

// survivesKills kills each of the three containers under traffic.
func survivesKills(t *testing.T, _ *crm) {
	server := startCRM(t) // its own: it is killed
	w := newWorld(t, server)
	writer := w.writer(t)
	writer.waitHealth(t, "healthy")
	replicator := w.replicator(t)
	done := w.traffic(t, 600)
	for i, victim := range []*container{writer, replicator, server.container, replicator, writer, server.container} {
		w.acknowledged(t, 80*(i+1))
		victim.kill(t, "KILL")
		victim.wantExit(t, 137)
		victim.again(t)
	}
	ended(t, done)
	server.waitUp(t)
	t.Logf("6 times SIGKILL, each container twice: %s", w.arrived(t))
}

// stopsInOrder asks both programs to end at once, as an orchestrator does, while
// deliveries come in.
func stopsInOrder(t *testing.T, server *crm) {
	w := newWorld(t, server)
	writer := w.writer(t)
	writer.waitHealth(t, "healthy")
	replicator := w.replicator(t)
	w.waitState(t, "running", "")
	delivered := w.traffic(t, 300)
	w.acknowledged(t, 100)
	done := make(chan time.Duration, 1)
	go func() { done <- replicator.stop(t, grace) }()
	writerTook := writer.stop(t, grace)
	replicatorTook := <-done
	writer.wantExit(t, 0)
	replicator.wantExit(t, 0)
	t.Logf("docker stop: writer %.1f s, replicator %.1f s", writerTook.Seconds(), replicatorTook.Seconds())
	if size := w.inVolume(t, "stat -c %s /data/messages.db-wal 2>/dev/null || echo gone"); size != "0" && size != "gone" {
		t.Errorf("the WAL is not in the database: it has %s bytes", size)
	}
	last := lastLine(replicator.logs(t), `"msg":"stopped"`)
	t.Logf("the replicator's last line: %s", last)
	if !strings.Contains(last, "changes_left") {
		t.Error("it does not say how many changes are left")
	}
	if !strings.Contains(lastLine(writer.logs(t), `"msg":"stopped"`), `"drained":true`) {
		t.Errorf("the writer did not drain:\n%s", tail(writer.logs(t), 3))
	}

	// What was acknowledged before the end is in the CRM, now or after the next start.
	replicator.again(t)
	writer.again(t)
	ended(t, delivered)
	t.Logf("after the restart: %s", w.arrived(t))
}

func lastLine(text, with string) string {
	found := ""
	for line := range strings.Lines(text) {
		if strings.Contains(line, with) {
			found = strings.TrimSpace(line)
		}
	}
	return found
}

// stopsWithoutTheCRM ends within the grace period although the CRM swallows
// every packet, and says what is left.
func stopsWithoutTheCRM(t *testing.T, server *crm) {
	w := newWorld(t, server)
	writer := w.writer(t)
	writer.waitHealth(t, "healthy")
	replicator := w.replicator(t)
	w.post(t, 10)
	w.arrived(t)
	w.cutOff(t)
	w.post(t, 60)
	took := replicator.stop(t, grace+5*time.Second)
	replicator.wantExit(t, 0)
	last := lastLine(replicator.logs(t), `"msg":"stopped"`)
	t.Logf("stopped in %.1f s without the CRM: %s", took.Seconds(), last)
	if !strings.Contains(last, `"changes_left":"50"`) {
		t.Error("it does not say that 50 changes are left")
	}
	w.connect(t)
	replicator.again(t)
	w.arrived(t)
}

// rolls replaces a replicator while it works: for a while there are two.
func rolls(t *testing.T, server *crm) {
	w := newWorld(t, server)
	w.writer(t).waitHealth(t, "healthy")
	old := w.replicator(t)
	done := w.traffic(t, 400)
	w.acknowledged(t, 100)
	second := testkit.Port(t)
	replacement := w.replicatorOn(t, second)
	replacement.waitHealth(t, "healthy")
	w.acknowledged(t, 250)
	old.stop(t, grace)
	old.wantExit(t, 0)
	ended(t, done)
	sums := w.arrived(t)
	s, err := w.status(t, second)
	if err != nil || s.State != "running" {
		t.Errorf("the new replicator is %s, %v", s.State, err)
	}
	t.Logf("two replicators overlapped: %s", sums)
}

// outlivesOutage takes the CRM off the network and back.
func outlivesOutage(t *testing.T, server *crm) {
	w := newWorld(t, server)
	w.writer(t).waitHealth(t, "healthy")
	replicator := w.replicator(t)
	w.post(t, 50)
	w.arrived(t)
	w.cutOff(t)
	w.post(t, 150)
	testkit.Eventually(t, patient, func() bool {
		return metric(t, w.at(w.ops), "sidestream_replicator_crm_up") == 0
	}, "it is noticed that the CRM is away")
	s, err := w.status(t, w.ops)
	if err != nil {
		t.Fatal(err)
	}
	if health := replicator.health(t); health != "healthy" {
		t.Errorf("a replicator that waits for the CRM is %s", health)
	}
	w.connect(t)
	t.Logf("cut off: %s (%s), healthy; back: %s", s.State, s.Reason, w.arrived(t))
}

// liesInMemory keeps the database on a tmpfs that both containers share.
func liesInMemory(t *testing.T, server *crm) {
	w := newWorld(t, server, "--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", "o=uid=65532,gid=65532,mode=0750")
	w.writer(t).waitHealth(t, "healthy")
	w.replicator(t, "--env", "SIDESTREAM_SOURCE_POLL_INTERVAL=10m").waitHealth(t, "healthy")
	w.post(t, 50)
	t.Logf("on tmpfs, without polls: %s", w.arrived(t))
}

// showsHealth walks through the engine's health states.
func showsHealth(t *testing.T, server *crm) {
	w := newWorld(t, server)
	quick := []string{"--health-interval", "1s", "--health-timeout", "2s", "--health-retries", "2", "--health-start-period", "5s"}
	writer := w.writer(t, quick...)
	replicator := w.replicator(t, quick...)
	for _, c := range []*container{writer, replicator} {
		c.waitHealth(t, "healthy")
		c.kill(t, "STOP")
		c.waitHealth(t, "unhealthy")
		c.kill(t, "CONT")
		c.waitHealth(t, "healthy")
	}
	w.post(t, 5)
	w.arrived(t)
	if _, code := replicator.exec(t, "/usr/local/bin/replicator", "status", "--max-lag", "5m"); code != 0 {
		t.Errorf("status ends with %d", code)
	}
	t.Log("healthy, frozen: unhealthy, thawed: healthy")
}
