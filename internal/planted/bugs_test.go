package planted_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// bug is a defence that is taken away.
type bug struct {
	name string
	// file is relative to the module's root; old must stand in it exactly once.
	file, old, new string
	// and holds further replacements in the same file.
	and [][2]string
	// suite is the package whose tests must notice, run narrows them down.
	suite, run string
}

const root = "../.."

func bugs() []bug {
	return []bug{
		{"no_compare_and_set", "internal/mysql/apply.go", "if n != 1 && (err == nil || isNumber(err, 1020)) {", "if n < 0 && (err == nil || isNumber(err, 1020)) {", nil, "./internal/mysql", "TestTarget_conforms"},
		{"cursor_committed_apart_from_the_rows", "internal/mysql/apply.go", "\tplaces, err := t.insertRecords(ctx, s, p, tail)\n", "\t_ = commit(ctx, s)\n\tplaces, err := t.insertRecords(ctx, s, p, tail)\n", nil, "./internal/mysql", "TestTarget_conforms"},
		{"ids_trusted", "internal/mysql/insert.go", "if err != nil || count != int64(n) {", "if err != nil {", nil, "./internal/e2e", "TestTarget_table"},
		{"ledger_ahead_of_its_cursor", "internal/mysql/apply.go", "end > p.batch.From.Position {", "end < 0 {", nil, "./internal/e2e", "TestTarget_restored"},
		{"emptied_table_goes_unnoticed", "internal/mysql/rewound.go", "if tail.length == 0 || len(places) == 0 || places[0].id > last {", "if tail.length == 0 || len(places) == 0 || last > 0 {", nil, "./internal/e2e", "TestTarget_table"},
		{"restored_table_goes_unnoticed", "internal/mysql/recognise.go", "case !seen.ours && !seen.time:\n", "case !seen.ours && !seen.time && id < 0:\n", nil, "./internal/e2e", "TestTarget_backups"},
		{"restored_state_goes_unnoticed", "internal/mysql/recognise.go", "if exact == 0 && len(alike) < 2 {", "if exact >= 0 {", nil, "./internal/e2e", "TestTarget_backups"},
		{"doubtful_commit_taken_for_lost", "replicator/reload.go", "if d.attempt == found.Attempt {", "if false {", nil, "./replicator", "TestReplicator_doubtful_commit"},
		{"advance_over_a_parked_row", "replicator/queue.go", "front.Op, front.Code, front.Reason = OpPark, code, reason", "front.Op, front.Code, front.Reason = OpPass, code, reason", nil, "./replicator", ""},
		{"read_ahead_overtakes_a_refused_batch", "replicator/replicator.go", "if err != nil || next.queue.from != r.cursor.Position {", "if err != nil {", [][2]string{{"if r.queue.from != r.cursor.Position || r.queue.empty", "if r.queue.empty"}}, "./replicator", ""},
		{"no_anchor_check", "internal/sqlite/judge.go", "case c.differing > 0:\n", "case false:\n", nil, "./internal/sqlite", ""},
		{"no_source_id_check", "internal/sqlite/judge.go", "case after.SourceID != \"\" && seen.sourceID != \"\" && after.SourceID != seen.sourceID:", "case false:", nil, "./internal/sqlite", ""},
		{"rewound_source_goes_unnoticed", "internal/sqlite/judge.go", "case seen.floor < after.Position:", "case false:", nil, "./internal/sqlite", ""},
		{"fsnotify_without_poll", "watcher/loop.go", "\t\tcase <-ticker.C:\n\t\t\tl.poll()\n", "\t\tcase <-ticker.C:\n", nil, "./watcher", ""},
		{"read_transaction_left_open", "internal/sqlite/session.go", "\tif err := s.conn.exec(\"COMMIT\"); err != nil {\n", "\tif err := s.conn.exec(\"SELECT 1\"); err != nil {\n", nil, "./internal/sqlite", ""},
		{"parked_without_a_canary", "replicator/refuse.go", "if err := r.opt.Target.Probe(ctx, canary(item)); err != nil {", "if err := error(nil); err != nil {", nil, "./replicator", "TestReplicator_data"},
		{"operators_decision_forgotten", "replicator/reload.go", "found.Decision != r.cursor.Decision", "false", nil, "./replicator", ""},
		{"cursor_that_went_back_accepted", "replicator/reload.go", "case found.Position < r.cursor.Position || found.Generation < r.cursor.Generation:", "case false:", nil, "./replicator", "TestReplicator_blocked"},
		{"history_doubled_at_first_start", "replicator/beginning.go", "if !empty {", "if !empty && false {", nil, "./replicator", "TestReplicator_begin"},
		{"lost_cursor_made_anew", "replicator/reload.go", "\tif !found.Known {\n\t\tif r.cursor.Known {", "\tif !found.Known {\n\t\tif false {", nil, "./replicator", "TestReplicator_blocked"},
		{"a_strangers_row_is_touched", "internal/mysql/apply.go", "if was.UserID != \"\" {", "if false {", nil, "./internal/mysql", "TestTarget_conforms"},
		{"whole_batches_retried_while_failing", "replicator/refuse.go", "\t\tr.limit = min(r.limit, afterDataRows)\n", "", nil, "./replicator", "TestReplicator_data"},
		{"edits_in_order_of_arrival", "mapping/history.go", "return best == nil || edit.Version > best.Version", "return true", nil, "./mapping", ""},
		{"redelivery_stored_twice", "internal/store/transaction.go", "t.w.statements.insert, \"insert\", c.MessageID,", "t.w.statements.insert, \"insert\", c.MessageID+\" \",", nil, "./internal/store", ""},
		{"doorbell_never_rings", "internal/store/writer.go", "\t\tw.bell.ring()\n", "\t\t_ = w.bell\n", nil, "./internal/store", "Doorbell"},
		{"acknowledged_without_fsync", "internal/store/open.go", "\"_synchronous\": \"FULL\"", "\"_synchronous\": \"NORMAL\"", nil, "./internal/store", ""},
		{"unsent_text_stays_in_the_WAL", "internal/store/writer.go", "\t\tw.wal.mark()\n", "", nil, "./internal/store", ""},
		{"any_signature_accepted", "internal/webhook/signature.go", "if hmac.Equal(mac.Sum(nil), got) {", "if len(mac.Sum(nil)) > 0 || hmac.Equal(mac.Sum(nil), got) {", nil, "./internal/webhook", ""},
	}
}

// planted returns the file's text with the bug in it.
func (b bug) planted(tb testing.TB) string {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(root, b.file))
	if err != nil {
		tb.Fatal(err)
	}
	bad := string(text)
	for _, edit := range append([][2]string{{b.old, b.new}}, b.and...) {
		if n := strings.Count(bad, edit[0]); n != 1 {
			tb.Fatalf("%s: the text to replace stands %d times in %s", b.name, n, b.file)
		}
		bad = strings.Replace(bad, edit[0], edit[1], 1)
	}
	return bad
}

func TestBugs_fit_their_files(t *testing.T) {
	names := map[string]bool{}
	for _, b := range bugs() {
		t.Run(b.name, func(t *testing.T) {
			if b.planted(t) == "" || names[b.name] {
				t.Errorf("%s is empty or stands twice", b.name)
			}
			names[b.name] = true
		})
	}
}
