package conformance

import (
	"slices"
	"testing"

	"sidestream/replicator"
)

func stands(t *testing.T, crm CRM, desk Desk) {
	three(t, desk)
	rows := crm.Rows()
	want := func(position int64, standing replicator.Standing) {
		t.Helper()
		if got, err := desk.Stands(t.Context(), 1, position, message(position, "").Record); err != nil || got != standing {
			t.Errorf("position %d stands as %d (%v), want %d", position, got, err, standing)
		}
	}
	want(1, replicator.Kept)
	want(4, replicator.Unknown)
	crm.Change(rows[0].ID, "another user", rows[0].CreatedAt)
	want(1, replicator.Kept)
	crm.Change(rows[1].ID, rows[1].UserID, at(1000))
	want(2, replicator.Kept)
	crm.Change(rows[1].ID, "another user", at(1000))
	want(2, replicator.Replaced)
	crm.Delete(rows[2].ID)
	want(3, replicator.Gone)
}

func finds(t *testing.T, crm CRM, desk Desk) {
	three(t, desk)
	rows := crm.Rows()
	record := message(2, "two").Record
	find := func(id int64, sameText bool, want int64) {
		t.Helper()
		if got, err := desk.FindAbove(t.Context(), id, record, sameText); err != nil || got.ID != want {
			t.Errorf("found %d (%v) above %d, want %d", got.ID, err, id, want)
		}
	}
	find(0, false, 0) // the ledger knows it
	insert := func(text string) int64 {
		return crm.Insert(Row{UserID: record.UserID, Username: "x", Direction: record.Direction, Message: text, CreatedAt: record.CreatedAt})
	}
	other, same := insert("Two"), insert("two")
	find(0, false, other)
	find(rows[2].ID, true, same)
	find(other, false, same)
	find(same, false, 0)
	crm.Change(same, "another user", record.CreatedAt)
	find(0, true, 0)
	record.UserID = ""
	find(0, true, same)
	record.Direction = "out"
	find(0, false, 0)
}

func opensLetters(t *testing.T, crm CRM, desk Desk) {
	three(t, desk)
	r := message(5, "five").Record
	id := crm.Insert(Row{UserID: r.UserID, Username: r.Username, Direction: r.Direction, Message: r.Message, CreatedAt: r.CreatedAt})
	now := load(t, desk)
	next := now
	next.Position, next.Decision, next.Attempt = 5, "decided", "decided"
	taken := []replicator.Taken{{Position: 5, ID: id}}
	letters := []replicator.Letter{{Position: 4, MessageID: "mid-4", Reason: replicator.ReasonRowGone}}
	if err := desk.Decide(t.Context(), now, next, taken, letters); err != nil {
		t.Fatal(err)
	}
	wantEnd(t, desk, 5)
	if got := crm.DeadLetters(); !slices.Equal(got, []int64{4}) {
		t.Errorf("dead letters at %v", got)
	}
	mustApply(t, desk, batch(load(t, desk), changed(6, 5, replicator.OpUpdate, "five, edited")), "2")
	wantMessages(t, crm, "one", "two", "three", "five, edited")
	if behind, err := desk.RetriedUpTo(t.Context(), 1, 5); err != nil || len(behind) > 0 {
		t.Errorf("retried: %v (%v)", behind, err)
	}
}
