package e2e_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sidestream/internal/simulate"
	"sidestream/internal/testkit"
	"sidestream/internal/testkit/mariadb"
	"sidestream/mapping"
)

// TestShowChanges is what `make show-changes` prints.
func TestShowChanges(t *testing.T) {
	t.Run("every_order_ends_in_one_state", everyOrder)
	t.Run("every_order_under_kills", everyOrderUnderKills)
	t.Run("random_histories_in_any_order", randomHistories)
	t.Run("an_erased_person_leaves_no_trace", erasedPerson)
	t.Run("a_pruned_message_can_still_be_changed", prunedMessages)
	t.Run("prune_asks_the_replicator", pruneAsks)
}

// life is the events about one message: itself, two edits and an unsend.
func life(mid string, n int) []event {
	user := fmt.Sprintf("9%014d", n)
	return []event{
		{user: user, mid: mid, kind: mapping.KindMessage, text: "taken-back-" + mid + "-0"},
		{user: user, mid: mid, kind: mapping.KindEdit, version: 1, text: "taken-back-" + mid + "-1"},
		{user: user, mid: mid, kind: mapping.KindEdit, version: 2, text: "taken-back-" + mid + "-2"},
		{user: user, mid: mid, kind: mapping.KindUnsend},
	}
}

func everyOrder(t *testing.T) {
	type set struct {
		name string
		of   []int
		want func(mid string) string
	}
	text := func(status string, n int) func(string) string {
		return func(mid string) string { return fmt.Sprintf("%s: taken-back-%s-%d", status, mid, n) }
	}
	sets := []set{
		{"message, edit 1, edit 2, unsend", []int{0, 1, 2, 3}, func(string) string { return "unsent: [message unsent]" }},
		{"message, edit 1, edit 2", []int{0, 1, 2}, text("edited", 2)},
		{"message, edit 1", []int{0, 1}, text("edited", 1)},
		{"message, edit 2", []int{0, 2}, text("edited", 2)},
		{"message", []int{0}, text("sent", 0)},
	}
	states := map[string]map[string]int{}
	runs, posts := 0, 0
	for _, twice := range []bool{false, true} {
		for _, onePost := range []bool{false, true} {
			for _, between := range []bool{false, true} {
				b := newBench(t, t.TempDir(), mapping.Options{})
				want, kept := map[string]string{}, map[string]bool{}
				for s, one := range sets {
					for n, order := range orders(len(one.of)) {
						mid := fmt.Sprintf("s%dn%d", s, n)
						all := life(mid, len(want)+1)
						var events []event
						for _, i := range order {
							events = append(events, all[one.of[i]])
						}
						if twice {
							events = append(events, events...)
						}
						for len(events) > 0 {
							k := 1
							if onePost {
								k = len(events)
							}
							b.post(events[:k]...)
							posts++
							events = events[k:]
							if between {
								b.drain()
							}
						}
						want[mid] = one.want(mid)
						kept[mid] = s > 0
						runs++
					}
				}
				b.drain()
				b.scrubbed()
				held := b.held()
				if diff := cmp.Diff(want, held); diff != "" {
					t.Errorf("twice %v, one POST %v, replicated in between %v (-want +got)\n%s", twice, onePost, between, diff)
				}
				for s, one := range sets {
					if states[one.name] == nil {
						states[one.name] = map[string]int{}
					}
					for mid, state := range held {
						if strings.HasPrefix(mid, fmt.Sprintf("s%dn", s)) {
							states[one.name][strings.ReplaceAll(state, mid, "*")]++
						}
					}
				}
				for _, found := range grep(t, b.dir, "taken-back-s[0-9]+n[0-9]+-[0-9]") {
					if mid := strings.Split(found, "-")[2]; !kept[mid] {
						t.Errorf("%s was unsent and is in a file", found)
					}
				}
				b.close()
			}
		}
	}
	for _, one := range sets {
		if len(states[one.name]) != 1 {
			t.Errorf("%s ends in %v", one.name, states[one.name])
		}
		t.Logf("%-32s %3d runs, end state: %v", one.name, sum(states[one.name]), slices.Collect(maps.Keys(states[one.name])))
	}
	t.Logf("%d runs, %d POSTs (once and twice, in one POST and in several, replicated in between and at the end); copies of unsent texts in file and WAL: 0", runs, posts)
}

func sum(counts map[string]int) int {
	n := 0
	for _, c := range counts {
		n += c
	}
	return n
}

