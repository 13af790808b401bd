package simulation_test

import (
	"fmt"
	"slices"
	"time"

	"pgregory.net/rapid"

	"sidestream/internal/testkit"
	"sidestream/internal/testkit/fake"
	"sidestream/mapping"
	"sidestream/replicator"
)

// resolve is the operator who looks at both loops and does what the reason's
// hint says.
func (h *history) resolve() {
	for _, l := range h.loops {
		s := l.State()
		if s.Failure == nil || s.Failure.Class != replicator.Blocked {
			continue
		}
		switch reason := s.Failure.Reason; reason {
		case "source_rewound", "source_diverged", "source_replaced":
			h.resume("because of " + reason)
		case "target_cursor_behind", "target_rewound", "target_ahead", "ledger_ahead":
			h.resume("because of " + reason)
		case "target_cursor_lost", "cursor_undecided":
			h.init()
		case "target_refuses_all":
			// It was the table, and it takes rows again.
		default:
			h.fail("%s is blocked, and nobody knows why: %s", l.name, s.Failure)
		}
	}
}

// look reads the cursor as the operator's commands do. Whoever decides for one
// of two copies of a file stops the other host first.
func (h *history) look() (now replicator.Cursor, tail replicator.Tail, ok bool) {
	h.reunite()
	now, err := h.operator.Load(h.Context())
	if err == nil {
		tail, err = h.operator.Tail(h.Context())
	}
	if err != nil {
		h.note("the operator sees nothing: %s", outcome(err))
	}
	return now, tail, err == nil
}

// decide stores what the operator has decided about the cursor as he saw it.
func (h *history) decide(action string, now, next replicator.Cursor, r replicator.Resumption) bool {
	next.Known = true
	h.decisions++
	next.Decision = replicator.DecisionToken(action, now, time.Unix(0, h.decisions), len(r.Taken))
	next.Attempt = next.Decision
	err := h.operator.Decide(h.Context(), now, next, r.Taken, r.Letters)
	h.note("the operator's cursor %s: position %d to %d, generation %d to %d: %s", action, now.Position, next.Position, now.Generation, next.Generation, outcome(err))
	if err != nil {
		h.count("decision missed the cursor")
		return false
	}
	h.count("decision " + action)
	for _, row := range r.Taken {
		// What was nobody's any more is its message's row again.
		delete(h.orphans, row.ID)
		delete(h.kept, row.ID)
		h.count("row taken over")
	}
	if action != "resume" {
		h.era++
	}
	if next.Generation != now.Generation && now.Known {
		h.count("a new generation")
	}
	return true
}

// resume runs the real logic of `replicator cursor resume`, perhaps while the
// loops go on.
func (h *history) resume(why string) {
	now, tail, ok := h.look()
	if !ok || !now.Known {
		return
	}
	h.note("the operator resumes %s", why)
	found, err := replicator.Resume(h.Context(), h.file, h.operator, h.mapper, now, tail)
	if err != nil {
		h.note("cursor resume fails: %s", outcome(err))
		return
	}
	if why != "after restoring the table" && rapid.IntRange(0, 3).Draw(h.T, "meanwhile") == 0 {
		h.step(rapid.IntRange(0, 1).Draw(h.T, "loop"))
	}
	h.decide("resume", now, found.Next, found)
}

// init is the operator who looks up the newest message that the CRM still
// holds, and begins behind it.
func (h *history) init() {
	now, _, ok := h.look()
	if !ok || now.Known {
		return
	}
	at := h.newestHeld()
	anchors, id, err := h.file.Anchors(h.Context(), at)
	if err != nil {
		h.fail("%v", err)
	}
	if h.decide("init", now, replicator.Cursor{Generation: 1, StartPosition: at, Position: at, Anchors: anchors, SourceID: id}, replicator.Resumption{}) {
		h.begun = max(h.begun, at)
		h.forgetBehind(at)
	}
}

// set is the operator who skips changes, or has them sent again.
func (h *history) set() {
	now, tail, ok := h.look()
	log := h.file.Log()
	if !ok || !now.Known || rapid.IntRange(0, 2).Draw(h.T, "really") < 2 {
		return
	}
	if _, err := h.file.Read(h.Context(), now, 0); err != nil {
		return // about another file there is another decision
	}
	at := rapid.Int64Range(0, int64(len(log))).Draw(h.T, "at")
	anchors, id, err := h.file.Anchors(h.Context(), at)
	if err != nil {
		h.fail("%v", err)
	}
	next := replicator.Cursor{Generation: now.Generation, StartPosition: min(now.StartPosition, at), Position: at, Anchors: anchors, SourceID: id, AppliedTotal: now.AppliedTotal}
	if !h.decide("set", now, next, replicator.Resumption{}) {
		return
	}
	again := map[int]bool{}
	for _, c := range log {
		switch message := numberOf(c.MessageID); {
		case c.Position > now.Position && c.Position <= at:
			h.frozen[message] = true
			h.absent[message] = h.absent[message] || c.Kind == mapping.KindMessage
		case c.Position > at && c.Position <= max(now.Position, tail.Position) && c.Kind == mapping.KindMessage:
			again[message] = true
		}
	}
	for _, r := range h.crm.rows() {
		if message := midOf(r); again[message] {
			h.orphans[r.id] = message
		}
	}
}

