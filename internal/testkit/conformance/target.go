// Package conformance holds the suites that every implementation of the
// replicator's interfaces passes, the real ones and the fakes alike.
package conformance

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sidestream/mapping"
	"sidestream/replicator"
)

// Row is a row of the CRM's table as a test reads it.
type Row struct {
	ID                                   int64
	UserID, Username, Direction, Message string
	CreatedAt                            time.Time
}

// CRM is one fresh, empty CRM under test.
type CRM struct {
	// New returns a further client for the same source.
	New func() replicator.Target
	// Rows returns the table in id order.
	Rows func() []Row
	// Delete removes a row as a stranger would.
	Delete func(id int64)
	// Insert adds a row as a stranger would, and returns its id.
	Insert func(row Row) int64
	// Change gives a row to another user, at another time, as a stranger would.
	Change func(id int64, userID string, createdAt time.Time)
	// DeadLetters returns the parked positions in order.
	DeadLetters func() []int64
	// Desk returns a further client with the operator's side.
	Desk func() Desk
	// PutCursor sets the position in the cursor's row and nothing else.
	PutCursor func(position int64)
	// Truncate empties the table; its ids begin anew.
	Truncate func()
	// Refused is a message that the table refuses for what it contains.
	Refused string
}

// RunTarget runs the suite for replicator.Target. Every subtest gets a CRM of
// its own.
func RunTarget(t *testing.T, fresh func(testing.TB) CRM) {
	for name, run := range map[string]func(*testing.T, CRM){
		"a_fresh_target_has_no_cursor_and_takes_one":         beginsEmpty,
		"a_batch_moves_cursor_and_rows_together":             appliesBatch,
		"a_missed_compare_and_set_writes_nothing":            missesCursor,
		"another_generation_is_another_cursor":               missesGeneration,
		"another_attempt_at_the_position_is_another_cursor":  missesAttempt,
		"values_arrive_byte_for_byte":                        keepsBytes,
		"a_large_batch_keeps_its_order":                      keepsOrder,
		"edits_find_their_row_through_the_ledger":            updates,
		"deletes_find_their_row_through_the_ledger":          deletes,
		"a_row_that_is_not_ours_any_more_is_not_touched":     guards,
		"a_refused_row_rolls_back_everything_and_is_named":   refuses,
		"a_parked_change_moves_the_cursor_and_adds_no_row":   parks,
		"a_probe_leaves_no_row":                              probes,
		"a_batch_of_nothing_moves_the_cursor":                movesOnly,
		"a_passed_change_between_messages_splits_the_ledger": splitsLedger,
		"rows_that_are_other_rows_now_are_recognised":        recognisesOthers,
		"records_that_are_there_already_are_recognised":      recognisesTaken,
	} {
		t.Run(name, func(t *testing.T) { run(t, fresh(t)) })
	}
}

func at(second int) time.Time {
	return time.Date(2026, time.March, 1, 10, 0, 0, 0, time.UTC).Add(time.Duration(second) * time.Second)
}

func message(position int64, text string) replicator.Item {
	return replicator.Item{
		Position: position, MessageID: fmt.Sprint("mid-", position), Kind: mapping.KindMessage, Op: replicator.OpInsert,
		Record: mapping.Record{UserID: fmt.Sprint("user-", position%7), Username: fmt.Sprint("name-", position%7), Direction: "in", Message: text, CreatedAt: at(int(position)), Status: "sent"},
	}
}

func batch(from replicator.Cursor, items ...replicator.Item) replicator.Batch {
	to := from.Position
	if len(items) > 0 {
		to = items[len(items)-1].Position
	}
	return replicator.Batch{From: from, To: to, Anchors: []replicator.Anchor{{Position: to, Hash: "00112233aabbccdd"}}, SourceID: "source", Items: items}
}

