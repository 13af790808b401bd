package simulation_test

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"pgregory.net/rapid"

	"sidestream/internal/testkit/fake"
	"sidestream/mapping"
	"sidestream/replicator"
)

// backup is a copy of the CRM's database.
type backup struct {
	dump any
	// orphans are the rows that were nobody's at that time.
	orphans map[int64]int
	// generation is the cursor's; era counts what makes its row worthless alone.
	generation, era int
}

func (h *history) backUp() {
	h.dumps = append(h.dumps, backup{dump: h.crm.dump(), orphans: maps.Clone(h.orphans), generation: h.crm.cursor().Generation, era: h.era})
	h.note("the CRM is backed up")
}

// restoreCRM puts back the CRM's database or a part of it.
func (h *history) restoreCRM() {
	what := rapid.SampledFrom([]string{"all", "all", "table", "cursor", "truncate", "no state"}).Draw(h.T, "what")
	if !h.crm.cursor().Known {
		return
	}
	var b backup
	if what != "truncate" {
		if len(h.dumps) == 0 {
			return
		}
		k := rapid.IntRange(0, len(h.dumps)-1).Draw(h.T, "dump")
		b = h.dumps[k]
		if what == "cursor" && (b.generation != h.crm.cursor().Generation || b.era != h.era) {
			return // the ledger tells nothing of another generation, or of a decision
		}
		// What was backed up later is of a time that is undone.
		h.dumps = h.dumps[:k+1]
	}
	// The server's restart ends what is open, or it has ended before.
	if rapid.Bool().Draw(h.T, "zombie ends first") {
		h.lock()
	}
	h.abandon(nil)
	h.count("restore of the CRM: " + what)
	h.note("the CRM is restored: %s", what)
	switch what {
	case "all":
		h.crm.restore(b.dump)
		h.era++
		h.orphans = maps.Clone(b.orphans)
	case "table":
		h.crm.restoreTable(b.dump)
	case "cursor":
		h.crm.restoreCursor(b.dump)
	case "truncate":
		h.crm.truncate()
	case "no state":
		h.crm.restoreTable(b.dump)
		h.crm.dropState()
	}
	h.restored()
	for _, l := range h.loops {
		l.link.undone()
	}
	switch what {
	case "table", "truncate":
		h.dumps = nil
		h.afterLoss()
	case "no state":
		h.dumps = nil
		if rapid.Bool().Draw(h.T, "decided at once") {
			h.init()
		}
	}
}

// emptied empties the table under a loop that works: the next message has to
// give it away.
func (h *history) emptied() {
	if rapid.IntRange(0, 3).Draw(h.T, "really") < 3 {
		return
	}
	h.lock()
	h.reunite()
	h.resolve()
	h.calm(0)
	h.messages(h.file, 1)
	for range 12 {
		h.step(0)
	}
	now, end, ok := h.look()
	if s := h.loops[0].State(); !ok || !now.Known || end.Position == 0 || s.Phase != replicator.Idle || now.Position < int64(len(h.file.Log())) {
		return
	}
	next := fmt.Sprint("m", h.ids+1)
	if slices.ContainsFunc(h.file.Log(), func(c mapping.Change) bool { return c.MessageID == next }) {
		return // an edit of the next message is there already, and may be refused
	}
	h.crm.truncate()
	h.restored()
	h.dumps = nil
	h.note("the CRM's table is emptied")
	h.ids++
	c := h.change(mapping.KindMessage)
	c.MessageID, c.SenderID, c.RecipientID, c.Direction = fmt.Sprint("m", h.ids), userOf(h.ids), "1784", mapping.Inbound
	if wayOf(h.ids) == "out" {
		c.Direction, c.SenderID, c.RecipientID = mapping.Outbound, c.RecipientID, c.SenderID
	}
	c.Timestamp = epoch.Add(time.Duration(h.ids) * time.Second).UnixMilli()
	h.texts[h.ids] = fmt.Sprint("text ", h.ids)
	c.Text = new(h.texts[h.ids])
	h.append(h.file, c)
	h.step(0)
	if s := h.loops[0].State(); s.Failure == nil || s.Failure.Reason != "target_rewound" {
		h.fail("the table was emptied, and loop 0 went on: %v", s.Failure)
	}
	h.count("an emptied table is noticed")
	h.afterLoss()
}

