package writer

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"sidestream/internal/config"
	"sidestream/internal/statuspage"
	"sidestream/internal/store"
	"sidestream/internal/webhook"
	"sidestream/mapping"
)

func TestErase(t *testing.T) {
	i := install(t)
	i.fill(t, time.Now(), store.Delivery{
		Changes:   []mapping.Change{say(person, "m1", "one"), say(person, "m2", "two"), say("900000000000078", "m3", "three")},
		Undecoded: []store.Undecoded{{Reason: "unknown_shape", Body: []byte(`{"id":"` + person + `"}`)}},
	})
	wants(t, i.must(t, "erase", "--user-id", person, "--dry-run"), "would erase 2 messages and 1 undecoded")
	wants(t, i.must(t, "erase", "--user-id", person), "erased 2 messages and 1 undecoded")
	wants(t, i.must(t, "erase", "--user-id", person), "erased 0 messages and 0 undecoded")
	wants(t, i.must(t, "erase", "--user-id", "900000000000078", "--account", "17841400000000002"), "erased 0 messages")
	if code, _, stderr := i.run(t, "erase", "--user-id", business); code != 1 {
		t.Errorf("a business account: exit %d", code)
	} else {
		wants(t, stderr, "is a business account's", "next: ")
	}
	if code, _, stderr := i.run(t, "erase"); code != 64 {
		t.Errorf("without an id: exit %d", code)
	} else {
		wants(t, stderr, "try: writer erase --help")
	}
	if code, _, stderr := i.run(t, "erase", "--user-id", "12"); code != 64 {
		t.Errorf("an id that nobody has: exit %d", code)
	} else {
		wants(t, stderr, "at least 8 characters")
	}
}

func TestErase_says_that_a_reader_keeps_the_texts(t *testing.T) {
	i := install(t)
	i.fill(t, time.Now(), store.Delivery{Changes: []mapping.Change{say(person, "m1", "one")}})
	db, err := sql.Open("sqlite3", "file:"+i.path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	reader, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := reader.QueryRowContext(t.Context(), "SELECT count(*) FROM messages").Scan(&n); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr := i.run(t, "erase", "--user-id", person, "--wait", "1ms")
	if code != 1 {
		t.Errorf("exit %d", code)
	}
	wants(t, stdout, "erased 1 message and 0 undecoded deliveries;")
	wants(t, stderr, "still in the -wal file", "next: end the program that reads")
	if err := reader.Rollback(); err != nil {
		t.Fatal(err)
	}
	wants(t, i.must(t, "erase", "--user-id", person), "erased 0 messages")
}

func TestPrune(t *testing.T) {
	good := statuspage.Status{State: statuspage.Running, CursorKnown: true, Position: 2, Head: new(int64(3))}
	status := good
	i := install(t, "SIDESTREAM_REPLICATOR_LISTEN="+replicator(t, func() statuspage.Status { return status }))
	i.fill(t, time.Now().Add(-500*24*time.Hour), store.Delivery{Changes: []mapping.Change{say(person, "m1", "one"), say(person, "m2", "two"), say(person, "m3", "three")}})

	for name, change := range map[string]func(*statuspage.Status){
		"does not know its cursor":                    func(s *statuspage.Status) { s.CursorKnown = false },
		"is blocked":                                  func(s *statuspage.Status) { s.State = statuspage.Blocked },
		"cannot read its source":                      func(s *statuspage.Status) { s.Head = nil },
		"reads another file":                          func(s *statuspage.Status) { s.Head = new(int64(4)) },
		"1 dead letter is open, and what it holds is": func(s *statuspage.Status) { s.DeadLettersOpen = 1 },
		"is not known: read the answer":               func(s *statuspage.Status) { s.State = "" },
	} {
		status = good
		change(&status)
		code, _, stderr := i.run(t, "prune", "--older-than", "400d")
		if code != 1 {
			t.Errorf("%s: exit %d", name, code)
		}
		wants(t, stderr, "nothing is pruned", name, "next: ")
	}
	status = good
	wants(t, i.must(t, "prune", "--older-than", "600d"), "blanked 0 messages")
	wants(t, i.must(t, "prune", "--older-than", "400d", "--dry-run"), "would blank 2 messages and edits up to position 2")
	wants(t, i.must(t, "prune", "--older-than", "400d"), "blanked 2 messages and edits up to position 2")
	status.Position, status.DeadLettersOpen = 3, 1
	wants(t, i.must(t, "prune", "--older-than", "9600h", "--include-dead-letters"), "blanked 1 message or edit up to")
	for _, wrong := range []string{"400", "-1h", "soon", "0s", "0d"} {
		if code, _, _ := i.run(t, "prune", "--older-than="+wrong); code != 64 {
			t.Errorf("%q: exit %d", wrong, code)
		}
	}
}

func TestRetention(t *testing.T) {
	status := statuspage.Status{State: statuspage.Running, CursorKnown: true, Position: 1, Head: new(int64(1))}
	i := install(t, "SIDESTREAM_WRITER_RETENTION=400d", "SIDESTREAM_REPLICATOR_LISTEN="+replicator(t, func() statuspage.Status { return status }))
	i.fill(t, time.Now().Add(-500*24*time.Hour), store.Delivery{Changes: []mapping.Change{say(person, "m1", "one")}})
	c, err := config.Load(config.Options{Environ: i.environ, Program: config.Writer})
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), store.Options{Path: i.path})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close(t.Context()) }()
	var log strings.Builder
	r := newRetention(s, c, slog.New(slog.NewTextHandler(&log, nil)), prometheus.NewRegistry())

	status.CursorKnown = false
	if err := r.once(t.Context()); err == nil || testutil.ToFloat64(r.last) != 0 {
		t.Errorf("it must not prune what may not be applied: %v", err)
	}
	status.CursorKnown = true
	if err := r.once(t.Context()); err != nil || testutil.ToFloat64(r.last) == 0 {
		t.Errorf("%v", err)
	}
	wants(t, log.String(), "rows_blanked=1")
}