func everyOrderUnderKills(t *testing.T) {
	r := newRig(t, mariadb.Shared(t).Database(t), "[mapping]", "on_unsend = \"redact\"")
	writer, replicator := r.startWriter(t), r.start(t, "replicator")
	sender := r.sender(t)
	kills, random := map[string]int{}, rand.New(rand.NewPCG(3, 4))
	all := orders(4)
	for n, order := range all {
		events := life(fmt.Sprintf("k%d", n), n+1)
		killAfter := n % 4
		for i, which := range order {
			if i != killAfter {
				deliver(t, sender, events[which])
				continue
			}
			// The kill meets the event anywhere between the POST and the CRM.
			d, posted := simulate.Delivery{Body: body(t, events[which])}, make(chan error, 1)
			go func() {
				_, err := sender.Post(t.Context(), d)
				posted <- err
			}()
			if err := wait(t.Context(), time.Duration(random.IntN(10_000))*time.Microsecond); err != nil {
				t.Fatal(err)
			}
			if n%2 == 0 {
				writer.Kill(t)
				writer.Wait(t, patient)
				writer = r.startWriter(t)
				kills["writer"]++
			} else {
				replicator.Kill(t)
				replicator.Wait(t, patient)
				replicator = r.start(t, "replicator")
				kills["replicator"]++
			}
			if err := <-posted; err != nil {
				t.Fatal(err)
			}
		}
		if n%3 == 0 { // and all of it again, in one POST
			deliver(t, sender, events[order[0]], events[order[1]], events[order[2]], events[order[3]])
		}
	}
	r.drained(t)
	r.scrubbed(t)
	ends := map[string]int{}
	for _, row := range r.rows(t) {
		ends[row.Message]++
	}
	if diff := cmp.Diff(map[string]int{"[message unsent]": len(all)}, ends); diff != "" {
		t.Error(diff)
	}
	if found := grep(t, r.dir, "taken-back-[k0-9-]*"); len(found) > 0 {
		t.Errorf("in a file: %v", found)
	}
	t.Logf("%d orders with a SIGKILL in each: writer %d, replicator %d; rows by text: %v; copies of unsent texts in file, WAL and CRM: 0", len(all), kills["writer"], kills["replicator"], ends)
}

// scrubbed waits until the writer says that nothing that was taken back is left
// in the WAL.
func (r *rig) scrubbed(t *testing.T) {
	t.Helper()
	testkit.EventuallyNil(t, patient, func() error {
		text, err := get(t, "http://"+r.writerOps+"/metrics")
		if err == nil && !strings.Contains(text, "\nsidestream_writer_unsend_checkpoint_pending_seconds 0\n") {
			err = fmt.Errorf("texts are waiting in the WAL")
		}
		return err
	}, "scrubbed the WAL")
}

func randomHistories(t *testing.T) {
	histories, events, erasures := 0, 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		histories++
		deleting := rapid.Bool().Draw(rt, "unsends delete")
		options := mapping.Options{}
		if deleting {
			options.OnUnsend = mapping.DeleteUnsent
		}
		var all []event
		want := map[string]string{}
		unsent := map[string]bool{}
		for m := range rapid.IntRange(1, 5).Draw(rt, "messages") {
			mid, echo := fmt.Sprintf("m%d", m), rapid.Bool().Draw(rt, "echo")
			user := fmt.Sprintf("9%014d", rapid.IntRange(1, 3).Draw(rt, "user"))
			add := func(kind mapping.Kind, version int, text string) {
				all = append(all, event{user: user, mid: mid, kind: kind, version: version, text: text, echo: echo, at: 1_790_000_000_000 + int64(m)*1000})
			}
			hasMessage := rapid.IntRange(0, 9).Draw(rt, "message") > 0
			state := ""
			if hasMessage {
				add(mapping.KindMessage, 0, "first")
				state = "sent: first"
			}
			for v := 1; v <= 3; v++ {
				if rapid.Bool().Draw(rt, "edit") {
					text := fmt.Sprintf("edit %d", v)
					add(mapping.KindEdit, v, text)
					state = "edited: " + text
				}
			}
			if rapid.IntRange(0, 2).Draw(rt, "unsend") == 0 {
				add(mapping.KindUnsend, 0, "")
				state, unsent[mid] = "unsent: [message unsent]", true
				if deleting {
					state = ""
				}
			}
			if hasMessage && state != "" {
				want[mid] = state
			}
		}
		if len(all) == 0 {
			return
		}
		events += len(all)
		again := rapid.SliceOfN(rapid.SampledFrom(all), 0, len(all)).Draw(rt, "redelivered")
		order := rapid.Permutation(append(slices.Clone(all), again...)).Draw(rt, "order")
		b := newBench(rt, t.TempDir(), options)
		defer b.close()
		erase := rapid.IntRange(-len(order), len(order)).Draw(rt, "erase a person behind")
		seen, forgotten := 0, map[string]bool{}
		for len(order) > 0 {
			n := rapid.IntRange(1, min(4, len(order))).Draw(rt, "in one POST")
			b.post(order[:n]...)
			for _, e := range order[:n] {
				if e.user == personOf(1).UserID {
					forgotten[e.mid] = true
				}
			}
			order, seen = order[n:], seen+n
			if erase > 0 && seen >= erase {
				erase = 0
				if _, err := b.store.Erase(t.Context(), personOf(1), false); err != nil {
					rt.Fatal(err)
				}
				erasures++
				for mid := range forgotten {
					if _, there := want[mid]; there && (!deleting || !unsent[mid]) {
						want[mid] = "erased: [erased]"
					}
				}
			}
			if rapid.Bool().Draw(rt, "replicate") {
				b.drain()
			}
		}
		b.drain()
		if diff := cmp.Diff(want, b.held()); diff != "" {
			rt.Errorf("the order of arrival matters (-want +got)\n%s", diff)
		}
	})
	t.Logf("%d histories with %d events, each in a random order with redeliveries, %d with a person erased in between: the CRM is what the events come to", histories, events, erasures)
}