// retry tries a dead letter again, perhaps one of an older look at the list,
// perhaps after the CRM's table was changed so that it fits.
func (h *history) retry() {
	if len(h.listed) == 0 || rapid.Bool().Draw(h.T, "look again") {
		h.listed = h.crm.letters()
	}
	if len(h.listed) == 0 {
		return
	}
	letter := rapid.SampledFrom(h.listed).Draw(h.T, "letter")
	h.retryOne(letter, rapid.Bool().Draw(h.T, "the table takes it now"))
}

func (h *history) retryOne(letter fake.Letter, wider bool) {
	if wider {
		h.crm.taste(anything)
		defer h.crm.taste(usual)
	}
	done, err := h.operator.Retry(h.Context(), letter, func(cursor replicator.Cursor) (replicator.Item, error) {
		change, history, err := h.file.Message(h.Context(), cursor, letter.Position)
		if err != nil {
			return replicator.Item{}, err
		}
		return replicator.Plan(h.mapper, cursor, change, history, nil), nil
	})
	if err != nil {
		done += " " + outcome(err)
	}
	h.note("the operator tries the dead letter at %d of generation %d again: %s", letter.Position, letter.Generation, done)
	h.count("dead letter retried: " + firstWord(done))
	h.anywhere[numberOf(letter.MessageID)] = true
}

// letterBetween has a message refused for an edit that was read together with
// it, and its letter delivered before the cursor comes to the edit.
func (h *history) letterBetween() {
	if rapid.IntRange(0, 2).Draw(h.T, "really") < 2 {
		return
	}
	i := rapid.IntRange(0, 1).Draw(h.T, "loop")
	h.messages(h.file, rapid.IntRange(1, 3).Draw(h.T, "how many"))
	edit := h.change(mapping.KindEdit)
	edit.MessageID, edit.Version, edit.Text = fmt.Sprint("m", h.ids), 4, new(h.editText(h.ids, 4))
	h.messages(h.file, rapid.IntRange(0, 2).Draw(h.T, "how many"))
	h.append(h.file, edit)
	for range 12 {
		h.step(i)
		h.listed = slices.DeleteFunc(h.crm.letters(), func(l fake.Letter) bool { return l.MessageID != edit.MessageID })
		if len(h.listed) > 0 {
			h.retryOne(h.listed[0], true)
			return
		}
	}
}

// retryBeside tries a dead letter again while a loop's transaction, with an edit
// of the same message, waits for the cursor's row that the retry holds.
func (h *history) retryBeside() {
	s, onServer := h.crm.(*server)
	i := rapid.IntRange(0, 1).Draw(h.T, "loop")
	if !onServer {
		return
	}
	h.reunite()
	h.calm(i)
	c := h.message()
	h.texts[h.ids], h.unmapped[h.ids] = fmt.Sprint(badText, " ", h.ids), false
	c.Text, c.SenderID = new(h.texts[h.ids]), userOf(h.ids)
	c.RecipientID, c.Direction = "1784", mapping.Inbound
	if wayOf(h.ids) == "out" {
		c.Direction, c.SenderID, c.RecipientID = mapping.Outbound, c.RecipientID, c.SenderID
	}
	h.append(h.file, c)
	for range 12 {
		h.step(i) // until it is parked
	}
	letters := h.crm.letters()
	if len(letters) == 0 || letters[len(letters)-1].MessageID != c.MessageID {
		return
	}
	letter := letters[len(letters)-1]
	c.Kind, c.Version = mapping.KindEdit, rapid.Int64Range(1, 3).Draw(h.T, "version")
	c.Text = new(h.editText(h.ids, c.Version))
	h.append(h.file, c)
	h.crm.taste(anything)
	defer h.crm.taste(usual)
	done := make(chan struct{})
	var began bool
	outcome, err := h.operator.Retry(h.Context(), letter, func(cursor replicator.Cursor) (replicator.Item, error) {
		change, history, err := h.file.Message(h.Context(), cursor, letter.Position)
		if err != nil {
			return replicator.Item{}, err
		}
		began = true
		go func() {
			defer close(done)
			h.step(i)
		}()
		testkit.Eventually(s.tb, 5*time.Second, func() bool {
			select {
			case <-done:
				return true
			default:
				return s.waiting()
			}
		}, "the loop's transaction waits or is over")
		return replicator.Plan(h.mapper, cursor, change, history, nil), nil
	})
	if began {
		<-done
		h.count("dead letter retried beside a transaction")
	}
	h.note("the operator tries the dead letter at %d again, beside %s: %s %v", letter.Position, h.loops[i].name, outcome, err)
	h.anywhere[numberOf(letter.MessageID)] = true
}

func firstWord(s string) string {
	if i := slices.Index([]byte(s), ' '); i > 0 {
		return s[:i]
	}
	if s == "" || s[0] == ' ' {
		return "failed"
	}
	return s
}

// startOn starts a loop on a file.
func (h *history) startOn(i int, file *fake.Source) {
	h.start(i)
	h.loops[i].inlet.Source = file
}
