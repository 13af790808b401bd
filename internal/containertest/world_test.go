//go:build container

package containertest

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"sidestream/internal/simulate"
	"sidestream/internal/testkit"
)

// world is one installation: a network, a volume, a database in the CRM, and
// the containers that are started in it.
type world struct {
	server          *crm
	network, volume string
	database        string
	db              *sql.DB
	webhook         int
	writerOps, ops  int
	sender          *simulate.Sender
	generator       *simulate.Generator
	expected        *simulate.Expected
}

// newWorld makes everything but the containers of the two programs. Options go
// to `docker volume create`.
func newWorld(tb testing.TB, server *crm, volumeOptions ...string) *world {
	tb.Helper()
	w := &world{
		server: server, network: newName("net"), volume: newName("data"),
		webhook: testkit.Port(tb), writerOps: testkit.Port(tb), ops: testkit.Port(tb),
		generator: simulate.NewGenerator(simulate.GeneratorOptions{Seed: 6, Shapes: simulate.MessageShapes()}),
		expected:  simulate.NewExpected(simulate.Rules{}),
	}
	w.database, w.db = server.database(tb)
	docker(tb, "network", "create", "--label", label(), w.network)
	tb.Cleanup(func() {
		_, _ = dockerTry(cleanupContext(), "network", "disconnect", "--force", w.network, server.name)
		if _, err := dockerTry(cleanupContext(), "network", "rm", w.network); err != nil {
			tb.Error(err)
		}
	})
	w.connect(tb)
	docker(tb, append([]string{"volume", "create", "--label", label()}, append(volumeOptions, w.volume)...)...)
	tb.Cleanup(func() {
		if _, err := dockerTry(cleanupContext(), "volume", "rm", w.volume); err != nil {
			tb.Error(err)
		}
	})
	w.sender = newSender(tb, w.at(w.webhook)+"/webhook")
	return w
}

func (w *world) at(port int) string { return "http://127.0.0.1:" + strconv.Itoa(port) }

// connect puts the CRM on the network, where it is called crm.
func (w *world) connect(tb testing.TB) {
	tb.Helper()
	docker(tb, "network", "connect", "--alias", "crm", w.network, w.server.name)
}

// cutOff takes the CRM off the network.
func (w *world) cutOff(tb testing.TB) {
	tb.Helper()
	docker(tb, "network", "disconnect", w.network, w.server.name)
}

// publish is a flag that makes a port of a container reachable from here.
func publish(here, there int) []string {
	return []string{"--publish", fmt.Sprintf("127.0.0.1:%d:%d", here, there)}
}

func (w *world) flags(extra []string) []string {
	flags := append(hardened(), "--network", w.network, "--volume", w.volume+":/data",
		"--env", "SIDESTREAM_DATABASE_PATH=/data/messages.db")
	return append(flags, extra...)
}

// writer starts a writer; extra are flags of `docker run`.
func (w *world) writer(tb testing.TB, extra ...string) *container {
	tb.Helper()
	flags := append(w.flags(extra), publish(w.webhook, 8080)...)
	flags = append(flags, publish(w.writerOps, 9464)...)
	return startContainer(tb, "writer", image(tb, "writer"), append(flags,
		"--env", "SIDESTREAM_WRITER_LISTEN=:8080", "--env", "SIDESTREAM_WRITER_METRICS_LISTEN=:9464",
		"--env", "SIDESTREAM_WRITER_VERIFY_TOKEN="+verifyToken, "--env", "SIDESTREAM_WRITER_APP_SECRETS="+appSecret), nil)
}

// replicator starts a replicator on the port that status asks.
func (w *world) replicator(tb testing.TB, extra ...string) *container {
	tb.Helper()
	return w.replicatorOn(tb, w.ops, extra...)
}

// replicatorOn starts a replicator that is reached on a port of its own.
func (w *world) replicatorOn(tb testing.TB, port int, extra ...string) *container {
	tb.Helper()
	flags := append(w.flags(extra), publish(port, 9465)...)
	return startContainer(tb, "replicator", image(tb, "replicator"), append(w.crmFlags(flags), "--env", "SIDESTREAM_REPLICATOR_LISTEN=:9465"), nil)
}

func (w *world) crmFlags(flags []string) []string {
	return append(flags, "--env", "SIDESTREAM_CRM_ADDRESSES=crm:3306", "--env", "SIDESTREAM_CRM_USER="+crmUser,
		"--env", "SIDESTREAM_CRM_PASSWORD="+crmPassword, "--env", "SIDESTREAM_CRM_DATABASE="+w.database,
		"--env", "SIDESTREAM_REPLICATOR_MAX_BACKOFF=500ms")
}

// post delivers until this many messages have been acknowledged in all.
func (w *world) post(tb testing.TB, messages int) {
	tb.Helper()
	if err := w.tryPost(tb.Context(), messages); err != nil {
		tb.Fatal(err)
	}
}

// tryPost is post for other goroutines than the test's.
func (w *world) tryPost(ctx context.Context, messages int) error {
	for w.expected.Messages() < messages {
		d := w.generator.Next()
		if _, err := w.sender.Post(ctx, d); err != nil {
			return err
		}
		w.expected.Acknowledged(d)
	}
	return nil
}

func (w *world) status(tb testing.TB, port int) (s status, err error) {
	tb.Helper()
	return readStatus(tb.Context(), w.at(port))
}

// waitState waits for a state and a reason of the replicator; an empty reason
// is any.
func (w *world) waitState(tb testing.TB, state, reason string) (last status) {
	tb.Helper()
	testkit.EventuallyNil(tb, patient, func() error {
		s, err := w.status(tb, w.ops)
		last = s
		if err != nil {
			return err
		}
		if s.State != state || (reason != "" && s.Reason != reason) {
			return fmt.Errorf("state %s, reason %s: %s", s.State, s.Reason, s.Detail)
		}
		return nil
	}, "in state "+state+" "+reason)
	return last
}

// arrived waits until the CRM holds as many rows as were acknowledged, and
// compares them.
func (w *world) arrived(tb testing.TB) simulate.Sums {
	tb.Helper()
	want := len(w.expected.Rows())
	testkit.EventuallyNil(tb, patient, func() error {
		n := 0
		if err := w.db.QueryRowContext(tb.Context(), "SELECT COUNT(*) FROM messages").Scan(&n); err != nil {
			return err
		}
		if n < want {
			return fmt.Errorf("%d of %d rows", n, want)
		}
		return nil
	}, "every message is in the CRM")
	sums := simulate.Compare(w.expected.Rows(), rows(tb, w.db))
	if !sums.Clean() {
		tb.Errorf("the CRM differs from what was acknowledged: %s", sums)
	}
	return sums
}

// metric returns the value of a series by its name and labels as they stand in
// the text format, 0 where it is absent.
func metric(tb testing.TB, url, series string) float64 {
	tb.Helper()
	text, err := get(tb.Context(), url+"/metrics")
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			f, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				tb.Fatal(err)
			}
			return f
		}
	}
	return 0
}

// inVolume runs a shell command as root beside the volume, mounted on /data.
func (w *world) inVolume(tb testing.TB, command string) string {
	tb.Helper()
	return docker(tb, "run", "--rm", "--label", label(), "--user", "0:0", "--volume", w.volume+":/data", "--entrypoint", "/bin/sh", mariadbImage, "-c", command)
}
