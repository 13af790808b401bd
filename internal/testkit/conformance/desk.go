package conformance

import (
	"context"
	"slices"
	"testing"

	"sidestream/internal/testkit/fake"
	"sidestream/mapping"
	"sidestream/replicator"
)

// Desk is what the operator's commands call of a target.
type Desk interface {
	replicator.Target
	replicator.Table
	// Tail returns the end of the ledger of the cursor's generation.
	Tail(ctx context.Context) (replicator.Tail, error)
	// Decide stores a cursor in the place of the one that was expected, with rows
	// that are taken over and changes that become dead letters.
	Decide(ctx context.Context, expect, next replicator.Cursor, taken []replicator.Taken, letters []replicator.Letter) error
	// Retry applies a dead letter anew. It says "applied", "nothing_to_do",
	// "already_applied", "later" or "refused".
	Retry(ctx context.Context, letter fake.Letter, compute func(replicator.Cursor) (replicator.Item, error)) (string, error)
}

// RunDesk runs the suite for the operator's side. Every subtest gets a CRM of
// its own.
func RunDesk(t *testing.T, fresh func(testing.TB) CRM) {
	for name, run := range map[string]func(*testing.T, CRM, Desk){
		"a_decision_cuts_the_ledger":                      cutsLedger,
		"a_decision_on_another_cursor_misses":             missesDecision,
		"a_new_generation_takes_the_ledger_over":          takesOver,
		"a_cursor_before_its_ledger_is_blocked":           aheadOfCursor,
		"an_emptied_table_is_blocked_until_a_decision":    emptied,
		"a_row_is_held_by_user_direction_time_and_text":   holds,
		"a_letter_is_delivered_once":                      delivers,
		"a_letter_that_the_cursor_has_not_passed_waits":   deliversLater,
		"a_letter_is_resolved_where_its_position_passes":  passesAgain,
		"a_letter_of_another_message_is_not_touched":      differs,
		"a_letter_that_is_refused_again_stays":            refusedAgain,
		"a_change_of_a_message_that_is_parked_is_nothing": nothingToChange,
		"a_row_is_kept_or_gone_or_replaced":               stands,
		"rows_that_no_ledger_knows_are_found":             finds,
		"a_decision_takes_rows_over_and_opens_letters":    opensLetters,
	} {
		t.Run(name, func(t *testing.T) {
			crm := fresh(t)
			run(t, crm, crm.Desk())
		})
	}
}

func decide(t *testing.T, desk Desk, to int64, generation int) {
	t.Helper()
	now := load(t, desk)
	next := now
	next.Position, next.Generation, next.Decision, next.Attempt = to, generation, "decided", "decided"
	if err := desk.Decide(t.Context(), now, next, nil, nil); err != nil {
		t.Fatal(err)
	}
}

func three(t *testing.T, desk Desk) {
	t.Helper()
	mustApply(t, desk, batch(begin(t, desk), message(1, "one"), message(2, "two"), message(3, "three")), "1")
}

func wantEnd(t *testing.T, desk Desk, want int64) {
	t.Helper()
	if tail, err := desk.Tail(t.Context()); err != nil || tail.Position != want {
		t.Fatalf("the ledger ends at %d (%v), want %d", tail.Position, err, want)
	}
}

func cutsLedger(t *testing.T, crm CRM, desk Desk) {
	three(t, desk)
	decide(t, desk, 1, 1)
	wantEnd(t, desk, 1)
	mustApply(t, desk, batch(load(t, desk), message(2, "two again")), "2")
	wantEnd(t, desk, 2)
	wantMessages(t, crm, "one", "two", "three", "two again")
}

func missesDecision(t *testing.T, _ CRM, desk Desk) {
	three(t, desk)
	now := load(t, desk)
	mustApply(t, desk, batch(now, message(4, "four")), "2")
	wantFailure(t, desk.Decide(t.Context(), now, now, nil, nil), replicator.Transient, replicator.ReasonMoved)
}

func takesOver(t *testing.T, _ CRM, desk Desk) {
	three(t, desk)
	decide(t, desk, 2, 2)
	wantEnd(t, desk, 2)
	for position, want := range map[int64]bool{1: true, 2: true, 3: false} {
		if held, err := desk.Holds(t.Context(), 2, position, message(position, "").Record); err != nil || held != want {
			t.Errorf("position %d is held: %v (%v), want %v", position, held, err, want)
		}
	}
}

func aheadOfCursor(t *testing.T, crm CRM, desk Desk) {
	three(t, desk)
	crm.PutCursor(1)
	_, err := apply(t.Context(), desk, batch(load(t, desk), message(2, "two")), "2")
	wantFailure(t, err, replicator.Blocked, "ledger_ahead")
	wantMessages(t, crm, "one", "two", "three")
}

