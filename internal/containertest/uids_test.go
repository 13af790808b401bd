//go:build container

package containertest

import (
	"strings"
	"testing"

	"sidestream/internal/testkit"
)

// Users that are not the writer's: one shares its group, which may read the
// database, the other shares nothing.
const (
	colleague = "64000:65532"
	stranger  = "64000:64000"
)

// refusesHarm runs a replicator of another user beside a database whose writer
// is stopped, in a directory that both may write: opening it would leave -wal
// and -shm files behind that the writer could not write.
func refusesHarm(t *testing.T, server *crm) {
	w := newWorld(t, server)
	writer := w.stoppedWriter(t)
	w.inVolume(t, "chmod 0770 /data")
	replicator := w.replicator(t, "--user", colleague)
	s := w.waitState(t, "waiting", "source_would_harm")
	t.Logf("refused: %s; next: %s", s.Detail, s.Hint)
	w.wantUnharmed(t, writer, replicator)
}

// waitsWithoutWriter is the same in a directory that only the writer may write,
// as a volume is by default: SQLite could not open the file at all.
func waitsWithoutWriter(t *testing.T, server *crm) {
	w := newWorld(t, server)
	writer := w.stoppedWriter(t)
	replicator := w.replicator(t, "--user", colleague)
	s := w.waitState(t, "waiting", "source_idle")
	t.Logf("waits: %s; next: %s", s.Detail, s.Hint)
	w.wantUnharmed(t, writer, replicator)
}

// refusesStranger shows what a user sees who may not even read the file.
func refusesStranger(t *testing.T, server *crm) {
	w := newWorld(t, server)
	writer := w.writer(t)
	writer.waitHealth(t, "healthy")
	w.inVolume(t, "chmod 0777 /data")
	w.post(t, 5)
	replicator := w.replicator(t, "--user", stranger)
	s := w.waitState(t, "blocked", "source_permission")
	t.Logf("refused: %s; next: %s", s.Detail, s.Hint)
	w.wantNothingOf(t, "64000")
	replicator.remove(t)
	w.replicator(t)
	w.post(t, 20)
	w.arrived(t)
}

// stoppedWriter runs a writer for a few messages and stops it.
func (w *world) stoppedWriter(t *testing.T) *container {
	t.Helper()
	writer := w.writer(t)
	writer.waitHealth(t, "healthy")
	w.post(t, 5)
	writer.stop(t, grace)
	writer.wantExit(t, 0)
	if files := w.inVolume(t, "ls /data"); strings.Contains(files, "-wal") {
		t.Errorf("the writer left its -wal behind: %s", files)
	}
	return writer
}

// wantUnharmed starts the writer again: it must store, and the replicator,
// which may read now, must carry.
func (w *world) wantUnharmed(t *testing.T, writer, replicator *container) {
	t.Helper()
	w.wantNothingOf(t, "64000")
	writer.again(t)
	writer.waitHealth(t, "healthy")
	w.post(t, 50)
	testkit.Eventually(t, patient, func() bool {
		return metric(t, w.at(w.writerOps), `sidestream_writer_webhook_requests_total{code="200"}`) > 0
	}, "the writer has answered")
	if refused := metric(t, w.at(w.writerOps), `sidestream_writer_webhook_requests_total{code="500"}`); refused != 0 {
		t.Errorf("%v deliveries were refused", refused)
	}
	w.arrived(t)
	w.wantNothingOf(t, "64000")
	if !replicator.running(t) {
		t.Error("the replicator has ended")
	}
}

// wantNothingOf fails the test where a file in the volume belongs to a user.
func (w *world) wantNothingOf(t *testing.T, uid string) {
	t.Helper()
	if owners := w.inVolume(t, "stat -c '%u %n' /data/*"); strings.Contains(owners, uid+" ") {
		t.Errorf("files of the replicator's:\n%s", owners)
	}
}

// comesFirst starts the replicator on an empty volume; the writer comes when it
// likes.
func comesFirst(t *testing.T, server *crm) {
	w := newWorld(t, server)
	replicator := w.replicator(t)
	s := w.waitState(t, "waiting", "source_missing")
	t.Logf("waits: %s; next: %s", s.Detail, s.Hint)
	replicator.waitHealth(t, "healthy")
	w.writer(t).waitHealth(t, "healthy")
	w.post(t, 50)
	w.arrived(t)
}
