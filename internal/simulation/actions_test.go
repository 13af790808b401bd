package simulation_test

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"pgregory.net/rapid"

	"sidestream/internal/testkit/fake"
	"sidestream/mapping"
)

// actions is what can happen in a history. What shall happen more often stands
// under several names.
func (h *history) actions() map[string]func(*rapid.T) {
	all := map[string]func(*rapid.T){
		"messages":      func(*rapid.T) { h.messages(h.file, rapid.IntRange(1, 5).Draw(h.T, "how many")) },
		"many messages": func(*rapid.T) { h.burst() },
		"picky table":   func(*rapid.T) { h.picky() },
		"emptied table": func(*rapid.T) { h.emptied() },
		"edit":          func(*rapid.T) { h.append(h.file, h.change(mapping.KindEdit)) },
		"unsend":        func(*rapid.T) { h.append(h.file, h.change(mapping.KindUnsend)) },
		"erase":         func(*rapid.T) { h.append(h.file, h.change(mapping.KindErase)) },
		"test delivery": func(*rapid.T) { h.testDelivery() },
		"steps":         func(*rapid.T) { h.steps(fault{}) },
		"more steps":    func(*rapid.T) { h.steps(fault{}) },
		"faulty steps":  func(*rapid.T) { h.steps(h.fault()) },
		"faulty again":  func(*rapid.T) { h.steps(h.fault()) },
		"crm away":      func(*rapid.T) { h.away() },
		"file busy":     func(*rapid.T) { h.busy() },
		"restart":       func(*rapid.T) { h.restart(rapid.IntRange(0, 1).Draw(h.T, "loop")) },
		"stranger": func(*rapid.T) {
			h.crm.stranger()
			h.note("a stranger adds a row to the CRM")
			h.count("a stranger's row")
		},
		"back up the CRM":    func(*rapid.T) { h.backUp() },
		"back up the file":   func(*rapid.T) { h.copyFile() },
		"restore the CRM":    func(*rapid.T) { h.restoreCRM() },
		"restore the file":   func(*rapid.T) { h.restoreFile() },
		"the wrong file":     func(*rapid.T) { h.wrongFile() },
		"another file":       func(*rapid.T) { h.anotherFile() },
		"a second host":      func(*rapid.T) { h.secondHost() },
		"operator looks":     func(*rapid.T) { h.resolve() },
		"operator resumes":   func(*rapid.T) { h.resume("of his own accord") },
		"operator sets":      func(*rapid.T) { h.set() },
		"dead letters again": func(*rapid.T) { h.retry() },
		"letter in between":  func(*rapid.T) { h.letterBetween() },
	}
	if h.bubble {
		all["run"] = func(*rapid.T) { h.runs() }
	}
	if _, ok := h.crm.(*server); ok {
		all["a retry beside a transaction"] = func(*rapid.T) { h.retryBeside() }
	}
	return all
}

// messages appends new messages to a file.
func (h *history) messages(file *fake.Source, n int) {
	for range n {
		h.append(file, h.message())
	}
}

func (h *history) message() mapping.Change {
	h.ids++
	n := h.ids
	c := mapping.Change{
		MessageID: fmt.Sprint("m", n), Kind: mapping.KindMessage, AccountID: "1784", SenderID: userOf(n), RecipientID: "1784", Direction: mapping.Inbound,
		Timestamp: epoch.Add(time.Duration(n) * time.Second).UnixMilli(), CommittedAt: epoch.Add(time.Duration(n)*time.Second).UnixMilli() + 100,
	}
	if wayOf(n) == "out" {
		c.Direction, c.SenderID, c.RecipientID = mapping.Outbound, c.RecipientID, c.SenderID
	}
	h.texts[n] = fmt.Sprint("text ", n)
	switch rapid.IntRange(0, 24).Draw(h.T, "content") {
	case 24, 23:
		h.texts[n] = fmt.Sprint(badText, " ", n)
		h.count("a message that the CRM refuses")
	case 22:
		h.texts[n] = fmt.Sprint(oddText, " ", n)
		h.count("a message that the CRM refuses with an unknown error")
	case 21:
		h.unmapped[n] = true
		c.SenderID, c.RecipientID = "", ""
		h.count("a message without a user")
	}
	c.Text = new(h.texts[n])
	return c
}

