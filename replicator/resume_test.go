package replicator_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"sidestream/internal/testkit/fake"
	"sidestream/mapping"
	"sidestream/replicator"
)

// resume does what `replicator cursor resume` does.
func (b *bundle) resume(t *testing.T) replicator.Cursor {
	t.Helper()
	mapper, err := mapping.New(mapping.Options{})
	if err != nil {
		t.Fatal(err)
	}
	now := b.server.Cursor("main")
	tail, err := b.target.Tail(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found, err := replicator.Resume(t.Context(), b.source, b.target, mapper, now, tail)
	if err != nil {
		t.Fatal(err)
	}
	next := found.Next
	next.Decision = replicator.DecisionToken(replicator.ActionResume, now, time.Now(), len(found.Taken))
	next.Attempt = next.Decision
	if err := b.target.Decide(t.Context(), now, next, found.Taken, found.Letters); err != nil {
		t.Fatal(err)
	}
	b.join(t)
	b.drain(t)
	return next
}

// at gives messages a second of their own, as the guard of a row needs.
func at(changes []mapping.Change) []mapping.Change {
	for i := range changes {
		changes[i].Timestamp += int64(i) * 1000
	}
	return changes
}

func TestResume(t *testing.T) {
	t.Run("sends_what_came_after_an_older_file_from_before_the_beginning", func(t *testing.T) {
		b := setup(t)
		b.server.Insert(mapping.Record{UserID: "x", Direction: "in", Message: "history"})
		b.source.Append(at(sayMany(1, 90))...)
		older := b.source.Copy()
		b.source.Append(at(sayMany(91, 100))...)
		anchors, id, err := b.source.Anchors(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		begun := replicator.Cursor{Known: true, Generation: 1, SourceID: id, StartPosition: 100, Position: 100, Anchors: anchors, Decision: "init-1-0", Attempt: "init-1-0"}
		if err := b.target.Init(t.Context(), begun); err != nil {
			t.Fatal(err)
		}
		b.source.Append(at(sayMany(101, 105))...)
		b.drain(t)
		for _, more := range []int{5, 60} {
			b.source.Become(older.Copy())
			b.source.Append(at(sayMany(1000*more+1, 1000*more+more))...)
			b.join(t)
			b.resume(t)
			for i := range more {
				if text := fmt.Sprint("text ", 1000*more+1+i); !slices.Contains(b.messages(), text) {
					t.Fatalf("%q of %d is lost", text, more)
				}
			}
		}
	})
	t.Run("does_not_send_a_message_again_that_was_edited_behind_the_ledgers_end", func(t *testing.T) {
		b := setup(t)
		b.source.Append(at(sayMany(1, 3))...)
		b.drain(t)
		first := b.server.Cursor("main")
		first.Position, first.Anchors = 0, nil
		b.source.Append(edit("m3", 1, "text 3, edited"))
		b.drain(t)
		b.server.SetCursor("main", first) // the row of the cursor alone is restored
		b.resume(t)
		want(t, b, "text 1", "text 2", "text 3, edited")
	})
	for kind, text := range map[mapping.Kind]string{mapping.KindUnsend: mapping.DefaultUnsendText, mapping.KindErase: mapping.ErasedText} {
		t.Run("does_not_bring_back_what_an_"+string(kind)+"_took_that_an_older_file_forgot", func(t *testing.T) {
			b := setup(t)
			b.source.Append(at(sayMany(1, 2))...)
			older := b.source.Copy()
			takeBack := unsend("m2")
			takeBack.Kind = kind
			b.source.Append(takeBack)
			// Many rows later no anchor is left near the message.
			for i := range 40 {
				b.source.Append(edit("nobody's", int64(i), ""))
			}
			b.drain(t)
			b.source.Become(older)
			b.resume(t)
			want(t, b, "text 1", text)
		})
	}
	t.Run("sends_all_of_another_database_wherever_the_former_one_began", func(t *testing.T) {
		b := setup(t)
		b.source.Append(at(sayMany(1, 3))...)
		anchors, id, err := b.source.Anchors(t.Context(), 2)
		if err != nil {
			t.Fatal(err)
		}
		b.server.SetCursor("main", replicator.Cursor{Known: true, Generation: 1, SourceID: id, StartPosition: 2, Position: 2, Anchors: anchors})
		b.drain(t)
		other := fake.NewSource("another database")
		other.Append(at([]mapping.Change{say("n1", "new 1"), say("n2", "new 2"), say("n3", "new 3"), say("n4", "new 4")})...)
		b.source.Become(other)
		b.resume(t)
		want(t, b, "text 3", "new 1", "new 2", "new 3", "new 4")
	})
}

// TestReplicator_stale_queue has a process hold changes that it read from
// another file than the one that the cursor belongs to by now, which stands at
// the same position.
func TestReplicator_stale_queue(t *testing.T) {
	b := setup(t)
	empty := b.server.Dump()
	b.source.Append(at(sayMany(1, 12))...)
	b.target.Fault = once(fake.Lost, fake.Lost) // one change at a time afterwards
	for b.server.Cursor("main").Position == 0 {
		_, _ = b.Step(t.Context())
	}
	position := b.server.Cursor("main").Position
	stale := b.Replicator

	// The CRM is made anew, the file replaced, and another process begins.
	b.server.Restore(empty)
	other := fake.NewSource("another database")
	var texts []string
	for i := range position {
		texts = append(texts, fmt.Sprint("new ", i))
		other.Append(say(fmt.Sprint("n", i), texts[i]))
	}
	b.source.Become(other)
	b.join(t)
	b.drain(t)
	for range 5 {
		_, _ = stale.Step(t.Context())
	}
	want(t, b, texts...)
	if id := b.server.Cursor("main").SourceID; id != "another database" {
		t.Errorf("the cursor belongs to %q", id)
	}
}

func TestReplicator_anchors_a_test_delivery(t *testing.T) {
	b := setup(t)
	b.source.Append(sayMany(1, 2)...)
	older := b.source.Copy()
	test := say("a test", "test")
	test.Kind = mapping.KindTest
	b.source.Append(test)
	b.drain(t)
	if anchors := b.server.Cursor("main").Anchors; !slices.ContainsFunc(anchors, func(a replicator.Anchor) bool { return a.Position == 3 }) {
		t.Errorf("the row under the cursor is no anchor: %v", anchors)
	}
	// An older copy goes on with a message in the test delivery's place.
	older.Append(say("m3", "text 3"))
	b.source.Become(older)
	_, err := b.Step(t.Context())
	if f := replicator.AsFailure(err); f.Class != replicator.Blocked || f.Reason != "source_diverged" {
		t.Fatalf("error: %v", err)
	}
	b.resume(t)
	want(t, b, texts(1, 3)...)
}

// TestReplicator_parked_then_edited has a dead letter delivered by a retry
// before the cursor comes to the edit that was read together with its message.
func TestReplicator_parked_then_edited(t *testing.T) {
	b := setup(t)
	wider := false
	b.server.Refuse = func(r mapping.Record) *replicator.Failure {
		if !wider && r.Message == "too long" {
			return &replicator.Failure{Class: replicator.Data, Reason: "too_long", Code: "1406"}
		}
		return nil
	}
	b.source.Append(say("m1", "text 1"), say("m2", "text 2"), edit("m1", 1, "too long"))
	for len(b.server.Letters("main")) == 0 {
		if _, err := b.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	wider = true
	letter := b.server.Letters("main")[0]
	mapper, err := mapping.New(mapping.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.target.Retry(t.Context(), letter, func(cursor replicator.Cursor) (replicator.Item, error) {
		change, history, err := b.source.Message(t.Context(), cursor, letter.Position)
		return replicator.Plan(mapper, cursor, change, history, nil), err
	}); err != nil {
		t.Fatal(err)
	}
	b.drain(t)
	if got := b.messages(); !slices.Contains(got, "too long") || len(got) != 2 {
		t.Errorf("the CRM says %q, and lacks the edit", got)
	}
}

func TestReplicator_failures_of_another_file_do_not_count(t *testing.T) {
	b := setup(t)
	b.source.Append(sayMany(1, 1)...)
	unknown := 7 // one more at the same position is evidence of a bad row
	b.target.Fault = func() fake.Fault {
		if unknown == 0 {
			return fake.None
		}
		unknown--
		return fake.Unknown
	}
	for unknown > 0 {
		if _, err := b.Step(t.Context()); err == nil {
			t.Fatal("an unknown error passed")
		}
	}
	other := fake.NewSource("other")
	other.Append(sayMany(2, 2)...)
	b.source.Become(other)
	now := b.server.Cursor("main")
	next := now
	next.Generation, next.SourceID, next.Decision, next.Attempt = 2, "other", "resume-1-0", "resume-1-0"
	if err := b.target.Decide(t.Context(), now, next, nil, nil); err != nil {
		t.Fatal(err)
	}
	unknown = 1
	b.persist(t, 10)
	want(t, b, "text 2")
	if dead := b.server.DeadLetters("main"); len(dead) > 0 {
		t.Errorf("dead letters at %v", dead)
	}
}
