package replicator_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sidestream/internal/testkit/fake"
	"sidestream/mapping"
	"sidestream/replicator"
)

// history is one simulated life of a source, a CRM and two replicators between
// them. Everything that happens is drawn, so a seed is a history, and one that
// fails shrinks to the shortest that still does.
type history struct {
	*rapid.T
	source  *fake.Source
	server  *fake.Server
	loops   [2]*replicator.Replicator
	next    [2]fake.Fault
	dump    *fake.Dump
	ids     int
	tokens  int
	unknown int
	events  map[string]int
}

const bad = "bad text "

func (h *history) start(i int) {
	target := h.server.Target("main")
	target.Fault = func() fake.Fault {
		f := h.next[i]
		h.next[i] = fake.None
		return f
	}
	limit := rapid.IntRange(1, 9).Draw(h.T, "batch rows")
	h.loops[i] = newReplicator(h, h.source, target, func(o *replicator.Options) {
		o.BatchRows = limit
		o.Token = func() string { h.tokens++; return fmt.Sprint("token-", h.tokens) }
	})
}

func (h *history) mid() string {
	return fmt.Sprint("m", rapid.IntRange(1, max(1, h.ids+2)).Draw(h.T, "message"))
}

func (h *history) count(what string) { h.events[what]++ }

// actions is what can happen in a history.
func (h *history) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"message": func(*rapid.T) {
			h.ids++
			c := say(fmt.Sprint("m", h.ids), fmt.Sprint("text ", h.ids))
			switch rapid.IntRange(0, 11).Draw(h.T, "content") {
			case 0:
				c.Text = new(bad + strconv.Itoa(h.ids))
				h.count("refused by the CRM")
			case 1:
				c.SenderID = ""
				h.count("mapped to nothing")
			}
			h.append(c)
		},
		"edit":   func(*rapid.T) { h.append(edit(h.mid(), int64(rapid.IntRange(1, 3).Draw(h.T, "version")), "")) },
		"unsend": func(*rapid.T) { h.append(unsend(h.mid())) },
		"erase": func(*rapid.T) {
			c := unsend(h.mid())
			c.Kind = mapping.KindErase
			h.append(c)
		},
		"test delivery": func(*rapid.T) {
			c := say("random_mid", "random_text")
			c.Kind = mapping.KindTest
			h.source.Append(c)
		},
		"step": func(*rapid.T) { h.step(rapid.IntRange(0, 1).Draw(h.T, "loop")) },
		"faulty step": func(*rapid.T) {
			i := rapid.IntRange(0, 1).Draw(h.T, "loop")
			h.next[i] = rapid.SampledFrom([]fake.Fault{fake.Lost, fake.AnswerLost, fake.CommitLost, fake.Zombie, fake.Unknown}).Draw(h.T, "fault")
			if h.next[i] == fake.Unknown {
				// Eight in a row are evidence that it is the row.
				if h.unknown++; h.unknown > 6 {
					h.next[i] = fake.Lost
				}
			}
			h.count("fault " + h.next[i].String())
			h.step(i)
		},
		"restart": func(*rapid.T) {
			h.start(rapid.IntRange(0, 1).Draw(h.T, "loop"))
			h.count("restart")
		},
		"dump": func(*rapid.T) { h.dump = h.server.Dump() },
		"restore": func(*rapid.T) {
			if h.dump == nil {
				return
			}
			h.server.Restore(h.dump)
			h.resume()
			h.count("restore")
		},
	}
}

// append stores a change unless the unique key of the log holds it already.
func (h *history) append(c mapping.Change) {
	if c.Kind == mapping.KindEdit {
		c.Text = new(fmt.Sprintf("%s, version %d", c.MessageID, c.Version))
	}
	for _, row := range h.source.Log() {
		if row.MessageID == c.MessageID && row.Kind == c.Kind && row.Version == c.Version {
			return
		}
	}
	h.source.Append(c)
	h.count(string(c.Kind))
}

func (h *history) step(i int) {
	if _, err := h.loops[i].Step(h.Context()); err != nil {
		f := replicator.AsFailure(err)
		h.count(f.Reason)
		if f.Class == replicator.Blocked {
			h.Fatalf("blocked: %v", f)
		}
	}
}

// resume is the operator who says that the restored CRM is the truth.
func (h *history) resume() {
	c := h.server.Cursor("main")
	if !c.Known {
		for i := range h.loops {
			h.start(i)
		}
		return
	}
	h.tokens++
	c.Decision = strconv.Itoa(h.tokens)
	h.server.SetCursor("main", c)
}

