package chaos_test

import (
	"fmt"
	"slices"
	"strings"

	"sidestream/internal/simulate"
)

// The ways in which what is found can differ from what was acknowledged.
const (
	notStored     = "acknowledged and not stored"
	madeUp        = "stored and never sent"
	missing       = "missing"
	doubled       = "doubled"
	reordered     = "reordered"
	staleEdit     = "stale edits"
	unsentAlive   = "unsent texts alive"
	erasedAlive   = "erased persons alive"
	strangerHurt  = "strangers touched"
	forgedStored  = "forged stored"
	unexpected    = "unexpected"
	ledgerWrong   = "ledger points elsewhere"
	cursorWrong   = "cursors elsewhere"
	lettersOpen   = "dead letters open"
	nameWrong     = "usernames wrong"
	textInLog     = "texts in logs"
	programEnded  = "programs that ended by themselves"
	programFailed = "commands that failed"
)

func differences() []string {
	return []string{
		notStored, madeUp, missing, doubled, reordered, staleEdit, unsentAlive, erasedAlive, strangerHurt, forgedStored,
		unexpected, ledgerWrong, cursorWrong, lettersOpen, nameWrong, textInLog, programEnded, programFailed,
	}
}

// findings counts differences and names the first few of each kind.
type findings struct {
	n     map[string]int
	lines []string
}

func (f *findings) add(what, format string, args ...any) {
	const named = 5
	if f.n == nil {
		f.n = map[string]int{}
	}
	if f.n[what]++; f.n[what] <= named {
		f.lines = append(f.lines, what+": "+fmt.Sprintf(format, args...))
	}
}

// sums is one line with every kind of difference.
func (f *findings) sums() string {
	parts := make([]string, 0, len(differences()))
	for _, what := range differences() {
		parts = append(parts, fmt.Sprintf("%s %d", what, f.n[what]))
	}
	return strings.Join(parts, ", ")
}

// crmRow is a row of the CRM's table.
type crmRow struct {
	simulate.Row

	id int64
}

// logRow is a row of a source's table.
type logRow struct {
	seq     int64
	mid     string
	kind    string
	version int
}

// side is what was found of one source.
type side struct {
	// log is the file's, in order.
	log []logRow
	// ids is what the ledger of the cursor's generation says.
	ids map[int64]int64
	// parked are the message ids that were dead letters at some time.
	parked map[string]bool
	// lostBehind says of a message that an older copy has lost behind which
	// position it had been stored.
	lostBehind map[string]int64
}

// stranger is a row that somebody else has inserted into the CRM's table.
type stranger struct {
	row simulate.Row
	// sure is false where the server went away before it answered.
	sure bool
}

// world is everything that was said, and everything that was found.
type world struct {
	talks     []*conversation
	strangers []stranger
	sides     []side
	rows      []crmRow
}

// forged begins the text of a delivery that nobody signed.
const forged = mark + "-forged"

// reconcile looks for every message by content.
func reconcile(w world, f *findings) {
	r := reconciliation{world: w, findings: f, byNeedle: map[string]said{}, byMID: map[string]*message{}, byID: map[int64]crmRow{}}
	for _, c := range w.talks {
		for _, m := range c.messages {
			r.byMID[m.mid] = m
			for version, text := range m.texts {
				r.byNeedle[needle(text)] = said{m, version}
			}
		}
	}
	for _, row := range w.rows {
		r.byID[row.id] = row
	}
	r.content()
	for source := range w.sides {
		r.stored(source)
		r.places(source)
		r.order(source)
	}
}

// said is one text of a message.
type said struct {
	*message

	version int
}

type reconciliation struct {
	world
	*findings

	byNeedle map[string]said
	byMID    map[string]*message
	byID     map[int64]crmRow
}

// content compares all rows of the table with all that should be there.
func (r *reconciliation) content() {
	var expected, got []simulate.Row
	perhaps, certain := map[simulate.Row]bool{}, map[simulate.Row]bool{}
	for _, c := range r.talks {
		for _, m := range c.messages {
			expected = append(expected, m.row())
		}
	}
	for _, s := range r.strangers {
		if !s.sure {
			perhaps[s.row] = true
			continue
		}
		certain[s.row] = true
		expected = append(expected, s.row)
	}
	for _, row := range r.rows {
		if perhaps[row.Row] {
			delete(perhaps, row.Row) // once
			continue
		}
		got = append(got, row.Row)
	}
	// Compare names only a few rows; here every one counts.
	places := map[simulate.Row]int{}
	for _, row := range expected {
		places[row]++
	}
	taken := map[simulate.Row]int{}
	for _, row := range got {
		if taken[row]++; taken[row] <= places[row] {
			continue
		}
		r.add(r.judge(row, places[row] > 0), "a row of the CRM reads %s", brief(row))
	}
	for _, row := range expected {
		if taken[row] > 0 {
			taken[row]--
			continue
		}
		what := missing
		if certain[row] {
			what = strangerHurt
		}
		r.add(what, "no row of the CRM reads %s", brief(row))
	}
}

