package chaos_test

import (
	"slices"
	"strings"
	"testing"

	"sidestream/internal/simulate"
)

// perfect is a world in which everything is as it should be.
func perfect(t *testing.T) *world {
	t.Helper()
	w := &world{}
	id := int64(0)
	for source := range sources {
		c := newConversation(9, source)
		s := side{ids: map[int64]int64{}, parked: map[string]bool{}, lostBehind: map[string]int64{}}
		take := func(d simulate.Delivery) {
			for _, sent := range d.Sent {
				s.log = append(s.log, logRow{seq: int64(len(s.log) + 1), mid: sent.MessageID, kind: string(sent.Kind), version: sent.Version})
			}
		}
		for range 300 {
			take(c.next())
		}
		user := c.retire(1)
		if user == "" {
			t.Fatal("nobody to erase")
		}
		if d, more := c.last(); more {
			take(d)
		}
		c.erased(user)
		for _, m := range c.messages {
			if m.user == user {
				s.log = append(s.log, logRow{seq: int64(len(s.log) + 1), mid: m.mid, kind: "erase"})
			}
		}
		byMID := map[string]*message{}
		for _, m := range c.messages {
			byMID[m.mid] = m
		}
		for i, row := range s.log {
			if row.kind != "message" {
				continue
			}
			id++
			w.rows = append(w.rows, crmRow{id: id, Row: byMID[row.mid].row()})
			s.ids[s.log[i].seq] = id
		}
		_, lost := c.doomed()
		id++
		w.rows = append(w.rows, crmRow{id: id, Row: lost.row()})
		s.lostBehind[lost.mid] = int64(len(s.log))
		w.talks, w.sides = append(w.talks, c), append(w.sides, s)
	}
	for i := range 4 {
		id++
		row := simulate.Row{UserID: "1", Direction: "in", Message: "stranger " + string(rune('a'+i)), CreatedAt: 1}
		w.strangers = append(w.strangers, stranger{row: row, sure: i < 2})
		if i < 3 {
			w.rows = append(w.rows, crmRow{id: id, Row: row})
		}
	}
	return w
}

// find returns the place of the first row about a message like that.
func (w *world) find(t *testing.T, like func(*message) bool) (int, *message) {
	t.Helper()
	for _, c := range w.talks {
		for _, m := range c.messages {
			if !m.lost && like(m) {
				return slices.IndexFunc(w.rows, func(row crmRow) bool { return row.Row == m.row() }), m
			}
		}
	}
	t.Fatal("there is no such message")
	return 0, nil
}

