package planted_test

import "testing"

// The machines of the storm, by what `go test` runs.
const (
	simulated = "the simulation"
	onServer  = "the simulation on a server"
	onFile    = "the storm on a file"
	chaotic   = "chaos"
)

// interleaved returns bugs that no single fault shows: two processes, or a
// process and an operator, must come in between.
func interleaved() []bug {
	const suite = "./internal/simulation"
	return []bug{
		{"stale_queue_kept_at_the_same_position", "replicator/reload.go", " || found.Attempt != r.cursor.Attempt", "", nil, suite, simulated},
		{"anchors_from_the_former_base", "replicator/replicator.go", "c.SourceID, c.Position, c.Anchors, c.Attempt = batch.SourceID, batch.To, batch.Anchors, attempt", "c.SourceID, c.Position, c.Attempt = batch.SourceID, batch.To, attempt", nil, suite, simulated},
		{"cursor_adopted_without_its_anchors", "replicator/reload.go", "\tr.cursor, r.loaded, r.loadedAt, r.recognised = found,", "\tif r.cursor.Known && found.Position > r.cursor.Position {\n\t\tfound.Anchors = r.cursor.Anchors\n\t}\n\tr.cursor, r.loaded, r.loadedAt, r.recognised = found,", nil, suite, simulated},
		{"doubts_settled_by_position", "replicator/reload.go", "if d.attempt == found.Attempt {", "if d.batch.To == found.Position && d.batch.From.Generation == found.Generation {", nil, suite, simulated},
		{"zombie_taken_for_rolled_back", "replicator/reload.go", "\tcase found.Position > r.cursor.Position:\n", "\tcase found.Position == r.cursor.Position:\n\t\tr.resolveDoubts(\"rolled_back\")\n\tcase found.Position > r.cursor.Position:\n", nil, suite, simulated},
		{"row_under_the_cursor_is_no_anchor", "replicator/queue.go", "if to == q.edge.Position {", "if to < 0 {", nil, suite, simulated},
		{"resume_believes_the_cursor_before_the_ledger", "replicator/resume.go", "min(max(now.Position, tail.Position), last)", "min(now.Position, last)", nil, suite, simulated},
		{"edit_planned_with_a_row_that_was_parked", "replicator/queue.go", "if c.MessageID == q.changes[0].MessageID &&", "if i < 0 && c.MessageID == q.changes[0].MessageID &&", nil, suite, simulated},
		{"snapshot_taken_before_the_compare_and_set", "internal/mysql/apply.go", "\"START TRANSACTION\"", "\"START TRANSACTION WITH CONSISTENT SNAPSHOT\"", nil, suite, onServer},
		{"letter_retried_without_the_cursors_lock", "internal/mysql/deadletters.go", "cursor, err := t.readCursor(ctx, s, \" FOR UPDATE\")", "cursor, err := t.readCursor(ctx, s, \"\")", nil, suite, onServer},
		{"decision_overwrites_a_cursor_that_moved", "internal/mysql/operator.go", " || found.Position != d.Expect.Position {", " {", nil, suite, onServer},
	}
}

// stormy says which machine has to find which of the bugs of bugs. The rest is
// left to the ordinary tests; plain says why.
func stormy() map[string]string {
	return map[string]string{
		"advance_over_a_parked_row":            simulated,
		"read_ahead_overtakes_a_refused_batch": simulated,
		"parked_without_a_canary":              simulated,
		"operators_decision_forgotten":         simulated,
		"history_doubled_at_first_start":       simulated,
		"edits_in_order_of_arrival":            simulated,
		"doubtful_commit_taken_for_lost":       simulated,
		"cursor_that_went_back_accepted":       simulated,
		"lost_cursor_made_anew":                simulated,
		"whole_batches_retried_while_failing":  simulated,
		"no_compare_and_set":                   onServer,
		"cursor_committed_apart_from_the_rows": onServer,
		"ledger_ahead_of_its_cursor":           onServer,
		"emptied_table_goes_unnoticed":         onServer,
		"ids_trusted":                          onServer,
		"no_anchor_check":                      onFile,
		"rewound_source_goes_unnoticed":        onFile,
		"read_transaction_left_open":           onFile,
		"redelivery_stored_twice":              chaotic,
		"unsent_text_stays_in_the_WAL":         chaotic,
		"any_signature_accepted":               chaotic,
	}
}

// plain says why a bug is left to the ordinary tests: no storm ends in another
// result because of it.
func plain() map[string]string {
	return map[string]string{
		"no_source_id_check":            "the anchors tell two files apart as well, where both have rows at their positions",
		"a_strangers_row_is_touched":    "needs a stranger's row with a used id, in the same second and direction",
		"fsnotify_without_poll":         "the doorbell rings for every commit of a storm",
		"doorbell_never_rings":          "polling finds everything a second later",
		"acknowledged_without_fsync":    "a killed process loses nothing that it handed to the kernel",
		"restored_table_goes_unnoticed": "the histories restore a table and resume at once; strangers do not use its ids in between",
		"restored_state_goes_unnoticed": "the histories do not restore the state tables alone",
	}
}

func TestBugs_have_a_machine_or_a_reason(t *testing.T) {
	machines, reasons := stormy(), plain()
	for _, b := range bugs() {
		if (machines[b.name] == "") == (reasons[b.name] == "") {
			t.Errorf("%s needs either a machine of the storm or a reason why none finds it", b.name)
		}
	}
	for _, b := range interleaved() {
		if b.planted(t) == "" {
			t.Errorf("%s is empty", b.name)
		}
	}
}