func TestUndecoded(t *testing.T) {
	i := install(t)
	at := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	entry := `{"object":"instagram","entry":[{"id":"` + business + `","time":1790000000123,"messaging":[%s]}]}`
	known := fmt.Sprintf(entry, `{"sender":{"id":"`+person+`"},"recipient":{"id":"`+business+`"},"timestamp":1790000000000,"message":{"mid":"m","text":"understood by now"}}`)
	unknown := fmt.Sprintf(entry, `{"sender":{"id":"`+person+`"},"recipient":{"id":"`+business+`"},"timestamp":1790000000000,"novelty":{"mid":"n"}}`)
	var d store.Delivery
	for _, body := range []string{known, unknown, "not even JSON", unknown} {
		d.Undecoded = append(d.Undecoded, store.Undecoded{Reason: "unknown_shape", Body: []byte(body)})
	}
	i.fill(t, at, d)

	list := i.must(t, "undecoded", "list")
	wants(t, list, "2026-11-01T12:00:00Z", "13 bytes", "unknown_shape", "4 undecoded")
	if strings.Contains(list, "JSON") || strings.Contains(list, person) {
		t.Error("the list shows content")
	}
	wants(t, i.must(t, "undecoded", "replay"), "1 understood now, 3 kept")
	wants(t, i.must(t, "undecoded", "replay"), "0 understood now, 3 kept")
	wants(t, i.must(t, "erase", "--user-id", person, "--dry-run"), "would erase 1 message and 2 undecoded")
	if code, _, stderr := i.run(t, "undecoded", "drop"); code != 64 {
		t.Errorf("exit %d", code)
	} else {
		wants(t, stderr, "--all")
	}
	if code, _, stderr := i.run(t, "undecoded", "drop", "--all", "2"); code != 64 {
		t.Errorf("all and one of them: exit %d", code)
	} else {
		wants(t, stderr, "not both", "try: writer undecoded drop --help")
	}
	if code, stdout, stderr := i.run(t, "undecoded", "drop", "2", "99"); code != 1 {
		t.Errorf("a row that is not there: exit %d", code)
	} else {
		wants(t, stdout, "1 dropped")
		wants(t, stderr, "no undecoded delivery has the number 99", "next: writer undecoded list")
	}
	wants(t, i.must(t, "undecoded", "drop", "--all"), "2 dropped")
	wants(t, i.must(t, "undecoded", "list"), "0 undecoded")
}

