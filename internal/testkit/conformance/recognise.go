package conformance

import (
	"testing"

	"sidestream/replicator"
)

// landmark is what the log says of a message that a test has applied, or has not.
func landmark(position int64, text string) replicator.Landmark {
	return replicator.Landmark{Position: position, Record: message(position, text).Record}
}

func landmarks(positions ...int64) (all []replicator.Landmark) {
	for _, position := range positions {
		all = append(all, landmark(position, ""))
	}
	return all
}

func recognisesOthers(t *testing.T, crm CRM) {
	target := crm.New()
	c := begin(t, target)
	mustApply(t, target, batch(c, message(1, "one"), message(2, "two"), message(3, "three"), message(4, "four")), "1")
	c = load(t, target)
	rows := crm.Rows()
	recognised := func(what string) {
		t.Helper()
		if err := crm.recognise(t, c, landmarks(4, 3, 2, 1), nil); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	recognised("untouched")
	crm.Delete(rows[3].ID)
	recognised("a row was deleted")
	crm.Change(rows[2].ID, "another user", rows[2].CreatedAt)
	recognised("a row was given to another user")
	crm.Change(rows[1].ID, rows[1].UserID, at(1000))
	recognised("a row was given another time")
	crm.Change(rows[0].ID, "another user", at(1000))
	wantFailure(t, crm.recognise(t, c, landmarks(4, 3, 2, 1), nil), replicator.Blocked, "target_rewound")
	crm.Change(rows[1].ID, rows[1].UserID, rows[1].CreatedAt)
	recognised("a newer row is what it was")
	if err := crm.recognise(t, c, landmarks(99), nil); err != nil {
		t.Errorf("a message that is not in the ledger: %v", err)
	}
}

func recognisesTaken(t *testing.T, crm CRM) {
	target := crm.New()
	c := begin(t, target)
	ahead := []replicator.Landmark{landmark(3, "three"), landmark(4, "four")}
	insert := func(position int64, text string) int64 {
		r := message(position, text).Record
		return crm.Insert(Row{UserID: r.UserID, Username: r.Username, Direction: r.Direction, Message: r.Message, CreatedAt: r.CreatedAt})
	}
	free := func(what string) {
		t.Helper()
		if err := crm.recognise(t, c, nil, ahead); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	// Below the last ledgered row a copy says nothing.
	insert(3, "three")
	insert(4, "four")
	mustApply(t, target, batch(c, message(1, "one"), message(2, "two")), "1")
	c = load(t, target)
	free("nothing is there")
	notes := []int64{insert(3, "somebody's note"), insert(4, "Four")}
	free("other texts of the same person and second are there")
	taken := insert(4, "four")
	wantFailure(t, crm.recognise(t, c, nil, ahead), replicator.Blocked, "target_ahead")
	crm.Delete(taken)
	free("it was taken out")
	for i := range ahead {
		ahead[i].Record.Status = "edited"
	}
	wantFailure(t, crm.recognise(t, c, nil, ahead), replicator.Blocked, "target_ahead")
	crm.Delete(notes[0])
	free("only one of those that have changed since is there")
	crm.Delete(notes[1])

	late := crm.New()
	load(t, late)
	mustApply(t, target, batch(c, message(3, "three"), message(4, "four")), "2")
	// Its ledger knows them, and the cursor has moved.
	if err := late.Recognise(t.Context(), c, nil, ahead); err != nil && replicator.AsFailure(err).Reason != replicator.ReasonMoved {
		t.Errorf("rows that another replicator has added meanwhile: %v", err)
	}
}

// recognise asks a target that has just started.
func (crm CRM) recognise(t *testing.T, c replicator.Cursor, behind, ahead []replicator.Landmark) error {
	t.Helper()
	target := crm.New()
	load(t, target)
	return target.Recognise(t.Context(), c, behind, ahead)
}