func begin(t *testing.T, target replicator.Target) replicator.Cursor {
	t.Helper()
	if _, err := target.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := replicator.Cursor{Known: true, Generation: 1, SourceID: "source", Attempt: "first", Decision: "a person's"}
	if err := target.Init(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	return load(t, target)
}

func load(t *testing.T, target replicator.Target) replicator.Cursor {
	t.Helper()
	c, err := target.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func apply(ctx context.Context, target replicator.Target, b replicator.Batch, attempt string) (replicator.Applied, error) {
	p, err := target.Prepare(b)
	if err != nil {
		return replicator.Applied{}, err
	}
	return target.Apply(ctx, p, attempt)
}

func mustApply(t *testing.T, target replicator.Target, b replicator.Batch, attempt string) replicator.Applied {
	t.Helper()
	applied, err := apply(t.Context(), target, b, attempt)
	if err != nil {
		t.Fatal(err)
	}
	return applied
}

func wantFailure(t *testing.T, err error, class replicator.Class, reason string) {
	t.Helper()
	var f *replicator.Failure
	if !errors.As(err, &f) {
		t.Fatalf("error %v is no Failure", err)
	}
	if f.Class != class || (reason != "" && f.Reason != reason) {
		t.Fatalf("failure is %s %s, want %s %s", f.Class, f.Reason, class, reason)
	}
}

func wantMessages(t *testing.T, crm CRM, want ...string) []Row {
	t.Helper()
	rows := crm.Rows()
	var got []string
	for _, r := range rows {
		got = append(got, r.Message)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("messages in the CRM differ (-want +got):\n%s", diff)
	}
	return rows
}

func beginsEmpty(t *testing.T, crm CRM) {
	target := crm.New()
	if c := load(t, target); c.Known {
		t.Fatalf("a fresh target has a cursor: %+v", c)
	}
	empty, err := target.Empty(t.Context())
	if err != nil || !empty {
		t.Fatalf("Empty = %v, %v", empty, err)
	}
	c := begin(t, target)
	if !c.Known || c.Generation != 1 || c.SourceID != "source" || c.Attempt != "first" || c.Decision != "a person's" || c.Position != 0 {
		t.Fatalf("cursor after Init: %+v", c)
	}
	wantFailure(t, crm.New().Init(t.Context(), c), replicator.Transient, replicator.ReasonMoved)
}

func appliesBatch(t *testing.T, crm CRM) {
	target := crm.New()
	c := begin(t, target)
	mustApply(t, target, batch(c, message(1, "one"), message(2, "two"), message(4, "four")), "token-1")
	rows := wantMessages(t, crm, "one", "two", "four")
	want := Row{ID: rows[2].ID, UserID: "user-4", Username: "name-4", Direction: "in", Message: "four", CreatedAt: at(4)}
	if diff := cmp.Diff(want, rows[2]); diff != "" {
		t.Errorf("row differs (-want +got):\n%s", diff)
	}
	got := load(t, crm.New())
	if got.Position != 4 || got.Attempt != "token-1" || got.AppliedTotal != 3 || got.Decision != "a person's" || got.SourceID != "source" {
		t.Errorf("cursor: %+v", got)
	}
	if diff := cmp.Diff([]replicator.Anchor{{Position: 4, Hash: "00112233aabbccdd"}}, got.Anchors); diff != "" {
		t.Errorf("anchors differ (-want +got):\n%s", diff)
	}
	if empty, err := target.Empty(t.Context()); err != nil || empty {
		t.Errorf("Empty = %v, %v", empty, err)
	}
}

func missesCursor(t *testing.T, crm CRM) {
	a, b := crm.New(), crm.New()
	c := begin(t, a)
	load(t, b)
	mustApply(t, a, batch(c, message(1, "from a")), "a")
	_, err := apply(t.Context(), b, batch(c, message(1, "from b")), "b")
	wantFailure(t, err, replicator.Transient, replicator.ReasonMoved)
	wantMessages(t, crm, "from a")
	c = load(t, b)
	if c.Attempt != "a" || c.Position != 1 {
		t.Fatalf("cursor: %+v", c)
	}
	mustApply(t, b, batch(c, message(2, "next from b")), "b2")
	wantMessages(t, crm, "from a", "next from b")
}

func missesGeneration(t *testing.T, crm CRM) {
	target := crm.New()
	c := begin(t, target)
	c.Generation = 2
	_, err := apply(t.Context(), target, batch(c, message(1, "one")), "x")
	wantFailure(t, err, replicator.Transient, replicator.ReasonMoved)
	wantMessages(t, crm)
}

func missesAttempt(t *testing.T, crm CRM) {
	target := crm.New()
	c := begin(t, target)
	c.Attempt = "whoever else came to this position"
	_, err := apply(t.Context(), target, batch(c, message(1, "one")), "x")
	wantFailure(t, err, replicator.Transient, replicator.ReasonMoved)
	wantMessages(t, crm)
}

func keepsBytes(t *testing.T, crm CRM) {
	target := crm.New()
	c := begin(t, target)
	texts := []string{
		"", "plain", "emoji 😀👑🇩🇪", "Привет, мир", "שלום עולם", "nul \x00 inside", `quotes ' " ` + "`", `back\slash \' \0 %_`,
		"line\nbreak\r\ttab", "'); DROP TABLE messages; -- ", strings.Repeat("ü", 10_000), "\u202eright to left\u202c", "?", "x'--/*",
	}
	var items []replicator.Item
	for i, text := range texts {
		items = append(items, message(int64(i+1), text))
	}
	items[1].Record.UserID, items[1].Record.Username = `O'Brien\`, "имя 😀"
	items[1].Record.Direction = "out"
	mustApply(t, target, batch(c, items...), "x")
	rows := wantMessages(t, crm, texts...)
	if rows[1].UserID != `O'Brien\` || rows[1].Username != "имя 😀" || rows[1].Direction != "out" {
		t.Errorf("row: %+v", rows[1])
	}
}

func keepsOrder(t *testing.T, crm CRM) {
	target := crm.New()
	c := begin(t, target)
	var items []replicator.Item
	var want []string
	for i := range 2500 {
		text := fmt.Sprintf("%05d %s", i, strings.Repeat("x", i%900))
		items, want = append(items, message(int64(i+1), text)), append(want, text)
	}
	mustApply(t, target, batch(c, items...), "x")
	wantMessages(t, crm, want...)
}

func changed(position, of int64, op replicator.Op, text string) replicator.Item {
	was := message(of, "").Record
	item := replicator.Item{Position: position, MessageID: fmt.Sprint("mid-", of), Kind: mapping.KindEdit, Op: op, MessagePosition: of, Was: was, Record: was}
	item.Record.Message = text
	return item
}

func updates(t *testing.T, crm CRM) {
	target := crm.New()
	c := begin(t, target)
	mustApply(t, target, batch(c, message(1, "one"), message(2, "two")), "1")
	c = load(t, target)
	mustApply(t, target, batch(c, message(3, "three")), "2")
	c = load(t, target)
	before := crm.Rows()
	applied := mustApply(t, target, batch(c, changed(4, 2, replicator.OpUpdate, "two, edited"), changed(5, 3, replicator.OpUpdate, "three"), message(6, "six")), "3")
	rows := wantMessages(t, crm, "one", "two, edited", "three", "six")
	before[1].Message = "two, edited"
	if diff := cmp.Diff(before, rows[:3]); diff != "" {
		t.Errorf("rows differ (-want +got):\n%s", diff)
	}
	if len(applied.Missed) != 0 {
		t.Errorf("missed: %v", applied.Missed)
	}
	erase := changed(7, 1, replicator.OpUpdate, "[erased]")
	erase.Record.UserID, erase.Record.Username, erase.Was.UserID = "[erased]", "[erased]", ""
	mustApply(t, target, batch(load(t, target), erase), "4")
	erase.Position = 8
	if applied := mustApply(t, target, batch(load(t, target), erase), "5"); len(applied.Missed) != 0 {
		t.Errorf("a second erase missed: %v", applied.Missed)
	}
	if r := crm.Rows()[0]; r.UserID != "[erased]" || r.Username != "[erased]" || r.Message != "[erased]" {
		t.Errorf("erased row: %+v", r)
	}
}

func deletes(t *testing.T, crm CRM) {
	target := crm.New()
	c := begin(t, target)
	mustApply(t, target, batch(c, message(1, "one"), message(2, "two"), message(3, "three")), "1")
	mustApply(t, target, batch(load(t, target), changed(4, 2, replicator.OpDelete, "")), "2")
	wantMessages(t, crm, "one", "three")
}

func guards(t *testing.T, crm CRM) {
	target := crm.New()
	c := begin(t, target)
	mustApply(t, target, batch(c, message(1, "one"), message(2, "two")), "1")
	crm.Delete(crm.Rows()[1].ID)
	stranger := changed(4, 1, replicator.OpUpdate, "must not be written")
	stranger.Was.UserID = "somebody else"
	applied := mustApply(t, target, batch(load(t, target), changed(3, 2, replicator.OpUpdate, "gone"), stranger, changed(5, 99, replicator.OpDelete, "")), "2")
	wantMessages(t, crm, "one")
	if diff := cmp.Diff(map[string]int{"row_gone": 2, "not_in_ledger": 1}, applied.Missed); diff != "" {
		t.Errorf("missed differ (-want +got):\n%s", diff)
	}
}

func refuses(t *testing.T, crm CRM) {
	target := crm.New()
	c := begin(t, target)
	_, err := apply(t.Context(), target, batch(c, message(1, "one"), message(2, crm.Refused), message(3, "three")), "x")
	wantFailure(t, err, replicator.Data, "")
	f := replicator.AsFailure(err)
	if f.Row != 2 {
		t.Errorf("the failure names row %d, want 2", f.Row)
	}
	if strings.Contains(f.Error(), crm.Refused[:16]) {
		t.Errorf("the failure quotes the row: %.80s", f.Error())
	}
	wantMessages(t, crm)
	if got := load(t, target); got.Position != 0 {
		t.Errorf("the cursor moved to %d", got.Position)
	}
	mustApply(t, target, batch(c, message(1, "one")), "y")
	wantMessages(t, crm, "one")
}

func parks(t *testing.T, crm CRM) {
	target := crm.New()
	c := begin(t, target)
	bad := message(2, "never stored")
	bad.Op, bad.Code, bad.Reason = replicator.OpPark, "1406", "too_long"
	mustApply(t, target, batch(c, message(1, "one"), bad, message(3, "three")), "1")
	wantMessages(t, crm, "one", "three")
	if diff := cmp.Diff([]int64{2}, crm.DeadLetters()); diff != "" {
		t.Errorf("dead letters differ (-want +got):\n%s", diff)
	}
	if got := load(t, target); got.Position != 3 {
		t.Errorf("the cursor is at %d", got.Position)
	}
}

func probes(t *testing.T, crm CRM) {
	target := crm.New()
	begin(t, target)
	if err := target.Probe(t.Context(), message(1, "probe").Record); err != nil {
		t.Fatal(err)
	}
	wantFailure(t, target.Probe(t.Context(), message(1, crm.Refused).Record), replicator.Data, "")
	wantMessages(t, crm)
}

func movesOnly(t *testing.T, crm CRM) {
	target := crm.New()
	b := batch(begin(t, target))
	b.To = 17
	mustApply(t, target, b, "1")
	if got := load(t, target); got.Position != 17 || got.AppliedTotal != 0 {
		t.Errorf("cursor: %+v", got)
	}
}

func splitsLedger(t *testing.T, crm CRM) {
	target := crm.New()
	c := begin(t, target)
	passed := message(2, "")
	passed.Op = replicator.OpPass
	mustApply(t, target, batch(c, message(1, "one"), passed, message(3, "three"), message(4, "four")), "1")
	applied := mustApply(t, target, batch(load(t, target), changed(5, 3, replicator.OpUpdate, "three!"), changed(6, 2, replicator.OpUpdate, "no")), "2")
	wantMessages(t, crm, "one", "three!", "four")
	if applied.Missed["not_in_ledger"] != 1 {
		t.Errorf("missed: %v", applied.Missed)
	}
}
