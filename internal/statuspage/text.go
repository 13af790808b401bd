package statuspage

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Text writes the status for a terminal: one aligned line per fact, what is
// wrong near the top, and on the last line the next step where there is one.
func (s Status) Text(w io.Writer) error {
	lines := [][2]string{
		{"source", s.Source + " (" + s.Database + ")"},
		{"state", s.state()},
	}
	if p := s.problem(); p != "" {
		lines = append(lines, [2]string{"problem", p})
	}
	if !s.NextAttempt.IsZero() {
		lines = append(lines, [2]string{"next attempt", s.in(s.NextAttempt)})
	}
	lines = append(lines,
		[2]string{"lag", s.lag()},
		[2]string{"position", s.position()},
		[2]string{"applied", s.applied()},
		[2]string{"crm", s.crm()},
		[2]string{"dead letters", strconv.FormatInt(s.DeadLettersOpen, 10) + " open"},
	)
	if len(s.Wakeups) > 0 {
		lines = append(lines, [2]string{"wake-ups", s.wakeups()})
	}
	if s.Deaf {
		lines = append(lines, [2]string{"watcher", "file events do not arrive; polling carries on"})
	}
	if s.Version != "" {
		lines = append(lines, [2]string{"version", s.Version})
	}
	if s.Hint != "" {
		lines = append(lines, [2]string{"next step", s.Hint})
	}
	var b strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&b, "%-12s  %s\n", l[0], printable(l[1]))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (s Status) state() string {
	if s.Since.IsZero() {
		return string(s.State)
	}
	return fmt.Sprintf("%s for %s, since %s", s.State, s.age(s.Since), s.Since.UTC().Format(time.RFC3339))
}

func (s Status) problem() string {
	if s.Reason == "" {
		return ""
	}
	text := s.Reason
	if s.Class != "" {
		text = s.Class + ": " + text
	}
	if s.Code != "" {
		text += " (" + s.Code + ")"
	}
	if s.Detail != "" {
		text += ": " + s.Detail
	}
	return text
}

func (s Status) lag() string {
	if s.LagChanges == nil {
		return "not known"
	}
	text := count(*s.LagChanges, "change")
	if s.LagSeconds != nil && *s.LagChanges > 0 {
		text += ", " + round(time.Duration(*s.LagSeconds*float64(time.Second)))
	}
	return text
}

func (s Status) position() string {
	head := "?"
	if s.Head != nil {
		head = strconv.FormatInt(*s.Head, 10)
	}
	if !s.CursorKnown {
		return "not known yet, of " + head
	}
	return fmt.Sprintf("%d of %s, generation %d", s.Position, head, s.Generation)
}

func (s Status) applied() string {
	text := "not known yet"
	if s.CursorKnown {
		text = count(s.AppliedTotal, "change")
	}
	if s.AppliedTotal > 0 && !s.LastApplied.IsZero() {
		text += ", the last " + s.age(s.LastApplied) + " ago"
	}
	return text
}

func (s Status) crm() string {
	switch {
	case !s.Enabled:
		return "switched off (crm.enabled is false)"
	case s.CRMUp:
		return "up" + s.silence()
	default:
		return "down" + s.silence()
	}
}

// longStep is from when on a step is worth a word.
const longStep = 5 * time.Second

// silence says that the step in progress takes long.
func (s Status) silence() string {
	if s.StepSince.IsZero() || s.At.Sub(s.StepSince) < longStep {
		return ""
	}
	return ", no answer for " + s.age(s.StepSince)
}

func (s Status) wakeups() string {
	var parts []string
	for _, cause := range slices.Sorted(maps.Keys(s.Wakeups)) {
		parts = append(parts, fmt.Sprintf("%s %d", cause, s.Wakeups[cause]))
	}
	return strings.Join(parts, ", ")
}

func (s Status) age(t time.Time) string { return round(max(0, s.At.Sub(t))) }

func (s Status) in(t time.Time) string {
	if d := t.Sub(s.At); d > 0 {
		return "in " + round(d)
	}
	return "now"
}

// round shows a duration as exactly as a person needs it.
func round(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

func count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.FormatInt(n, 10) + " " + noun + "s"
}

// printable drops control characters: a terminal would obey them.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, s)
}