func TestReconcile(t *testing.T) {
	quiet := func(m *message) bool { return !m.unsent && !m.erased && len(m.texts) == 1 && m.image == "" }
	edited := func(m *message) bool { return !m.unsent && !m.erased && len(m.texts) > 1 && m.image == "" }
	for name, tc := range map[string]struct {
		spoil func(*testing.T, *world)
		want  string
	}{
		"nothing_is_wrong": {func(*testing.T, *world) {}, ""},
		"a_row_is_missing": {func(t *testing.T, w *world) {
			i, _ := w.find(t, quiet)
			w.rows = slices.Delete(w.rows, i, i+1)
		}, missing},
		"a_row_stands_twice": {func(t *testing.T, w *world) {
			i, _ := w.find(t, quiet)
			again := w.rows[i]
			again.id = 1_000_000
			w.rows = append(w.rows, again)
		}, doubled},
		"a_redacted_row_stands_twice": {func(t *testing.T, w *world) {
			i, _ := w.find(t, func(m *message) bool { return m.unsent && !m.erased })
			again := w.rows[i]
			again.id = 1_000_000
			w.rows = append(w.rows, again)
		}, doubled},
		"two_rows_have_changed_places": {func(t *testing.T, w *world) {
			for i := range w.rows {
				if a, ok := w.said(w.rows[i]); ok && quiet(a) {
					if b, ok := w.said(w.rows[i+1]); ok && quiet(b) {
						w.rows[i].Row, w.rows[i+1].Row = w.rows[i+1].Row, w.rows[i].Row
						return
					}
				}
			}
			t.Fatal("no two neighbours")
		}, reordered},
		"two_places_have_changed": {func(t *testing.T, w *world) {
			_, m := w.find(t, quiet)
			ids := w.sides[m.source].ids
			for seq := range ids {
				if other, there := ids[seq+1]; there {
					ids[seq], ids[seq+1] = other, ids[seq]
					return
				}
			}
		}, ledgerWrong},
		"an_edit_did_not_arrive": {func(t *testing.T, w *world) {
			i, m := w.find(t, edited)
			w.rows[i].Message = m.texts[0]
		}, staleEdit},
		"an_unsent_text_is_there": {func(t *testing.T, w *world) {
			i, m := w.find(t, func(m *message) bool { return m.unsent && !m.erased })
			w.rows[i].Message = m.texts[0]
		}, unsentAlive},
		"an_erased_person_is_there": {func(t *testing.T, w *world) {
			i, m := w.find(t, func(m *message) bool { return m.erased && m.unsent })
			w.rows[i].UserID, w.rows[i].Message = m.user, unsent
		}, erasedAlive},
		"a_strangers_row_is_changed": {func(_ *testing.T, w *world) {
			i := slices.IndexFunc(w.rows, func(row crmRow) bool { return row.Row == w.strangers[1].row })
			w.rows[i].CreatedAt++
		}, strangerHurt},
		"a_strangers_row_is_gone": {func(_ *testing.T, w *world) {
			i := slices.IndexFunc(w.rows, func(row crmRow) bool { return row.Row == w.strangers[1].row })
			w.rows = slices.Delete(w.rows, i, i+1)
		}, strangerHurt},
		"a_forged_row": {func(_ *testing.T, w *world) {
			w.rows = append(w.rows, crmRow{id: 1_000_000, Row: simulate.Row{Message: forged + "-1 x"}})
		}, forgedStored},
		"a_forged_message_in_the_file": {func(_ *testing.T, w *world) {
			w.sides[0].log = append(w.sides[0].log, logRow{seq: 1_000_000, mid: "mid.forged.1", kind: "edit"})
		}, forgedStored},
		"a_forged_unsend_in_the_file": {func(t *testing.T, w *world) {
			_, m := w.find(t, quiet)
			w.sides[m.source].log = append(w.sides[m.source].log, logRow{seq: 1_000_000, mid: m.mid, kind: "unsend"})
		}, madeUp},
		"an_edit_is_not_in_the_file": {func(t *testing.T, w *world) {
			_, m := w.find(t, edited)
			s := &w.sides[m.source]
			s.log = slices.DeleteFunc(s.log, func(row logRow) bool { return row.mid == m.mid && row.kind == "edit" })
		}, notStored},
		"a_redelivery_is_stored_under_another_name": {func(t *testing.T, w *world) {
			_, m := w.find(t, quiet)
			w.sides[m.source].log = append(w.sides[m.source].log, logRow{seq: 1_000_000, mid: m.mid + " ", kind: "message"})
		}, madeUp},
	} {
		t.Run(name, func(t *testing.T) {
			w := perfect(t)
			tc.spoil(t, w)
			var f findings
			reconcile(*w, &f)
			if tc.want == "" && len(f.n) > 0 {
				t.Errorf("found %v:\n%v", f.n, f.lines)
			}
			if tc.want != "" && f.n[tc.want] == 0 {
				t.Errorf("found %v, want %s", f.n, tc.want)
			}
		})
	}
}

// said returns the message that a row is about.
func (w *world) said(row crmRow) (*message, bool) {
	for _, c := range w.talks {
		for _, m := range c.messages {
			if m.row() == row.Row {
				return m, true
			}
		}
	}
	return nil, false
}

func TestFindings(t *testing.T) {
	var f findings
	for i := range 7 {
		f.add(doubled, "row %d", i)
	}
	f.add(missing, "another")
	if len(f.lines) != 6 || f.lines[5] != "missing: another" {
		t.Errorf("lines: %q", f.lines)
	}
	if sums := f.sums(); !strings.Contains(sums, "missing 1, doubled 7, reordered 0,") {
		t.Errorf("sums: %s", sums)
	}
	for what := range f.n {
		if !slices.Contains(differences(), what) {
			t.Errorf("the sums leave %s out", what)
		}
	}
}
