package writer

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sidestream/internal/simulate"
	"sidestream/internal/statuspage"
	"sidestream/internal/store"
	"sidestream/mapping"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	secret   = "an app secret for tests"
	business = "17841400000000001"
	person   = "900000000000077"
)

// installation is a database and the environment that configures the writer.
type installation struct {
	path    string
	environ []string
}

func install(tb testing.TB, extra ...string) installation {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "messages.db")
	return installation{path: path, environ: append([]string{
		"SIDESTREAM_DATABASE_PATH=" + path, "SIDESTREAM_LOG_FORMAT=json",
		"SIDESTREAM_WRITER_VERIFY_TOKEN=token", "SIDESTREAM_WRITER_APP_SECRETS=" + secret,
		"SIDESTREAM_WRITER_LISTEN=127.0.0.1:0", "SIDESTREAM_WRITER_METRICS_LISTEN=127.0.0.1:0",
		"SIDESTREAM_CRM_ADDRESSES=127.0.0.1:1", "SIDESTREAM_CRM_USER=crm", "SIDESTREAM_CRM_DATABASE=crm",
	}, extra...)}
}

// run runs a subcommand to its end.
func (i installation) run(tb testing.TB, args ...string) (code int, stdout, stderr string) {
	tb.Helper()
	var out, errs bytes.Buffer
	code = Run(tb.Context(), args, i.environ, &out, &errs, "test")
	return code, out.String(), errs.String()
}

// must is run for what has to work.
func (i installation) must(tb testing.TB, args ...string) string {
	tb.Helper()
	code, stdout, stderr := i.run(tb, args...)
	if code != 0 {
		tb.Fatalf("%v: exit %d\n%s", args, code, stderr)
	}
	return stdout
}

// fill stores a delivery as another process.
func (i installation) fill(tb testing.TB, at time.Time, d store.Delivery) {
	tb.Helper()
	s, err := store.Open(tb.Context(), store.Options{Path: i.path, Now: func() time.Time { return at }})
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := s.Commit(tb.Context(), d); err != nil {
		tb.Fatal(err)
	}
	if err := s.Close(tb.Context()); err != nil {
		tb.Fatal(err)
	}
}

func say(user, id, text string) mapping.Change {
	return mapping.Change{
		MessageID: id, Kind: mapping.KindMessage, AccountID: business, SenderID: user, RecipientID: business,
		Direction: mapping.Inbound, Text: &text, Timestamp: 1_790_000_000_000,
	}
}

// replicator answers for one, and returns its address.
func replicator(tb testing.TB, status func() statuspage.Status) string {
	tb.Helper()
	server := httptest.NewServer(statuspage.Handler(func(context.Context) statuspage.Status { return status() }))
	tb.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// running is a writer inside this process.
type running struct {
	address string
	ended   chan int
	stderr  *bytes.Buffer
	stop    context.CancelFunc
	// copied is closed when stderr is complete.
	copied chan struct{}
}

func (i installation) start(tb testing.TB) *running {
	tb.Helper()
	reading, writing := io.Pipe()
	ctx, stop := context.WithCancel(tb.Context())
	r := &running{ended: make(chan int, 1), stop: stop, stderr: &bytes.Buffer{}, copied: make(chan struct{})}
	go func() {
		code := Run(ctx, nil, i.environ, io.Discard, writing, "test")
		_ = writing.Close()
		r.ended <- code
	}()
	started := make(chan string, 1)
	go func() {
		defer close(r.copied)
		defer close(started)
		lines := bufio.NewScanner(reading)
		for lines.Scan() {
			r.stderr.WriteString(lines.Text() + "\n")
			var line map[string]any
			if json.Unmarshal(lines.Bytes(), &line) == nil && line["msg"] == "started" {
				started <- fmt.Sprint(line["listen"])
			}
		}
	}()
	tb.Cleanup(func() { stop(); <-r.copied })
	address, ok := <-started
	if !ok {
		tb.Fatalf("not started\n%s", r.stderr)
	}
	r.address = address
	return r
}

// end waits for the exit code.
func (r *running) end(tb testing.TB) int {
	tb.Helper()
	select {
	case code := <-r.ended:
		<-r.copied
		return code
	case <-time.After(time.Minute):
		tb.Fatal("the writer does not end")
		return 0
	}
}

// post delivers a signed body and returns the status.
func (r *running) post(tb testing.TB, body string) int {
	tb.Helper()
	request, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, "http://"+r.address+"/webhook", strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Hub-Signature-256", simulate.Sign(secret, []byte(body)))
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		tb.Fatal(err)
	}
	_ = response.Body.Close()
	return response.StatusCode
}

func wants(tb testing.TB, text string, parts ...string) {
	tb.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			tb.Errorf("%q is missing in:\n%s", part, text)
		}
	}
}
