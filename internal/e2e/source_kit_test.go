package e2e_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	_ "github.com/mattn/go-sqlite3" // registers the driver

	"sidestream/internal/simulate"
	"sidestream/internal/testkit"
	"sidestream/internal/testkit/mariadb"
)

// pair is both programs, with Instagram before them and a CRM behind them. The
// test itself is the third process that the file suffers from.
type pair struct {
	*rig
	path     string
	expected *simulate.Expected
	writer   *testkit.Process

	instagram *simulate.Sender
	generator *simulate.Generator
	// refused counts the attempts that the writer did not acknowledge.
	refused atomic.Int64
}

// newPair starts nothing yet.
func newPair(t *testing.T) *pair {
	t.Helper()
	r := newRig(t, mariadb.Shared(t).Database(t), "[source]\npoll_interval = \"100ms\"")
	return &pair{
		rig: r, path: filepath.Join(r.dir, "messages.db"), instagram: r.sender(t),
		expected: simulate.NewExpected(simulate.Rules{}),
		// What was stored is known from the file: after the loss of one, a delivery
		// that is repeated is a new message.
		generator: simulate.NewGenerator(simulate.GeneratorOptions{Seed: 7, Shapes: simulate.MessageShapes(), RedeliverOnceIn: -1}),
	}
}

// newRunningPair starts both and has n messages in the CRM.
func newRunningPair(t *testing.T, n int) *pair {
	t.Helper()
	p := newPair(t)
	p.begin(t)
	p.rig.start(t, "replicator")
	p.post(t, n)
	p.arrived(t)
	return p
}

func (p *pair) begin(t *testing.T) {
	t.Helper()
	p.writer = p.startWriter(t)
}

// end stops the writer in good order.
func (p *pair) end(t *testing.T) {
	t.Helper()
	p.writer.Term(t)
	p.writer.WantExit(t, patient, 0)
}

// post sends deliveries until n more messages are acknowledged.
func (p *pair) post(t *testing.T, n int) {
	t.Helper()
	if err := p.send(t.Context(), n); err != nil {
		t.Fatal(err)
	}
}

func (p *pair) send(ctx context.Context, n int) error {
	for want := p.expected.Messages() + n; p.expected.Messages() < want; {
		d := p.generator.Next()
		receipt, err := p.instagram.Post(ctx, d)
		if err != nil {
			return err
		}
		p.refused.Add(int64(receipt.Attempts) - 1)
		p.expected.Acknowledged(d)
	}
	return nil
}

// load posts until the returned function is called.
func (p *pair) load(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			// A delivery that has begun is seen through: Instagram does so too.
			if err := p.send(context.WithoutCancel(ctx), 1); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	return func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

// more waits until n further messages are acknowledged while load runs.
func (p *pair) more(t *testing.T, n int) {
	t.Helper()
	at := p.expected.Messages() + n
	testkit.Eventually(t, patient, func() bool { return p.expected.Messages() >= at }, "further messages acknowledged")
}

// caughtUp waits until the replicator is at the end of the file that is there.
// While it is blocked, its lag is that of a cursor that does not fit the file.
func (p *pair) caughtUp(t *testing.T) {
	t.Helper()
	testkit.EventuallyNil(t, patient, func() error {
		s, err := p.status(t)
		if err == nil && (s.Reason != "" || !s.CursorKnown || s.LagChanges == nil || *s.LagChanges != 0) {
			err = fmt.Errorf("state %s %s, position %d", s.State, s.Reason, s.Position)
		}
		return err
	}, "at the end of the file")
}

// arrived waits until everything is applied, and wants in the CRM exactly what
// was acknowledged.
func (p *pair) arrived(t *testing.T) {
	t.Helper()
	p.caughtUp(t)
	t.Log(p.compare(t, p.expected))
}

// waits wants the replicator to wait for a reason that may pass by itself.
func (p *pair) waits(t *testing.T, reason string) {
	t.Helper()
	s := p.waitState(t, "waiting", reason)
	t.Logf("waiting, %s; next: %s", reason, s.Hint)
}

// blocked wants the replicator blocked for a reason, with a next step that names
// each of the words.
func (p *pair) blocked(t *testing.T, reason string, words ...string) {
	t.Helper()
	p.says(t, p.waitState(t, "blocked", reason), words...)
}

// blockedOlder is blocked where the file is an older state of itself: whether an
// anchor meets a new row, or the file just ends too early, is a matter of how
// many messages each delivery had.
func (p *pair) blockedOlder(t *testing.T, words ...string) {
	t.Helper()
	var s status
	testkit.EventuallyNil(t, patient, func() (err error) {
		if s, err = p.status(t); err == nil && s.Reason != "source_rewound" && s.Reason != "source_diverged" {
			err = fmt.Errorf("state %s, reason %s", s.State, s.Reason)
		}
		return err
	}, "blocked by an older file")
	p.says(t, s, words...)
}

// says checks what the operator gets to see while it is blocked.
func (p *pair) says(t *testing.T, s status, words ...string) {
	t.Helper()
	t.Logf("blocked, %s; next: %s", s.Reason, s.Hint)
	wantText(t, s.Hint, words...)
	metrics, err := get(t, "http://"+p.replicatorOps+"/metrics")
	if err != nil {
		t.Fatal(err)
	}
	wantText(t, metrics, `sidestream_replicator_blocked{reason="source_`)
}

// wantText fails the test unless an answer says each of the texts.
func wantText(t *testing.T, answer string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(answer, text) {
			t.Errorf("%q is not said in:\n%s", text, answer)
		}
	}
}

// operator runs a command as somebody at the terminal does.
func (p *pair) operator(t *testing.T, code int, args ...string) string {
	t.Helper()
	command := p.rig.start(t, "replicator", args...)
	command.WantExit(t, patient, code)
	t.Logf("$ replicator %s\n%s", strings.Join(args, " "), command.Stdout())
	return command.Stdout()
}

// goesOn posts n more messages and wants the CRM to hold everything, once.
func (p *pair) goesOn(t *testing.T, n int) {
	t.Helper()
	p.arrived(t)
	p.post(t, n)
	p.arrived(t)
}

// sqlite runs statements on the file from this process.
func (p *pair) sqlite(t *testing.T, statements ...string) {
	t.Helper()
	onFile(t, p.path, statements...)
}

// onFile runs statements on one connection to a file.
func onFile(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+path+"?mode=rw&_busy_timeout=10000")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	db.SetMaxOpenConns(1)
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// backup makes a copy of a database as the pages say: with VACUUM INTO.
func backup(t *testing.T, path string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "backup.db")
	onFile(t, path, "VACUUM INTO '"+to+"'")
	return to
}

// put renames a file to where the database is, without -wal and -shm.
func put(t *testing.T, from, path string) {
	t.Helper()
	remove(t, path+"-wal", path+"-shm")
	if err := os.Rename(from, path); err != nil {
		t.Fatal(err)
	}
}

// remove deletes files, of which some may be absent.
func remove(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
}