func emptied(t *testing.T, crm CRM, desk Desk) {
	three(t, desk)
	crm.Truncate()
	for range 4 {
		_, err := apply(t.Context(), desk, batch(load(t, desk), message(4, "four")), "2")
		wantFailure(t, err, replicator.Blocked, "target_rewound")
	}
	wantMessages(t, crm)
	decide(t, desk, 0, 1)
	mustApply(t, desk, batch(load(t, desk), message(1, "one")), "3")
	wantMessages(t, crm, "one")
}

func holds(t *testing.T, crm CRM, desk Desk) {
	three(t, desk)
	was := message(2, "two").Record
	other := was
	other.UserID = "somebody else"
	later := was
	later.CreatedAt = later.CreatedAt.Add(1e9)
	text := was
	text.Message = "another text"
	anyText := was
	anyText.Message = ""
	for name, tc := range map[string]struct {
		position int64
		was      mapping.Record
		want     bool
	}{
		"as_it_is": {2, was, true}, "any_text": {2, anyText, true}, "another_text": {2, text, false},
		"another_user": {2, other, false}, "another_time": {2, later, false}, "another_position": {3, was, false}, "no_position": {9, was, false},
	} {
		if held, err := desk.Holds(t.Context(), 1, tc.position, tc.was); err != nil || held != tc.want {
			t.Errorf("%s: %v (%v), want %v", name, held, err, tc.want)
		}
	}
	crm.Delete(crm.Rows()[1].ID)
	if held, err := desk.Holds(t.Context(), 1, 2, was); err != nil || held {
		t.Errorf("a row that is gone is held: %v", err)
	}
}

// parkTwo has the message at position 2 parked.
func parkTwo(t *testing.T, desk Desk) fake.Letter {
	t.Helper()
	bad := message(2, "two")
	bad.Op, bad.Code, bad.Reason = replicator.OpPark, "1406", "too_long"
	mustApply(t, desk, batch(begin(t, desk), message(1, "one"), bad, message(3, "three")), "1")
	return fake.Letter{Generation: 1, Position: 2, MessageID: bad.MessageID}
}

func retry(t *testing.T, desk Desk, letter fake.Letter, item replicator.Item, want string) error {
	t.Helper()
	got, err := desk.Retry(t.Context(), letter, func(replicator.Cursor) (replicator.Item, error) { return item, nil })
	if got != want || (err != nil) != (want == "refused" || want == "") {
		t.Fatalf("the retry says %q (%v), want %q", got, err, want)
	}
	return err
}

func delivers(t *testing.T, crm CRM, desk Desk) {
	letter := parkTwo(t, desk)
	_ = retry(t, desk, letter, message(2, "two"), "applied")
	_ = retry(t, desk, letter, message(2, "two"), "already_applied")
	wantMessages(t, crm, "one", "three", "two")
	if letters := crm.DeadLetters(); len(letters) > 0 {
		t.Errorf("still open: %v", letters)
	}
	mustApply(t, desk, batch(load(t, desk), changed(4, 2, replicator.OpUpdate, "two, edited")), "2")
	wantMessages(t, crm, "one", "three", "two, edited")
}

func deliversLater(t *testing.T, crm CRM, desk Desk) {
	letter := parkTwo(t, desk)
	decide(t, desk, 1, 1)
	_ = retry(t, desk, letter, message(2, "two"), "later")
	wantMessages(t, crm, "one", "three")
}

func passesAgain(t *testing.T, crm CRM, desk Desk) {
	parkTwo(t, desk)
	decide(t, desk, 1, 1)
	load(t, desk) // which counts the open letters
	mustApply(t, desk, batch(load(t, desk), message(2, "two"), message(3, "three again")), "2")
	if letters := crm.DeadLetters(); len(letters) > 0 {
		t.Errorf("still open: %v", letters)
	}
}

func differs(t *testing.T, crm CRM, desk Desk) {
	letter := parkTwo(t, desk)
	err := retry(t, desk, letter, message(9, "of another message"), "")
	wantFailure(t, err, replicator.Blocked, "dead_letter_differs")
	if letters := crm.DeadLetters(); !slices.Equal(letters, []int64{2}) {
		t.Errorf("open letters: %v", letters)
	}
}

func refusedAgain(t *testing.T, crm CRM, desk Desk) {
	letter := parkTwo(t, desk)
	err := retry(t, desk, letter, message(2, crm.Refused), "refused")
	wantFailure(t, err, replicator.Data, "")
	if letters := crm.DeadLetters(); !slices.Equal(letters, []int64{2}) {
		t.Errorf("open letters: %v", letters)
	}
}

func nothingToChange(t *testing.T, crm CRM, desk Desk) {
	letter := parkTwo(t, desk)
	edit := changed(2, 2, replicator.OpUpdate, "edited")
	_ = retry(t, desk, letter, edit, "nothing_to_do")
	wantMessages(t, crm, "one", "three")
}
