package e2e_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sidestream/internal/simulate"
	"sidestream/internal/store"
	"sidestream/internal/testkit"
	"sidestream/internal/testkit/mariadb"
	"sidestream/mapping"
)

func personOf(n int) store.Person { return store.Person{UserID: fmt.Sprintf("9%014d", n)} }

// erasedPerson erases one person among many, as a command beside both programs
// and under load.
func erasedPerson(t *testing.T) {
	const people, victim, theirs, perPost = 10_000, 4_242, 30, 10
	r := newRig(t, mariadb.Shared(t).Database(t))
	r.startWriter(t)
	r.start(t, "replicator")
	sender := r.sender(t)
	name := personOf(victim).UserID

	var batch []event
	flush := func() {
		if len(batch) > 0 {
			deliver(t, sender, batch...)
			batch = nil
		}
	}
	add := func(e event) {
		if batch = append(batch, e); len(batch) == 250 {
			flush()
		}
	}
	want := map[string]string{}
	say := func(n int, mid, text string) event {
		return event{user: personOf(n).UserID, mid: mid, kind: mapping.KindMessage, text: text, at: 1_790_000_000_000 + int64(n)*1000}
	}
	for n := 1; n <= people; n++ {
		if n == victim {
			continue
		}
		text := fmt.Sprintf("words of %d", n)
		add(say(n, fmt.Sprintf("mid%d", n), text))
		want[personOf(n).UserID] = text
	}
	for i := range theirs {
		e := say(victim, fmt.Sprintf("victim%d", i), fmt.Sprintf("intimate-%d", i))
		e.echo = i%3 == 0
		add(e)
		switch i % 5 {
		case 1:
			e.kind, e.version, e.text = mapping.KindEdit, 1, e.text+"-edited"
			add(e)
		case 2:
			e.kind = mapping.KindUnsend
			add(e)
		}
	}
	flush()
	unknown := fmt.Appendf(nil, `{"object":"instagram","entry":[{"id":%q,"time":1,"messaging":[{"sender":{"id":%q},"novelty":{"caption":"intimate-x"}}]}]}`, simulate.DefaultAccountID, name)
	if _, err := sender.Post(t.Context(), simulate.Delivery{Body: unknown}); err != nil {
		t.Fatal(err)
	}
	before := len(grep(t, r.dir, name+"|intimate-[0-9x]+"))

	load, stop := context.WithCancel(t.Context())
	defer stop()
	var loaded atomic.Int64
	posters, failed := sync.WaitGroup{}, make(chan error, 4)
	for p := range 4 {
		posters.Go(func() {
			for n := p; load.Err() == nil; n += 4 {
				events := make([]event, perPost)
				for i := range events {
					events[i] = say(people+1+n, fmt.Sprintf("load%d-%d", n, i), fmt.Sprintf("load of %d", n))
				}
				if _, err := sender.Post(load, simulate.Delivery{Body: body(t, events...)}); err != nil {
					if load.Err() == nil { // else it was cut off at the end
						failed <- err
					}
					return
				}
				loaded.Add(perPost)
			}
		})
	}
	testkit.Eventually(t, patient, func() bool { return loaded.Load() >= 20*perPost }, "under load")
	began := time.Now()
	erase := r.start(t, "writer", "erase", "--user-id", name)
	erase.WantExit(t, patient, 0)
	took := time.Since(began)
	again := r.start(t, "writer", "erase", "--user-id", name)
	again.WantExit(t, patient, 0)
	during := loaded.Load()
	stop()
	posters.Wait()
	close(failed)
	for err := range failed {
		t.Error(err)
	}
	// A POST that was cut off may have been stored all the same.
	r.drained(t)
	r.scrubbed(t)

	if !strings.Contains(erase.Stdout(), fmt.Sprintf("erased %d messages and 1 undecoded", theirs)) || !strings.Contains(again.Stdout(), "erased 0 messages") {
		t.Errorf("%s%s", erase.Stdout(), again.Stdout())
	}
	if found := grep(t, r.dir, name+"|intimate-[0-9x]+"); len(found) > 0 {
		t.Errorf("traces in the SQLite files: %v", found)
	}
	cells := 0
	for _, table := range r.db.Rows(t, "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()") {
		for _, row := range r.db.Rows(t, "SELECT * FROM `"+table[0]+"`") {
			for _, cell := range row {
				cells++
				if strings.Contains(cell, name) || strings.Contains(cell, "intimate-") || strings.Contains(cell, simulate.Username(name)) {
					t.Errorf("a trace in %s: %q", table[0], cell)
				}
			}
		}
	}
	erased, others, loads := 0, map[string]string{}, int64(0)
	for _, row := range r.rows(t) {
		switch {
		case row.UserID == mapping.ErasedText && row.Message == mapping.ErasedText:
			erased++
		case strings.HasPrefix(row.Message, "load of "):
			loads++
		default:
			others[row.UserID] += row.Message
		}
	}
	changed := 0
	for user, text := range want {
		if others[user] != text {
			changed++
		}
	}
	if erased != theirs || changed > 0 || len(others) != len(want) || loads < loaded.Load() || loads > loaded.Load()+4*perPost {
		t.Errorf("erased rows %d, others changed %d of %d (%d in the CRM), load %d of %d", erased, changed, len(want), len(others), loads, loaded.Load())
	}
	t.Logf("%s in %v, under load (%d other messages stored meanwhile or just before)", strings.TrimSpace(erase.Stdout()), took.Round(time.Millisecond), during)
	t.Logf("traces before: %d in the SQLite files; after: 0 there, 0 in %d cells of all tables of the CRM", before, cells)
	t.Logf("rows of the person: %d, all [erased]; the other %d people: %d changed, %d missing", erased, len(want), changed, len(want)-len(others))
}
