package main

import (
	"bytes"
	"context"
	"database/sql"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"
)

// temporary gives the demo a directory of the test's own to work in, and an
// environment that would lead it astray.
func temporary(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Setenv("SIDESTREAM_CONFIG", filepath.Join(dir, "somebody-elses.toml"))
	t.Setenv("SIDESTREAM_CRM_DATABASE", "production")
	t.Setenv("CRM_MYSQL_HOST", "192.0.2.1")
	return dir
}

// left returns what the demo has left in its directory.
func left(tb testing.TB, dir string) []string {
	tb.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "sidestream-demo-*"))
	if err != nil {
		tb.Fatal(err)
	}
	return found
}

// counted reads one of the sums off the screen.
func counted(tb testing.TB, screen, name string) int {
	tb.Helper()
	found := regexp.MustCompile(`(?m)^  ` + name + ` +(\d+)`).FindStringSubmatch(screen)
	if found == nil {
		tb.Fatalf("no sum %q in:\n%s", name, screen)
	}
	n, err := strconv.Atoi(found[1])
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

func TestRun_counts_every_message(t *testing.T) {
	dir := temporary(t)
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"--for", "2s", "--rate", "200"}, os.Environ(), &stdout, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s\n%s", code, &stderr, &stdout)
	}
	screen := stdout.String()
	sent := counted(t, screen, "sent")
	if sent < 10 {
		t.Errorf("only %d messages sent", sent)
	}
	for _, name := range []string{"acknowledged", "in SQLite", "in the CRM"} {
		if n := counted(t, screen, name); n != sent {
			t.Errorf("%s: %d of %d", name, n, sent)
		}
	}
	for _, name := range []string{"missing", "doubled", "reordered", "unexpected", "dead letters"} {
		if n := counted(t, screen, name); n != 0 {
			t.Errorf("%s: %d", name, n)
		}
	}
	if strings.Contains(screen, "\x1b") {
		t.Error("colours in what is no terminal")
	}
	for line := range strings.Lines(screen) {
		if columns := utf8.RuneCountInString(line) - 1; columns > 80 {
			t.Errorf("%d columns: %s", columns, line)
		}
	}
	if stderr.Len() > 0 {
		t.Errorf("on stderr: %s", &stderr)
	}
	if found := left(t, dir); len(found) > 0 {
		t.Errorf("left behind: %v", found)
	}
}

// breakages are done to the CRM's table and undone again. Each says which of
// the sums must tell.
var breakages = map[string]struct {
	do, undo []string
	told     func(sums) int
}{
	"a_row_is_missing": {
		do:   []string{"CREATE TABLE kept AS SELECT * FROM messages WHERE id = 7", "DELETE FROM messages WHERE id = 7"},
		undo: []string{"INSERT INTO messages SELECT * FROM kept", "DROP TABLE kept"},
		told: func(s sums) int { return s.rows.Missing },
	},
	"a_row_is_doubled": {
		do: []string{"INSERT INTO messages (id, user_id, username, direction, message, created_at) " +
			"SELECT 1000000, user_id, username, direction, message, created_at FROM messages WHERE id = 7"},
		undo: []string{"DELETE FROM messages WHERE id = 1000000"},
		told: func(s sums) int { return s.rows.Doubled },
	},
	"a_row_is_out_of_order": {
		do:   []string{"UPDATE messages SET id = 1000000 WHERE id = 7"},
		undo: []string{"UPDATE messages SET id = 7 WHERE id = 1000000"},
		told: func(s sums) int { return s.rows.Reordered },
	},
	"a_row_reads_otherwise": {
		do:   []string{"UPDATE messages SET direction = IF(direction = 'in', 'out', 'in') WHERE id = 7"},
		undo: []string{"UPDATE messages SET direction = IF(direction = 'in', 'out', 'in') WHERE id = 7"},
		told: func(s sums) int { return s.rows.Unexpected },
	},
	"a_change_was_parked": {
		do: []string{"INSERT INTO sidestream_dead_letters (source, generation, position, message_id, code, reason, attempts) " +
			"VALUES ('main', 1, 7, 'm', '1', 'r', 1)"},
		undo: []string{"DELETE FROM sidestream_dead_letters"},
		told: func(s sums) int { return s.deadLetters },
	},
}