// judge says what is wrong with a row that should not be there.
func (r *reconciliation) judge(row simulate.Row, known bool) string {
	s, ours := r.byNeedle[needle(row.Message)]
	switch {
	case strings.Contains(row.Message, forged):
		return forgedStored
	case known:
		return doubled
	case strings.HasPrefix(row.Message, "stranger"):
		return strangerHurt
	case r.retired(row.UserID) || (ours && s.message.erased):
		return erasedAlive
	case !ours:
		return unexpected
	case s.message.unsent:
		return unsentAlive
	case s.version < len(s.texts)-1:
		return staleEdit
	}
	return unexpected
}

func (r *reconciliation) retired(user string) bool {
	return slices.ContainsFunc(r.talks, func(c *conversation) bool { return c.retired[user] })
}

func brief(row simulate.Row) string {
	text := []rune(row.Message)
	return fmt.Sprintf("%s %s %d %q", row.UserID, row.Direction, row.CreatedAt, string(text[:min(len(text), 50)]))
}

// stored compares a file with what was acknowledged.
func (r *reconciliation) stored(source int) {
	type change struct {
		mid, kind string
		version   int
	}
	there := map[change]bool{}
	for _, row := range r.sides[source].log {
		there[change{row.mid, row.kind, row.version}] = true
		m := r.byMID[row.mid]
		switch {
		case strings.Contains(row.mid, "forged"):
			r.add(forgedStored, "source %d, position %d: %s %q", source, row.seq, row.kind, row.mid)
		case m == nil || m.source != source, row.kind == "unsend" && !m.unsent, row.kind == "edit" && row.version >= len(m.texts):
			r.add(madeUp, "source %d, position %d: %s %q", source, row.seq, row.kind, row.mid)
		}
	}
	want := func(m *message, kind string, version int) {
		if !there[change{m.mid, kind, version}] {
			r.add(notStored, "source %d: %s %d of %s", source, kind, version, m.mid)
		}
	}
	for _, m := range r.talks[source].messages {
		if m.lost {
			continue
		}
		want(m, "message", 0)
		for version := 1; version < len(m.texts); version++ {
			want(m, "edit", version)
		}
		if m.unsent {
			want(m, "unsend", 0)
		}
		if m.erased {
			want(m, "erase", 0)
		}
	}
}

// places follows the ledger from each position to its row: that is the only way
// to a row which says nothing any more.
func (r *reconciliation) places(source int) {
	side := r.sides[source]
	last := int64(0)
	for _, row := range side.log {
		m := r.byMID[row.mid]
		if row.kind != "message" || m == nil {
			continue
		}
		id, known := side.ids[row.seq]
		if !known {
			r.add(ledgerWrong, "source %d: position %d has no place", source, row.seq)
			continue
		}
		if got := r.byID[id]; got.Row != m.row() {
			r.add(ledgerWrong, "source %d: position %d leads to the row %d, which reads %s instead of %s", source, row.seq, id, brief(got.Row), brief(m.row()))
		}
		if side.parked[m.mid] {
			continue // it came when it was retried
		}
		if id <= last {
			r.add(reordered, "source %d: position %d became id %d, behind %d", source, row.seq, id, last)
		}
		last = max(last, id)
	}
}

// order compares the order in the table with that in the log, by content alone.
func (r *reconciliation) order(source int) {
	side := r.sides[source]
	place := map[string]float64{}
	for _, row := range side.log {
		if row.kind == "message" {
			place[row.mid] = float64(row.seq)
		}
	}
	for mid, behind := range side.lostBehind {
		place[mid] = float64(behind) + 0.5
	}
	last, lastMID := 0.0, ""
	for _, row := range r.rows {
		s, ours := r.byNeedle[needle(row.Message)]
		if !ours || s.source != source || side.parked[s.mid] {
			continue
		}
		at, known := place[s.mid]
		if !known {
			continue // said above: not stored
		}
		if at < last {
			r.add(reordered, "source %d: %s stands behind %s", source, s.mid, lastMID)
			continue
		}
		last, lastMID = at, s.mid
	}
}