// settle lets a loop finish without faults: the one that is there, and then
// one that was just started, because an idle loop looks only now and then
// whether somebody has moved its cursor.
func (h *history) settle() {
	h.next = [2]fake.Fault{}
	h.drain()
	h.start(0)
	h.drain()
}

func (h *history) drain() {
	for range 2000 {
		progress, err := h.loops[0].Step(h.Context())
		if err == nil && !progress {
			return
		}
		if err != nil && replicator.AsFailure(err).Class == replicator.Blocked {
			h.Fatalf("blocked: %v", err)
		}
	}
	h.Fatalf("not drained after 2000 steps")
}

// implied is what the log says that the CRM must hold, in order, by a rule of
// its own.
func (h *history) implied() []string {
	var rows []string
	log := h.source.Log()
	for _, m := range log {
		if m.Kind != mapping.KindMessage {
			continue
		}
		text, version, unsent, erased := *m.Text, int64(0), false, false
		for _, c := range log {
			if c.MessageID != m.MessageID {
				continue
			}
			switch {
			case c.Kind == mapping.KindEdit && c.Version > version:
				text, version = *c.Text, c.Version
			case c.Kind == mapping.KindUnsend:
				unsent = true
			case c.Kind == mapping.KindErase:
				erased = true
			}
		}
		switch {
		case erased:
			text = mapping.ErasedText
		case unsent:
			text = mapping.DefaultUnsendText
		}
		if parkable(m) {
			text = "? " + m.MessageID
		}
		rows = append(rows, text)
	}
	return rows
}

// parkable tells the messages that may be dead letters: whether one is depends
// on whether its edit, unsend or erase was read together with it.
func parkable(m mapping.Change) bool {
	return m.SenderID == "" || strings.HasPrefix(*m.Text, bad)
}

// check compares the CRM with what the log implies, dead letters aside.
func (h *history) check() {
	var want []string
	for _, row := range h.implied() {
		if !strings.HasPrefix(row, "? ") {
			want = append(want, row)
		}
	}
	var got []string
	dead := h.server.DeadLetters("main")
	places := h.server.Places("main")
	for _, m := range h.source.Log() {
		if m.Kind != mapping.KindMessage {
			continue
		}
		row, ok := places[m.Position]
		switch {
		case ok && slices.Contains(dead, m.Position):
			h.Fatalf("position %d is a row and a dead letter", m.Position)
		case !ok && !slices.Contains(dead, m.Position):
			h.Fatalf("position %d is neither a row nor a dead letter", m.Position)
		case ok && !parkable(m):
			got = append(got, row.Message)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		h.Fatalf("the CRM differs from the log (-want +got):\n%s", diff)
	}
	if rows := len(h.server.Rows()); rows != len(places) {
		h.Fatalf("%d rows in the CRM, %d in the ledger", rows, len(places))
	}
	if !slices.IsSortedFunc(h.source.Log(), func(a, b mapping.Change) int {
		x, okX := places[a.Position]
		y, okY := places[b.Position]
		if !okX || !okY {
			return 0
		}
		return int(x.ID - y.ID)
	}) {
		h.Fatalf("the rows' ids are not in the order of the log")
	}
}

func live(t *rapid.T, events map[string]int) {
	h := &history{T: t, source: fake.NewSource("source"), server: fake.NewServer(nil), events: events}
	h.server.Refuse = func(r mapping.Record) *replicator.Failure {
		if strings.HasPrefix(r.Message, bad) {
			return &replicator.Failure{Class: replicator.Data, Reason: "too_long", Code: "1406"}
		}
		return nil
	}
	for i := range h.loops {
		h.start(i)
	}
	t.Repeat(h.actions())
	h.settle()
	h.check()
}

// TestSimulation plays many histories of messages, edits, unsends and
// erasures under lost answers, abandoned transactions that commit later, two
// replicators, restarts and restored CRMs. Its length is rapid's -rapid.checks.
func TestSimulation(t *testing.T) {
	events := map[string]int{}
	histories := 0
	rapid.Check(t, func(t *rapid.T) {
		histories++
		live(t, events)
	})
	if os.Getenv("SIDESTREAM_SIMULATION_REPORT") == "" {
		return
	}
	t.Logf("%d histories", histories)
	for _, name := range slices.Sorted(maps.Keys(events)) {
		t.Logf("%8d  %s", events[name], name)
	}
}
