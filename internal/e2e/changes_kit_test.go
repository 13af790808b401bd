package e2e_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sidestream/internal/simulate"
	"sidestream/internal/sqlite"
	"sidestream/internal/store"
	"sidestream/internal/testkit/fake"
	"sidestream/internal/webhook"
	"sidestream/mapping"
	"sidestream/replicator"
)

// event is one event about a message, as a webhook delivers it.
type event struct {
	user, mid string
	kind      mapping.Kind
	version   int
	text      string
	// echo is a message of the business itself.
	echo bool
	at   int64
}

// item is the event inside of "messaging".
func (e event) item(tb rapid.TB) string {
	tb.Helper()
	text, err := json.Marshal(e.text)
	if err != nil {
		tb.Fatal(err)
	}
	sender, recipient, echo := e.user, simulate.DefaultAccountID, ""
	if e.echo {
		sender, recipient, echo = recipient, sender, `,"is_echo":true`
	}
	var content string
	switch e.kind {
	case mapping.KindEdit:
		content = fmt.Sprintf(`"message_edit":{"mid":%q,"num_edit":%d,"text":%s}`, e.mid, e.version, text)
	case mapping.KindUnsend:
		content = fmt.Sprintf(`"message":{"mid":%q,"is_deleted":true%s}`, e.mid, echo)
	default:
		content = fmt.Sprintf(`"message":{"mid":%q,"text":%s%s}`, e.mid, text, echo)
	}
	at := e.at
	if at == 0 {
		at = 1_790_000_000_000
	}
	return fmt.Sprintf(`{"sender":{"id":%q},"recipient":{"id":%q},"timestamp":%d,%s}`, sender, recipient, at, content)
}

// body is the body of one POST.
func body(tb rapid.TB, events ...event) []byte {
	tb.Helper()
	items := make([]string, len(events))
	for i, e := range events {
		items[i] = e.item(tb)
	}
	return fmt.Appendf(nil, `{"object":"instagram","entry":[{"id":%q,"time":1790000000500,"messaging":[%s]}]}`, simulate.DefaultAccountID, strings.Join(items, ","))
}

// bench is webhook, store, source and loop inside this process, and a CRM in
// memory.
type bench struct {
	rapid.TB
	dir     string
	clock   time.Time
	store   *store.Store
	webhook *webhook.Handler
	source  *sqlite.Source
	crm     *fake.Server
	loop    *replicator.Replicator
	tokens  int
}

func newBench(tb rapid.TB, dir string, options mapping.Options) *bench {
	tb.Helper()
	b := &bench{TB: tb, dir: dir, clock: time.Now(), crm: fake.NewServer(nil)}
	path := filepath.Join(dir, "messages.db")
	var err error
	if b.store, err = store.Open(context.Background(), store.Options{Path: path, Now: func() time.Time { return b.clock }}); err != nil {
		tb.Fatal(err)
	}
	b.webhook, err = webhook.New(webhook.Options{
		VerifyToken: func() (string, error) { return "token", nil }, AppSecrets: func() ([]string, error) { return []string{secret}, nil },
		Commit: func(ctx context.Context, d webhook.Delivery) (webhook.Committed, error) {
			result, err := b.store.Commit(ctx, store.Delivery{Changes: d.Changes})
			return webhook.Committed{Inserted: result.Inserted, Duplicates: result.Duplicates}, err
		},
	})
	if err != nil {
		tb.Fatal(err)
	}
	if b.source, err = sqlite.New(sqlite.Options{Path: path}); err != nil {
		tb.Fatal(err)
	}
	mapper, err := mapping.New(options)
	if err != nil {
		tb.Fatal(err)
	}
	b.loop, err = replicator.New(replicator.Options{
		Source: b.source, Target: b.crm.Target("main"), Mapper: mapper, BatchRows: 7,
		Token: func() string { b.tokens++; return fmt.Sprint("token-", b.tokens) },
	})
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func (b *bench) close() {
	b.Helper()
	if err := errors.Join(b.source.Close(), b.store.Close(context.Background())); err != nil {
		b.Fatal(err)
	}
}

// post delivers events in one signed POST.
func (b *bench) post(events ...event) {
	b.Helper()
	text := string(body(b.TB, events...))
	request := httptest.NewRequest(http.MethodPost, "/webhook", strings.NewReader(text))
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Hub-Signature-256", simulate.Sign(secret, []byte(text)))
	answer := httptest.NewRecorder()
	b.webhook.ServeHTTP(answer, request)
	if answer.Code != http.StatusOK {
		b.Fatalf("answered %d", answer.Code)
	}
}

// drain applies what is pending.
func (b *bench) drain() {
	b.Helper()
	for {
		progress, err := b.loop.Step(context.Background())
		if err != nil {
			b.Fatalf("step: %v", err)
		}
		if !progress {
			return
		}
	}
}

// scrubbed waits until nothing that was taken back is in the WAL.
func (b *bench) scrubbed() {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patient)
	defer cancel()
	if err := b.store.Scrubbed(ctx); err != nil {
		b.Fatal(err)
	}
}

// held is what the CRM holds, by message.
func (b *bench) held() map[string]string {
	b.Helper()
	held := map[string]string{}
	for _, row := range b.crm.Rows() {
		if _, twice := held[row.MessageID]; twice {
			b.Errorf("%s has two rows", row.MessageID)
		}
		held[row.MessageID] = row.Status + ": " + row.Message
	}
	return held
}

// grep returns what of a pattern the raw files in a directory hold. It looks
// from a child process: closing the files in this one would drop SQLite's locks.
func grep(tb rapid.TB, dir, pattern string) []string {
	tb.Helper()
	out, err := exec.Command("grep", "-raohE", "-e", pattern, dir).Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		tb.Fatalf("grep: %v", err)
	}
	return strings.Fields(string(out))
}

// orders returns all permutations of n numbers.
func orders(n int) [][]int {
	if n == 0 {
		return [][]int{nil}
	}
	var all [][]int
	for _, shorter := range orders(n - 1) {
		for at := range n {
			all = append(all, append(append(append([]int{}, shorter[:at]...), n-1), shorter[at:]...))
		}
	}
	return all
}

// deliver posts a body until it is acknowledged.
func deliver(t *testing.T, s *simulate.Sender, events ...event) {
	t.Helper()
	if _, err := s.Post(t.Context(), simulate.Delivery{Body: body(t, events...)}); err != nil {
		t.Fatal(err)
	}
}