// afterLoss is the operator behind an older or empty copy of the table alone,
// beside newer state: what a retry had delivered since, and what lies before the
// beginning, is not sent again.
func (h *history) afterLoss() {
	h.forgetBehind(h.crm.cursor().StartPosition)
	for message := range h.anywhere {
		h.absent[message], h.frozen[message] = true, true
	}
	h.resume("after restoring the table")
}

// forgetBehind notes that what is up to a position is nobody's business.
func (h *history) forgetBehind(position int64) {
	for _, c := range h.file.Log() {
		if c.Position <= position {
			h.absent[numberOf(c.MessageID)], h.frozen[numberOf(c.MessageID)] = true, true
		}
	}
}

func (h *history) copyFile() {
	h.copies = append(h.copies, h.file.Copy())
	h.note("the file is backed up at %d", len(h.file.Log()))
}

// restoreFile puts an older copy in the file's place.
func (h *history) restoreFile() {
	if len(h.copies) == 0 {
		return
	}
	old := h.file.Log()
	k := rapid.IntRange(0, len(h.copies)-1).Draw(h.T, "copy")
	if int64(len(h.copies[k].Log())) < h.begun {
		// Of rows below the beginning nobody knows whether they are old.
		return
	}
	h.reunite()
	h.file.Become(h.copies[k])
	// A copy of a history that is given up would bring its rows back.
	h.copies = nil
	h.lose(old, h.file.Log())
	h.note("the file is replaced by an older copy that ends at %d", len(h.file.Log()))
	h.count("file restored from an older copy")
	if rapid.Bool().Draw(h.T, "written again") {
		h.messages(h.file, rapid.IntRange(1, 6).Draw(h.T, "how many"))
	}
}

// wrongFile puts another database in the file's place, by mistake and for a
// short time. Nothing of it may reach the CRM.
func (h *history) wrongFile() {
	if !h.crm.cursor().Known {
		return
	}
	right := h.file.Copy()
	wrong := fake.NewSource("another source")
	for n := range rapid.IntRange(0, 6).Draw(h.T, "rows") {
		wrong.Append(mapping.Change{
			MessageID: fmt.Sprint("wrong-", n), AccountID: "1784", Kind: mapping.KindMessage, SenderID: "900", RecipientID: "1784",
			Direction: mapping.Inbound, Text: new("of the wrong file"), Timestamp: epoch.UnixMilli(),
		})
	}
	h.file.Become(wrong)
	h.note("another database lies in the file's place")
	h.count("wrong file for a while")
	for range rapid.IntRange(1, 4).Draw(h.T, "steps") {
		h.step(rapid.IntRange(0, 1).Draw(h.T, "loop"))
	}
	h.file.Become(right)
	h.note("the right file is back")
}

// anotherFile puts another database in the file's place, on purpose.
func (h *history) anotherFile() {
	if rapid.IntRange(0, 4).Draw(h.T, "really") < 4 {
		return
	}
	old := h.file.Log()
	h.reunite()
	h.file.Become(fake.NewSource("source " + h.token()))
	h.copies, h.begun = nil, 0
	h.lose(old, nil)
	h.note("the file is replaced by a new database")
	h.count("file replaced by a new database")
	h.messages(h.file, rapid.IntRange(0, 4).Draw(h.T, "how many"))
}

// secondHost lets loop 1 go on with a copy of the file that gets messages of
// its own.
func (h *history) secondHost() {
	if rapid.IntRange(0, 3).Draw(h.T, "really") < 3 {
		return
	}
	other := h.file.Copy()
	before := h.ids
	h.messages(other, rapid.IntRange(1, 4).Draw(h.T, "how many"))
	h.loops[1].inlet = &inlet{Source: other}
	h.startOn(1, other)
	for message := before + 1; message <= h.ids; message++ {
		h.allow(message, h.states(other.Log(), message))
	}
	h.note("loop 1 goes on with a copy of the file, on another host, that gets m%d to m%d", before+1, h.ids)
	h.count("two hosts with copies of one file")
}

// reunite ends the second host.
func (h *history) reunite() {
	if h.loops[1].inlet.Source != h.file {
		h.start(1)
		h.note("loop 1 reads the one file again")
	}
}

// newestHeld is the newest position of the file whose message the CRM holds.
func (h *history) newestHeld() int64 {
	held := map[int]bool{}
	for _, r := range h.crm.rows() {
		held[midOf(r)] = true
	}
	for _, c := range slices.Backward(h.file.Log()) {
		if c.Kind == mapping.KindMessage && held[numberOf(c.MessageID)] {
			return c.Position
		}
	}
	return 0
}