func prunedMessages(t *testing.T) {
	b := newBench(t, t.TempDir(), mapping.Options{})
	defer b.close()
	b.clock = time.Now().Add(-500 * 24 * time.Hour)
	for _, mid := range []string{"edited", "late", "unsent", "erased", "plain"} {
		all := life(mid, 7)
		if mid == "erased" {
			all = life(mid, 8)
		}
		b.post(all[0])
		if mid == "late" {
			b.post(all[2])
		}
	}
	b.drain()
	before := b.held()
	b.clock = time.Now()
	head, err := b.store.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	done, err := b.store.Prune(t.Context(), time.Now().Add(-400*24*time.Hour), head, false)
	if err != nil || done.Rows != 6 {
		t.Fatalf("pruned %+v, %v", done, err)
	}
	b.scrubbed()
	if found := grep(t, b.dir, "taken-back-[a-z]*"); len(found) > 0 {
		t.Errorf("pruned and in a file: %v", found)
	}
	b.post(life("edited", 7)[1])
	b.post(life("late", 7)[1])
	b.post(life("unsent", 7)[3])
	if _, err := b.store.Erase(t.Context(), personOf(8), false); err != nil {
		t.Fatal(err)
	}
	b.drain()
	want := map[string]string{
		"edited": "edited: taken-back-edited-1", "late": before["late"], "unsent": "unsent: [message unsent]",
		"erased": "erased: [erased]", "plain": before["plain"],
	}
	if diff := cmp.Diff(want, b.held()); diff != "" {
		t.Error(diff)
	}
	t.Logf("%d rows pruned: a later edit brings its text, an older one changes nothing, an unsend and an erase do their work, the rest stays as the CRM has it", done.Rows)
}

func pruneAsks(t *testing.T) {
	r := newRig(t, mariadb.Shared(t).Database(t))
	r.startWriter(t)
	sender := r.sender(t)
	all := life("p1", 1)
	deliver(t, sender, all[0])
	refused := r.start(t, "writer", "prune", "--older-than", "1ms")
	refused.WantExit(t, patient, 1)
	if !strings.Contains(refused.Stderr(), "nothing is pruned") {
		t.Error(refused.Stderr())
	}
	r.start(t, "replicator")
	r.drained(t)
	pruned := r.start(t, "writer", "prune", "--older-than", "1ms")
	pruned.WantExit(t, patient, 0)
	texts := func() []string {
		var got []string
		for _, row := range r.rows(t) {
			got = append(got, row.Message)
		}
		return got
	}
	if diff := cmp.Diff([]string{all[0].text}, texts()); diff != "" {
		t.Error(diff)
	}
	if found := grep(t, r.dir, "taken-back-p1-[0-9]"); len(found) > 0 {
		t.Errorf("pruned and in a file: %v", found)
	}
	deliver(t, sender, all[2])
	r.drained(t)
	if diff := cmp.Diff([]string{all[2].text}, texts()); diff != "" {
		t.Error(diff)
	}
	deliver(t, sender, all[1])
	r.drained(t)
	if diff := cmp.Diff([]string{all[2].text}, texts()); diff != "" {
		t.Error(diff)
	}
	t.Logf("without a replicator: exit 1, %q; with it: %s", strings.TrimSpace(strings.SplitN(refused.Stderr(), "\n", 2)[0]), strings.TrimSpace(pruned.Stdout()))
}
