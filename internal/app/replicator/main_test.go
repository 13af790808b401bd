package replicator

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"sidestream/internal/store"
	"sidestream/internal/testkit/mariadb"
	"sidestream/mapping"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// installation is a database and the environment that configures the replicator.
type installation struct {
	path    string
	environ []string
}

func install(tb testing.TB, db mariadb.DB, extra ...string) installation {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "messages.db")
	return installation{path: path, environ: append([]string{
		"SIDESTREAM_DATABASE_PATH=" + path, "SIDESTREAM_REPLICATOR_LISTEN=127.0.0.1:1",
		"SIDESTREAM_CRM_ADDRESSES=" + db.Addr, "SIDESTREAM_CRM_USER=" + db.User, "SIDESTREAM_CRM_PASSWORD=" + db.Password, "SIDESTREAM_CRM_DATABASE=" + db.Name,
	}, extra...)}
}

// run runs a subcommand to its end and wants an exit code.
func (i installation) run(tb testing.TB, want int, args ...string) (stdout, stderr string) {
	tb.Helper()
	return i.runUntil(tb.Context(), tb, want, args...)
}

func (i installation) runUntil(ctx context.Context, tb testing.TB, want int, args ...string) (stdout, stderr string) {
	tb.Helper()
	var out, errs bytes.Buffer
	if code := Run(ctx, args, i.environ, &out, &errs, "test"); code != want {
		tb.Errorf("%v: exit %d, want %d\n%s%s", args, code, want, &out, &errs)
	}
	tb.Logf("$ replicator %s\n%s%s", strings.Join(args, " "), &out, &errs)
	return out.String(), errs.String()
}

// fill stores messages as the writer does, and leaves the file.
func (i installation) fill(tb testing.TB, texts ...string) {
	tb.Helper()
	i.store(tb, func(s *store.Store) {
		var d store.Delivery
		for n, text := range texts {
			d.Changes = append(d.Changes, mapping.Change{
				MessageID: fmt.Sprintf("mid.%d", n), Kind: mapping.KindMessage, AccountID: "17841400000000001", SenderID: "900000000000077", RecipientID: "17841400000000001",
				Direction: mapping.Inbound, Text: &text, Timestamp: 1_790_000_000_000,
			})
		}
		if _, err := s.Commit(tb.Context(), d); err != nil {
			tb.Fatal(err)
		}
	})
}

// store opens the file as the writer does.
func (i installation) store(tb testing.TB, fn func(*store.Store)) {
	tb.Helper()
	s, err := store.Open(tb.Context(), store.Options{Path: i.path})
	if err != nil {
		tb.Fatal(err)
	}
	fn(s)
	if err := s.Close(tb.Context()); err != nil {
		tb.Fatal(err)
	}
}

// mute is a server that accepts and never says anything.
func mute(tb testing.TB) string {
	tb.Helper()
	listener, err := new(net.ListenConfig).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().String() // the kernel accepts by itself
}

func wants(tb testing.TB, text string, parts ...string) {
	tb.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			tb.Errorf("%q is missing in:\n%s", part, text)
		}
	}
}

// line returns the line of an answer that begins with the words.
func line(tb testing.TB, text string, words ...string) string {
	tb.Helper()
	for l := range strings.Lines(text) {
		if strings.HasPrefix(strings.Join(strings.Fields(l), " "), strings.Join(words, " ")) {
			return l
		}
	}
	tb.Errorf("no line begins with %q in:\n%s", words, text)
	return ""
}