// change is an edit, unsend or erase of some message: also of one that is not
// there yet, or that the file has lost.
func (h *history) change(kind mapping.Kind) mapping.Change {
	n := rapid.IntRange(1, max(1, h.ids+2)).Draw(h.T, "message")
	c := mapping.Change{
		MessageID: fmt.Sprint("m", n), Kind: kind, AccountID: "1784", SenderID: userOf(n), RecipientID: "1784", Direction: mapping.Inbound,
		Timestamp: epoch.Add(time.Hour).UnixMilli(), CommittedAt: epoch.Add(time.Hour).UnixMilli(),
	}
	if wayOf(n) == "out" {
		c.Direction, c.SenderID, c.RecipientID = mapping.Outbound, c.RecipientID, c.SenderID
	}
	if kind == mapping.KindEdit {
		c.Version = rapid.SampledFrom([]int64{1, 1, 2, 2, 3, 3, 4}).Draw(h.T, "version")
		c.Text = new(h.editText(n, c.Version))
	}
	return c
}

// append stores a change unless the unique key of the log holds it already.
func (h *history) append(file *fake.Source, c mapping.Change) {
	log := file.Log()
	if slices.ContainsFunc(log, func(row mapping.Change) bool {
		return row.MessageID == c.MessageID && row.Kind == c.Kind && row.Version == c.Version
	}) {
		return
	}
	file.Append(c)
	if file == h.file {
		h.note("the writer stores %d: %s %s %d", len(log)+1, c.Kind, c.MessageID, c.Version)
		h.count("change " + string(c.Kind))
	}
}

func (h *history) testDelivery() {
	h.file.Append(mapping.Change{MessageID: "test-" + strconv.Itoa(len(h.file.Log())), AccountID: "1784", Kind: mapping.KindTest, Text: new("test")})
	h.note("the writer stores a test delivery")
	h.count("change test")
}

// fault draws what goes wrong with the next transaction.
func (h *history) fault() fault {
	f := fault{name: rapid.SampledFrom(append(refusals(), answerLost, answerLost, commitLost, commitLost, zombieCommits, zombieCommits, zombieVanishes, unknownError)).Draw(h.T, "fault")}
	if f.name == unknownError {
		// Eight in a row would be evidence that it is the row.
		if h.errors++; h.errors > 6 {
			f.name = "connection_lost"
		}
	}
	if f.name == zombieCommits || f.name == zombieVanishes {
		f.waits = rapid.IntRange(0, 2).Draw(h.T, "lock waits")
	}
	h.count("fault " + f.name)
	return f
}

// steps lets one loop do some steps, the first of them under a fault.
func (h *history) steps(f fault) {
	i := rapid.IntRange(0, 1).Draw(h.T, "loop")
	if f.name != "" {
		h.note("%s: the next transaction meets: %s", h.loops[i].name, f.name)
		h.loops[i].link.strike(f)
	}
	for range rapid.IntRange(1, 4).Draw(h.T, "steps") {
		h.step(i)
	}
}