// TestUndecoded_replay_ends: what decoding brings back as it was stays where it
// is, even where a part of it is understood.
func TestUndecoded_replay_ends(t *testing.T) {
	event := func(members string) string {
		return `{"sender":{"id":"` + person + `"},"recipient":{"id":"` + business + `"},"timestamp":1790000000000,` + members + `}`
	}
	for name, events := range map[string]string{
		"half of an event is understood": event(`"message":{"mid":"m1"},"referral":{"ref":"x"}`),
		"twice in one event":             event(`"message":{"mid":"m1"},"message_edit":{"mid":"m1"},"read":{}`),
		"too many":                       event(`"message":{"mid":"m1","text":"a"}`) + strings.Repeat(`,{"novelty":1}`, 1001),
	} {
		t.Run(name, func(t *testing.T) {
			i := install(t)
			decoded := webhook.Decode([]byte(`{"object":"instagram","entry":[{"id":"`+business+`","time":1790000000123,"messaging":[`+events+`]}]}`), time.Now())
			kept := len(decoded.Undecoded)
			if kept == 0 {
				t.Fatal("all of it was understood")
			}
			i.fill(t, time.Now(), deliveryOf(webhook.Delivery{Changes: decoded.Changes, Undecoded: decoded.Undecoded}))
			before := i.must(t, "undecoded", "list")
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			for range 2 {
				var out, errs bytes.Buffer
				if code := Run(ctx, []string{"undecoded", "replay"}, i.environ, &out, &errs, "test"); code != 0 {
					t.Fatalf("exit %d\n%s", code, errs.String())
				}
				wants(t, out.String(), fmt.Sprintf("0 understood now, %d kept", kept))
			}
			if after := i.must(t, "undecoded", "list"); after != before {
				t.Errorf("the rows were\n%s and are\n%s", before, after)
			}
		})
	}
}

// TestUndecoded_replay_of_what_brings_a_message: the delivery stays, because the
// rest of it is not understood, and its message is stored once.
func TestUndecoded_replay_of_what_brings_a_message(t *testing.T) {
	i := install(t)
	body := `{"object":"instagram","entry":[{"id":"` + business + `","time":1790000000123,"messaging":[` +
		`{"sender":{"id":"` + person + `"},"recipient":{"id":"` + business + `"},"timestamp":1790000000000,"message":{"mid":"m1","text":"a"}}` +
		strings.Repeat(`,{"novelty":1}`, 1001) + `]}]}`
	i.fill(t, time.Now(), store.Delivery{Undecoded: []store.Undecoded{{Reason: webhook.ReasonTooMany, Body: []byte(body)}}})
	wants(t, i.must(t, "undecoded", "replay"), "1 understood now, 0 kept")
	wants(t, i.must(t, "undecoded", "replay"), "0 understood now, 1 kept")
	wants(t, i.must(t, "erase", "--user-id", person, "--dry-run"), "would erase 1 message")
}

func TestRun_deletion_callback(t *testing.T) {
	for setting, want := range map[string]int{"false": http.StatusNotFound, "true": http.StatusForbidden} {
		r := install(t, "SIDESTREAM_WRITER_DELETION_CALLBACK="+setting).start(t)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+r.address+"/webhook/deletion", strings.NewReader("signed_request=x.y"))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s: %d", setting, response.StatusCode)
		}
		r.stop()
		if code := r.end(t); code != 0 {
			t.Errorf("exit %d", code)
		}
	}
}

func TestRun_ends_where_the_database_was_replaced(t *testing.T) {
	i := install(t)
	r := i.start(t)
	body := `{"object":"instagram","entry":[{"id":"` + business + `","time":1790000000123,"messaging":[{"sender":{"id":"` + person +
		`"},"recipient":{"id":"` + business + `"},"timestamp":1790000000000,"message":{"mid":"%s","text":"hello"}}]}]}`
	if status := r.post(t, fmt.Sprintf(body, "m1")); status != http.StatusOK {
		t.Fatalf("answered %d", status)
	}
	if err := os.Rename(i.path, i.path+".moved"); err != nil {
		t.Fatal(err)
	}
	if status := r.post(t, fmt.Sprintf(body, "m2")); status != http.StatusInternalServerError {
		t.Errorf("answered %d: what goes into a file without a name is lost", status)
	}
	if code := r.end(t); code != 1 {
		t.Errorf("exit %d", code)
	}
	r.stop()
	wants(t, r.stderr.String(), "deleted or replaced while open; restart the writer", "next: put the database back")
}
