package simulation_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"sidestream/internal/testkit/fake"
	"sidestream/mapping"
)

// oracle knows what the CRM must hold, by a rule of its own: what the log says
// now, plus what restores and the operator's decisions allow beside it.
type oracle struct {
	// ids counts messages; a message's number is the second of its time, so
	// that a row of the CRM tells whose it is.
	ids int
	// texts holds the first text of each message, which the log may blank.
	texts map[int]string
	// unmapped are the messages without a user.
	unmapped map[int]bool
	// also holds the texts that are allowed beside the one that the log implies:
	// another copy of the file knew other edits.
	also map[int]map[string]bool
	// frozen messages may be at any state of theirs: an edit could not find them
	// or was skipped by a decision.
	frozen map[int]bool
	// absent messages may be missing: a decision or a restore allows it.
	absent map[int]bool
	// twice holds messages whose edit the file has forgotten: where no anchor
	// proves the position, the row with the edited text is not recognized.
	twice map[int]bool
	// anywhere holds messages whose place in the order is free.
	anywhere map[int]bool
	// orphans are rows that a decision to send again left behind, kept those of
	// messages that the file has lost; by id, with the message.
	orphans, kept map[int64]int
}

func newOracle() oracle {
	return oracle{
		texts: map[int]string{}, unmapped: map[int]bool{}, also: map[int]map[string]bool{}, frozen: map[int]bool{}, absent: map[int]bool{}, twice: map[int]bool{},
		anywhere: map[int]bool{}, orphans: map[int64]int{}, kept: map[int64]int{},
	}
}

func midOf(r row) int { return int(r.createdAt.Sub(epoch) / time.Second) }

func numberOf(messageID string) int {
	n, _ := strconv.Atoi(strings.TrimPrefix(messageID, "m"))
	return n
}

func (o *oracle) editText(message int, version int64) string {
	prefix := "text"
	if version == 4 {
		prefix = badText
	}
	return fmt.Sprintf("%s %d, version %d", prefix, message, version)
}

// implied is what a log says of a message: its text, and whether there is one.
func (o *oracle) implied(log []mapping.Change, message int) (string, bool) {
	text, version, there, unsent, erased := o.texts[message], int64(0), false, false, false
	for _, c := range log {
		if numberOf(c.MessageID) != message {
			continue
		}
		switch c.Kind {
		case mapping.KindMessage:
			there = true
		case mapping.KindEdit:
			if c.Version > version {
				text, version = o.editText(message, c.Version), c.Version
			}
		case mapping.KindUnsend:
			unsent = true
		case mapping.KindErase:
			erased = true
		case mapping.KindTest:
		}
	}
	switch {
	case erased:
		text = mapping.ErasedText
	case unsent:
		text = mapping.DefaultUnsendText
	}
	return text, there
}

// unreadable is a message whose text the log has blanked and whose unsend the
// replicator has not come to yet.
const unreadable = "[unsupported message]"

// states are the texts that a message had at any moment of a log.
func (o *oracle) states(log []mapping.Change, message int) map[string]bool {
	all := map[string]bool{}
	for i, c := range log {
		if numberOf(c.MessageID) != message {
			continue
		}
		if text, there := o.implied(log[:i+1], message); there {
			all[text] = true
		}
		if c.Kind == mapping.KindUnsend {
			all[unreadable] = true
		}
	}
	return all
}

func (o *oracle) allow(message int, texts map[string]bool) {
	if o.also[message] == nil {
		o.also[message] = map[string]bool{}
	}
	maps.Copy(o.also[message], texts)
}

// parkable tells the messages that may be dead letters.
func (o *oracle) parkable(log []mapping.Change, message int) bool {
	if o.unmapped[message] {
		return true
	}
	refused := func(text string) bool { return begins(text, badText) || begins(text, oddText) }
	if refused(o.texts[message]) {
		return true
	}
	texts := o.states(log, message)
	maps.Copy(texts, o.also[message])
	for text := range texts {
		if refused(text) {
			return true
		}
	}
	return false
}

// lose notes that the file has forgotten what old holds beyond now: the CRM
// keeps what it has of it, and nobody knows whether more was on its way.
func (h *history) lose(old, now []mapping.Change) {
	h.era++
	key := func(c mapping.Change) string { return fmt.Sprint(c.MessageID, c.Kind, c.Version) }
	left := map[string]bool{}
	for _, c := range now {
		left[key(c)] = true
	}
	for _, c := range old {
		if left[key(c)] || c.Kind == mapping.KindTest {
			continue
		}
		message := numberOf(c.MessageID)
		h.allow(message, h.states(old, message))
		h.twice[message] = h.twice[message] || c.Kind == mapping.KindEdit
		if c.Kind != mapping.KindMessage {
			continue
		}
		for _, r := range h.crm.rows() {
			if _, orphan := h.orphans[r.id]; midOf(r) == message && !orphan {
				h.kept[r.id] = message
			}
		}
	}
}