// runs lets one loop or both run for a while, with messages in between that a
// wake-up announces, or that only the reload of an idle loop finds.
func (h *history) runs() {
	first := rapid.IntRange(0, 1).Draw(h.T, "loop")
	loops := []int{first}
	if rapid.Bool().Draw(h.T, "both") {
		loops = append(loops, 1-first)
		h.count("both run at once")
	}
	var stops []func()
	defer func() {
		for _, stop := range stops {
			stop()
		}
		h.note("what ran has ended in good order")
	}()
	for _, i := range loops {
		// Apart by an odd time, so that no two timers are due at once.
		elapse(time.Duration(rapid.IntRange(1, 997).Draw(h.T, "offset")) * 1_000_003 * time.Nanosecond)
		if rapid.IntRange(0, 3).Draw(h.T, "faulty") == 0 {
			f := h.fault()
			h.note("%s: the next transaction meets: %s", h.loops[i].name, f.name)
			h.loops[i].link.strike(f)
		}
		h.note("%s runs", h.loops[i].name)
		h.count("a loop runs")
		stops = append(stops, h.run(i))
	}
	for range rapid.IntRange(1, 3).Draw(h.T, "times") {
		elapse(rapid.SampledFrom([]time.Duration{time.Millisecond, 200 * time.Millisecond, 3 * time.Second, 12 * time.Second, time.Minute}).Draw(h.T, "time") + 7*time.Nanosecond)
		h.messages(h.file, rapid.IntRange(0, 3).Draw(h.T, "how many"))
		if rapid.Bool().Draw(h.T, "wake-up") {
			for _, i := range loops {
				select {
				case h.loops[i].wakeup <- struct{}{}:
				default:
				}
				elapse(1009 * time.Nanosecond) // apart, so that the history is the seed's
			}
			h.count("a wake-up is sent")
		} else {
			h.count("a wake-up is withheld")
		}
	}
	for _, i := range loops {
		h.observe(h.loops[i])
	}
}

func (h *history) away() {
	i := rapid.IntRange(0, 1).Draw(h.T, "loop")
	reason := rapid.SampledFrom([]string{"crm_unreachable", "connection_lost", "too_many_connections", "crm_read_only"}).Draw(h.T, "reason")
	calls := rapid.IntRange(1, 4).Draw(h.T, "calls")
	h.loops[i].link.fail(calls, reason)
	h.note("%s: the next %d calls to the CRM fail: %s", h.loops[i].name, calls, reason)
	h.count("CRM away: " + reason)
	for range rapid.IntRange(0, 3).Draw(h.T, "steps") {
		h.step(i)
	}
}

func (h *history) busy() {
	i := rapid.IntRange(0, 1).Draw(h.T, "loop")
	reads := rapid.IntRange(1, 3).Draw(h.T, "reads")
	h.loops[i].inlet.fail(reads)
	h.note("%s: the file is busy for %d reads", h.loops[i].name, reads)
	h.count("file busy")
	for range rapid.IntRange(0, 3).Draw(h.T, "steps") {
		h.step(i)
	}
}

func (h *history) burst() {
	if rapid.IntRange(0, 2).Draw(h.T, "really") < 2 {
		return
	}
	h.messages(h.file, rapid.IntRange(18, 40).Draw(h.T, "how many"))
	h.count("a burst of messages")
}

// picky has the table refuse everything for a while: nothing may be parked.
func (h *history) picky() {
	i := rapid.IntRange(0, 1).Draw(h.T, "loop")
	h.note("the CRM's table refuses everything")
	h.crm.taste(nothing)
	defer h.crm.taste(usual)
	for range rapid.IntRange(1, 8).Draw(h.T, "steps") {
		h.step(i)
	}
	h.count("the table refuses everything")
	h.note("the CRM's table takes rows again")
}

func (h *history) restart(i int) {
	h.start(i)
	h.note("%s is killed and started anew", h.loops[i].name)
	h.count("restart")
}

// editAll changes every message once more: the ledger has to find each row.
func (h *history) editAll() {
	h.note("every message is edited once more")
	for n := 1; n <= h.ids; n++ {
		h.append(h.file, mapping.Change{
			MessageID: fmt.Sprint("m", n), Kind: mapping.KindEdit, Version: 9, AccountID: "1784", Text: new(h.editText(n, 9)),
			Timestamp: epoch.Add(time.Hour).UnixMilli(), CommittedAt: epoch.Add(time.Hour).UnixMilli(),
		})
	}
}