func execAll(tb testing.TB, db *sql.DB, statements []string) {
	tb.Helper()
	for _, statement := range statements {
		if _, err := db.ExecContext(tb.Context(), statement); err != nil {
			tb.Fatalf("%s: %v", statement, err)
		}
	}
}

func TestRun_fails_where_the_sums_do_not_agree(t *testing.T) {
	dir := temporary(t)
	var d demo
	d.beforeCounting = func(ctx context.Context, s *stage, tr *traffic) error {
		for name, b := range breakages {
			t.Run(name, func(t *testing.T) {
				execAll(t, s.crm.db, b.do)
				defer execAll(t, s.crm.db, b.undo)
				broken, err := sumUp(ctx, s, tr)
				if err != nil {
					t.Fatal(err)
				}
				if broken.clean() || b.told(broken) != 1 {
					t.Errorf("clean %v: %v, dead letters %d", broken.clean(), broken.rows, broken.deadLetters)
				}
			})
		}
		whole, err := sumUp(ctx, s, tr)
		if err != nil || !whole.clean() {
			t.Errorf("not clean after everything was undone: %v, %v", whole.rows, err)
		}
		_, err = s.crm.db.ExecContext(ctx, "DELETE FROM messages WHERE id = 7")
		return err
	}
	var stdout, stderr bytes.Buffer
	if code := d.run(t.Context(), []string{"--for", "300ms"}, os.Environ(), &stdout, &stderr); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if n := counted(t, stdout.String(), "missing"); n != 1 {
		t.Errorf("%d missing:\n%s", n, &stdout)
	}
	found := left(t, dir)
	if len(found) != 1 || !strings.Contains(stderr.String(), found[0]) {
		t.Fatalf("the directory %v is not named: %s", found, &stderr)
	}
	for _, name := range []string{"writer.log", "replicator.log", "crm.log", "config.toml", "messages.db"} {
		if _, err := os.Stat(filepath.Join(found[0], name)); err != nil {
			t.Error(err)
		}
	}
}

// trigger calls do once, when the text has come by.
type trigger struct {
	bytes.Buffer
	text string
	do   func()
	once sync.Once
}

func (w *trigger) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(w.text)) {
		w.once.Do(w.do)
	}
	return w.Buffer.Write(p)
}

func TestRun_ends_with_the_sums_when_interrupted(t *testing.T) {
	for name, text := range map[string]string{
		"while_it_introduces_itself": "One message",
		"under_load":                 "acknowledged",
	} {
		t.Run(name, func(t *testing.T) {
			temporary(t)
			// At the latest it is interrupted after a minute.
			ctx, interrupt := context.WithTimeout(t.Context(), time.Minute)
			defer interrupt()
			stdout := trigger{text: text, do: interrupt}
			var stderr bytes.Buffer
			if code := run(ctx, []string{"--for", "0"}, os.Environ(), &stdout, &stderr); code != 0 {
				t.Fatalf("exit code %d: %s\n%s", code, &stderr, &stdout)
			}
			if sent, inCRM := counted(t, stdout.String(), "sent"), counted(t, stdout.String(), "in the CRM"); sent == 0 || sent != inCRM {
				t.Errorf("%d sent, %d in the CRM", sent, inCRM)
			}
		})
	}
}

func TestStartProgram_tells_of_an_early_end(t *testing.T) {
	ctx, abort := context.WithCancelCause(t.Context())
	crashing := func(context.Context, []string, []string, io.Writer, io.Writer, string) int { return 70 }
	p, err := startProgram(ctx, "writer", crashing, t.TempDir(), abort)
	if err != nil {
		t.Fatal(err)
	}
	<-p.ended
	if cause := context.Cause(ctx); cause == nil || !strings.Contains(cause.Error(), "writer") || !strings.Contains(cause.Error(), "70") {
		t.Errorf("cause: %v", cause)
	}
	if err := p.end(); err == nil {
		t.Error("its code is no error")
	}
}

func TestRun_usage(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{"--help"}, 0},
		{[]string{"--rate", "0"}, 64},
		{[]string{"--for", "-1s"}, 64},
		{[]string{"--for", "10"}, 64},
		{[]string{"now"}, 64},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), c.args, nil, &stdout, &stderr); code != c.code {
			t.Errorf("%v: exit code %d\n%s%s", c.args, code, &stdout, &stderr)
		}
	}
}