// restored notes that rows of the CRM went away: what is not there any more can
// not be kept.
func (h *history) restored() {
	there := map[int64]int{}
	for _, r := range h.crm.rows() {
		there[r.id] = midOf(r)
	}
	for _, rows := range []map[int64]int{h.orphans, h.kept} {
		maps.DeleteFunc(rows, func(id int64, message int) bool { return there[id] != message || message == 0 })
	}
}

// check compares the CRM with what the log implies.
func (h *history) check() {
	h.Helper()
	for _, l := range h.loops {
		h.audit(l)
	}
	if len(h.violations) > 0 {
		h.fail("%s", h.violations[0])
	}
	log := h.file.Log()
	generation := h.crm.cursor().Generation
	dead, deadNow := map[int]bool{}, map[int]bool{}
	for _, l := range h.crm.letters() {
		dead[numberOf(l.MessageID)] = true
		if l.Generation == generation && isMessage(log, l) {
			deadNow[numberOf(l.MessageID)] = true
		}
	}
	found := map[int][]row{}
	extra := map[int64]bool{}
	for _, r := range h.crm.rows() {
		switch message := midOf(r); {
		case r.createdAt.Equal(strangers):
			if r.message != "not ours" {
				h.fail("a stranger's row %d was touched: %q", r.id, r.message)
			}
		case message < 1 || message > h.ids:
			h.fail("row %d is nobody's: %+v", r.id, r)
		case h.orphans[r.id] == message:
			extra[r.id] = true
		default:
			extra[r.id] = h.kept[r.id] == message
			found[message] = append(found[message], r)
		}
	}
	for _, rows := range []map[int64]int{h.orphans, h.kept} {
		for id, message := range rows {
			if !extra[id] {
				h.fail("row %d of m%d, which nobody may touch, is gone", id, message)
			}
		}
	}
	for message, rows := range found {
		most := 1
		if h.twice[message] {
			most = 2
		}
		if len(rows) > most {
			h.fail("m%d stands %d times in the CRM", message, len(rows))
		}
	}
	var last row
	for _, c := range log {
		if c.Kind != mapping.KindMessage {
			continue
		}
		message := numberOf(c.MessageID)
		rows := found[message]
		switch {
		case len(rows) == 0 && dead[message]:
			if !h.parkable(log, message) && !h.absent[message] {
				h.fail("m%d is a dead letter, and nothing is wrong with it", message)
			}
			continue
		case len(rows) == 0:
			if !h.absent[message] {
				h.fail("m%d, position %d, is not in the CRM and no dead letter", message, c.Position)
			}
			continue
		case deadNow[message] && !h.anywhere[message]:
			h.fail("m%d is in the CRM and a dead letter", message)
		}
		newest := rows[len(rows)-1]
		h.checkRow(newest, log, message, dead[message])
		if h.anywhere[message] || h.frozen[message] {
			continue
		}
		if newest.id < last.id {
			h.fail("m%d stands before m%d, which came first", message, midOf(last))
		}
		last = newest
	}
	for message, rows := range found {
		if _, there := h.implied(log, message); !there {
			h.checkRow(rows[0], log, message, true)
		}
	}
}

func isMessage(log []mapping.Change, l fake.Letter) bool {
	return slices.ContainsFunc(log, func(c mapping.Change) bool {
		return c.Position == l.Position && c.MessageID == l.MessageID && c.Kind == mapping.KindMessage
	})
}

// checkRow compares one row's fields. An open letter about its message is a
// change that did not arrive.
func (h *history) checkRow(r row, log []mapping.Change, message int, dead bool) {
	h.Helper()
	text, there := h.implied(log, message)
	allowed := map[string]bool{}
	if there {
		allowed[text] = true
	}
	maps.Copy(allowed, h.also[message])
	if dead || h.frozen[message] {
		maps.Copy(allowed, h.states(log, message))
	}
	if !allowed[r.message] {
		h.fail("m%d says %q in the CRM, want %q", message, r.message, slices.Sorted(maps.Keys(allowed)))
	}
	user := userOf(message)
	if r.message == mapping.ErasedText {
		if r.userID != mapping.ErasedText || r.username != mapping.ErasedText {
			h.fail("m%d is erased, but not its user: %+v", message, r)
		}
		return
	}
	if r.userID != user || (r.username != user && r.username != nameOf(user)) || r.direction != wayOf(message) {
		h.fail("m%d has another user or direction: %+v", message, r)
	}
}

func userOf(message int) string { return strconv.Itoa(900 + message%3) }

func wayOf(message int) string {
	if message%5 == 0 {
		return "out"
	}
	return "in"
}
