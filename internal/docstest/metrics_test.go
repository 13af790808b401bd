package docstest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	replicatorapp "sidestream/internal/app/replicator"
	writerapp "sidestream/internal/app/writer"
	"sidestream/internal/testkit/fake"
	"sidestream/mapping"
	"sidestream/replicator"
)

// family is one metric as it is scraped, or as the page has it.
type family struct {
	kind   string
	labels map[string]bool
	// values are those of its labels, apart from buckets and versions.
	values map[string]bool
}

var (
	typeLine   = regexp.MustCompile(`^# TYPE (sidestream_\w+) (\w+)$`)
	sampleLine = regexp.MustCompile(`^(sidestream_\w+?)(?:_bucket|_sum|_count)?(?:\{(.*)\})? \S+$`)
	labelPair  = regexp.MustCompile(`(\w+)="((?:[^"\\]|\\.)*)"`)
)

// families reads what /metrics answers.
func families(tb testing.TB, text string, into map[string]family) {
	tb.Helper()
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		tb.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "sidestream_") {
			tb.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if m := typeLine.FindStringSubmatch(line); m != nil {
			if _, there := into[m[1]]; !there {
				into[m[1]] = family{kind: m[2], labels: map[string]bool{}, values: map[string]bool{}}
			}
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		for _, pair := range labelPair.FindAllStringSubmatch(m[2], -1) {
			switch pair[1] {
			case "le":
				continue
			case "version", "goversion":
			default:
				into[m[1]].values[pair[2]] = true
			}
			into[m[1]].labels[pair[1]] = true
		}
	}
}

type runner func(ctx context.Context, args, environ []string, stdout, stderr io.Writer, version string) int

