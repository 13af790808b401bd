package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/term"

	"sidestream/internal/app/console"
)

// The parts of a line that stand out on a terminal.
const (
	bold  = "\x1b[1m"
	dim   = "\x1b[2m"
	green = "\x1b[32m"
	red   = "\x1b[31m"
	plain = "\x1b[0m"
)

// screen writes what the person sees. Its lines fit into 80 columns.
type screen struct {
	w     io.Writer
	color bool
	width int
	lines int
}

// newScreen writes to w, in colour if that is a terminal which can do so.
func newScreen(w io.Writer, simple bool) *screen {
	s := &screen{w: w, color: !simple && console.IsTerminal(w), width: 80}
	if f, ok := w.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			s.width = width
		}
	}
	return s
}

func (s *screen) line(format string, args ...any) { fmt.Fprintf(s.w, format+"\n", args...) }

// in gives a text a colour.
func (s *screen) in(color, text string) string {
	if !s.color {
		return text
	}
	return color + text + plain
}

func (s *screen) heading(text string) { s.line("\n%s", s.in(bold, text)) }

// opening says what runs where.
func (s *screen) opening(st *stage) {
	s.line("%s", s.in(bold, "Sidestream: every message in the CRM exactly once, and no webhook waits for it"))
	host, port, _ := strings.Cut(st.crm.address, ":")
	for _, l := range [][2]string{
		{"Instagram", "simulated, sends to " + st.addresses.webhookURL()},
		{"writer", "curl " + st.addresses.writerPage("metrics")},
		{"replicator", "curl " + st.addresses.replicatorPage("metrics")},
		{"", "curl " + st.addresses.replicatorPage("status")},
		{"CRM", fmt.Sprintf("mysql -h %s -P %s -u %s %s", host, port, crmUser, crmDatabase)},
	} {
		s.line("  %s  %s", s.in(dim, fmt.Sprintf("%-10s", l[0])), l[1])
	}
}

// way shows when a delivery got where.
func (s *screen) way(j journey) {
	steps := []step{
		{0, "webhook", j.text},
		{j.answered, "SQLite", "committed, and only then answered with 200"},
		{j.applied, "CRM", fmt.Sprintf("row %d, %s: %s", j.row.id, j.row.username, j.row.message)},
	}
	// The CRM may be faster than the answer's way back.
	slices.SortStableFunc(steps, func(a, b step) int { return cmp.Compare(a.at, b.at) })
	for _, st := range steps {
		head := fmt.Sprintf("  %7s  %-9s  ", millis(st.at), st.where)
		s.line("%s%s", s.in(dim, head), s.cut(st.what, len(head)))
	}
}

type step struct {
	at          time.Duration
	where, what string
}

func (s *screen) loadBegins(f flags) {
	until := "until Ctrl-C"
	if f.For > 0 {
		until = fmt.Sprintf("for %v", f.For)
	}
	s.heading(fmt.Sprintf("Then %d messages a second %s, with edits, unsends and repeats", f.Rate, until))
}

// repeatHeader is after how many lines the header comes again.
const repeatHeader = 20

// second shows the numbers of one moment.
func (s *screen) second(since time.Duration, n numbers, err error) {
	if s.lines%repeatHeader == 0 {
		s.line("%s", s.in(dim, fmt.Sprintf("  %5s  %8s  %12s  %10s  %10s   %s", "time", "sent", "acknowledged", "in SQLite", "in the CRM", "lag")))
	}
	s.lines++
	lag := "not known"
	switch {
	case err != nil:
		lag = s.cut(err.Error(), 62)
	case n.status.LagChanges != nil && n.status.LagSeconds != nil:
		lag = fmt.Sprintf("%d changes, %.0f ms", *n.status.LagChanges, *n.status.LagSeconds*1000)
	}
	s.line("  %3.0f s  %8d  %12d  %10d  %10d   %s", since.Seconds(), n.sent, n.acknowledged, n.inSource, n.inCRM, lag)
}

// interrupted answers Ctrl-C, which a terminal shows as "^C" in front of it.
func (s *screen) interrupted() {
	s.line("\n  %s", s.in(dim, "No more is sent. What is under way still arrives; Ctrl-C again ends at once."))
}

// sums shows the result.
func (s *screen) sums(r sums) {
	s.heading("Counted at the end")
	number := func(name string, n int, more string, args ...any) {
		if more != "" {
			more = "   " + s.in(dim, fmt.Sprintf(more, args...))
		}
		s.line("  %s  %7d%s", s.in(dim, fmt.Sprintf("%-12s", name)), n, more)
	}
	t := r.tally
	number("sent", r.sent, "messages in %d webhooks, %d of them repeats,", t.webhooks.Load(), t.repeats.Load())
	s.line("  %12s  %7s   %s", "", "", s.in(dim, fmt.Sprintf("with %d edits, %d unsends and %d other events", t.edits.Load(), t.unsends.Load(), t.rest.Load())))
	number("acknowledged", r.acknowledged, "with 200: Instagram will not send them again")
	number("in SQLite", r.inSource, "rows of kind message")
	number("in the CRM", r.inCRM, "rows")
	number("missing", r.rows.Missing, "")
	number("doubled", r.rows.Doubled, "")
	number("reordered", r.rows.Reordered, "")
	number("unexpected", r.rows.Unexpected, "another text, person or time than was sent")
	number("dead letters", r.deadLetters, "refused by the CRM")
	if r.unnamed > 0 {
		number("without name", r.unnamed, "rows show the user's id: the name came too late")
	}
	if r.clean() {
		s.line("\n%s", s.in(green, "Every message is in the CRM once and in order, its edits and unsends applied."))
		return
	}
	s.line("\n%s", s.in(red, "The CRM does not hold what was sent."))
}

func (s *screen) kept(dir string) { s.line("Kept: %s", dir) }

// millis shows a duration in milliseconds.
func millis(d time.Duration) string {
	return strconv.FormatFloat(float64(d.Microseconds())/1000, 'f', 1, 64) + " ms"
}

// cut returns one line of a stranger's text that fits behind what is there
// already. A terminal would obey control characters, and turn the line around
// for some others.
func (s *screen) cut(text string, taken int) string {
	room := max(s.width-taken-1, 10)
	var b strings.Builder
	for _, r := range text {
		switch {
		case unicode.IsSpace(r):
			r = ' '
		case !unicode.IsGraphic(r):
			continue
		}
		// Wide characters take two columns; the lowest of them is this one.
		if room--; r >= 0x1100 {
			room--
		}
		if room < 0 {
			b.WriteRune('…')
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}