// scrape runs a program in this process and returns its /metrics. key is where
// its log says which address it took.
func scrape(t *testing.T, run runner, key string) string {
	t.Helper()
	reading, writing := io.Pipe()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan int, 1)
	environ := []string{
		"SIDESTREAM_DATABASE_PATH=" + filepath.Join(t.TempDir(), "messages.db"), "SIDESTREAM_LOG_FORMAT=json",
		"SIDESTREAM_WRITER_VERIFY_TOKEN=token", "SIDESTREAM_WRITER_APP_SECRETS=secret",
		"SIDESTREAM_WRITER_LISTEN=127.0.0.1:0", "SIDESTREAM_WRITER_METRICS_LISTEN=127.0.0.1:0", "SIDESTREAM_REPLICATOR_LISTEN=127.0.0.1:0",
		// Nobody listens on port 1: the CRM is away.
		"SIDESTREAM_CRM_ADDRESSES=127.0.0.1:1", "SIDESTREAM_CRM_USER=crm", "SIDESTREAM_CRM_DATABASE=crm",
	}
	go func() {
		ended <- run(ctx, nil, environ, io.Discard, writing, "test")
		_ = writing.Close()
	}()
	t.Cleanup(func() {
		stop()
		if code := <-ended; code != 0 {
			t.Errorf("the program ended with %d", code)
		}
	})
	lines := bufio.NewScanner(reading)
	for lines.Scan() {
		var line map[string]any
		if json.Unmarshal(lines.Bytes(), &line) == nil && line["msg"] == "started" {
			go func() { _, _ = io.Copy(io.Discard, reading) }()
			return fetch(t, fmt.Sprintf("http://%v/metrics", line[key]))
		}
		t.Log(lines.Text())
	}
	t.Fatal("the program ended before it was started")
	return ""
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	response, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// blockedLoop returns the metrics of a loop that has applied a change and was
// blocked then, by a table that refuses everything: some series exist in such a
// state only, and the lag is known in it.
func blockedLoop(t *testing.T) string {
	t.Helper()
	registry := prometheus.NewRegistry()
	source, server := fake.NewSource("source"), fake.NewServer(nil)
	mapper, err := mapping.New(mapping.Options{})
	if err != nil {
		t.Fatal(err)
	}
	loop, err := replicator.New(replicator.Options{Source: source, Target: server.Target("main"), Mapper: mapper, Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	text := "hello"
	change := mapping.Change{
		MessageID: "m1", Kind: mapping.KindMessage, AccountID: "1784", SenderID: "900", RecipientID: "1784",
		Direction: mapping.Inbound, Text: &text, Timestamp: 1_790_000_000_000, CommittedAt: 1_790_000_000_100,
	}
	source.Append(change)
	if err := loop.Drain(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	change.MessageID = "m2"
	source.Append(change)
	server.Refuse = func(mapping.Record) *replicator.Failure {
		return &replicator.Failure{Class: replicator.Data, Reason: "bad_value"}
	}
	for range 3 {
		_, err = loop.Step(t.Context())
	}
	if f := replicator.AsFailure(err); err == nil || f.Class != replicator.Blocked {
		t.Fatalf("the loop is not blocked: %v", err)
	}
	answer := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
	return answer.Body.String()
}

func TestMetrics_page_has_a_line_for_every_metric(t *testing.T) {
	scraped := map[string]family{}
	families(t, scrape(t, writerapp.Run, "metrics_listen"), scraped)
	families(t, scrape(t, replicatorapp.Run, "listen"), scraped)
	families(t, blockedLoop(t), scraped)

	p := readPage(t, "docs/METRICS.md")
	described := map[string]family{}
	for _, row := range rows(p.prose) {
		names := spans(row[0])
		if len(names) == 0 || !strings.HasPrefix(names[0], "sidestream_") {
			continue
		}
		if len(row) != 4 || row[2] == "" || row[3] == "" {
			t.Errorf("%s: the line on %s is not complete", p.path, names[0])
			continue
		}
		described[names[0]] = describe(row[1])
	}
	for _, name := range slices.Sorted(maps.Keys(scraped)) {
		got, there := described[name]
		if !there {
			t.Errorf("%s has no line on %s", p.path, name)
			continue
		}
		compareFamily(t, p.path+": "+name, got, scraped[name])
	}
	for _, name := range slices.Sorted(maps.Keys(described)) {
		if _, there := scraped[name]; !there {
			t.Errorf("%s describes %s, which does not exist", p.path, name)
		}
	}
}

// describe reads a cell such as: counter, `kind`: `message`, `edit`.
func describe(cell string) family {
	kind, rest, _ := strings.Cut(cell, ",")
	f := family{kind: strings.TrimSpace(kind), labels: map[string]bool{}, values: map[string]bool{}}
	for part := range strings.SplitSeq(rest, ";") {
		label, values, _ := strings.Cut(part, ":")
		for _, name := range spans(label) {
			f.labels[name] = true
		}
		for _, value := range spans(values) {
			f.values[value] = true
		}
	}
	return f
}

func compareFamily(t *testing.T, where string, page, code family) {
	t.Helper()
	if page.kind != code.kind {
		t.Errorf("%s is a %s, not a %s", where, code.kind, page.kind)
	}
	if !maps.Equal(page.labels, code.labels) {
		t.Errorf("%s has the labels %v, not %v", where, slices.Sorted(maps.Keys(code.labels)), slices.Sorted(maps.Keys(page.labels)))
	}
	// Some values come up at run time only; the reasons of blocked have a page.
	if page.labels["reason"] && len(page.values) == 0 {
		return
	}
	for _, value := range slices.Sorted(maps.Keys(code.values)) {
		if !page.values[value] {
			t.Errorf("%s: the value %s is missing", where, value)
		}
	}
}

// metricSpan is a metric in a code span, with a selector or without.
var metricSpan = regexp.MustCompile(`sidestream_(?:writer|replicator|build)_[a-z_]+`)

func TestPages_name_only_metrics_that_exist(t *testing.T) {
	described := map[string]bool{}
	for _, row := range rows(readPage(t, "docs/METRICS.md").prose) {
		for _, name := range spans(row[0]) {
			described[name] = true
		}
	}
	for _, p := range pages(t) {
		text := bytes.NewBufferString(p.prose)
		for _, f := range p.fences {
			text.WriteString(f.text)
		}
		for _, name := range metricSpan.FindAllString(text.String(), -1) {
			base := name
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				base = strings.TrimSuffix(base, suffix)
			}
			if !described[name] && !described[base] {
				t.Errorf("%s names %s, which has no line in docs/METRICS.md", p.path, name)
			}
		}
	}
}
