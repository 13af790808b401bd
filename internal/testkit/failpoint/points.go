// Package failpoint builds the programs with named points in them at which a
// process ends itself by SIGKILL.
//
// The sources carry neither calls nor switches for it: a point is a replacement
// of text in one file, compiled by `go build -overlay`. What users get is built
// without the overlay and holds nothing of it. A test checks both, and that
// every replacement still fits its file.
package failpoint

import "sidestream/internal/testkit/failpoint/hook"

// Program is one of the two programs.
type Program string

// The programs.
const (
	Writer     Program = "writer"
	Replicator Program = "replicator"
)

// Point is a named place in a program.
type Point struct {
	Name    string
	Program Program
}

// RowsRead lies before a transaction, CommitAnswered and LoopEnd behind it.
const (
	RowsRead       = "rows read"
	CommitAnswered = "COMMIT answered"
	LoopEnd        = "loop end"
)

// Points returns all points, in the order in which a message passes them.
func Points() []Point {
	return []Point{
		// The request's body is read.
		{"received", Writer},
		// Its signature is right.
		{"verified", Writer},
		// The delivery waits for the goroutine that writes.
		{"queued", Writer},
		// SQLite's COMMIT has returned.
		{"committed", Writer},
		// The byte is written into the doorbell.
		{"doorbell", Writer},
		// The kernel has the whole answer.
		{hook.Answered, Writer},

		// Changes are read and the read transaction is closed.
		{RowsRead, Replicator},
		{hook.CompareAndSetSent, Replicator},
		{hook.RecordsSent, Replicator},
		{hook.LedgerSent, Replicator},
		// An edit or an unsend of a row that an earlier transaction wrote.
		{hook.EditsSent, Replicator},
		{hook.CommitSent, Replicator},
		// The server has said that it is committed; the loop does not know yet.
		{CommitAnswered, Replicator},
		// The loop has taken it over.
		{LoopEnd, Replicator},
	}
}

// edit is a replacement in one file.
type edit struct {
	// file is relative to the module's root; old must stand in it exactly once.
	file, old, new string
}

// call is the statement that passes a point.
func call(point string) string { return `failpoint.Pass("` + point + `")` }

func edits() []edit {
	return []edit{
		{"internal/webhook/receive.go", "\tsecrets, err := h.secrets()\n", "\t" + call("received") + "\n\tsecrets, err := h.secrets()\n"},
		{"internal/webhook/receive.go", "\tdecoded := Decode(", "\t" + call("verified") + "\n\tdecoded := Decode("},
		{"internal/store/store.go", "\tselect {\n\tcase <-r.done:\n", "\t" + call("queued") + "\n\tselect {\n\tcase <-r.done:\n"},
		{"internal/store/writer.go", "\tif t.inserted > 0 {\n\t\tw.bell.ring()\n", "\t" + call("committed") + "\n\tif t.inserted > 0 {\n\t\tw.bell.ring()\n\t\t" + call("doorbell") + "\n"},
		{"internal/app/writer/run.go", "\tserver := &http.Server{\n", "\tserver := &http.Server{\n\t\tConnState: failpoint.State,\n"},
		{"replicator/queue.go", "\tq := queue{from: from.Position, until", "\tif len(chunk.Changes) > 0 {\n\t\t" + call(RowsRead) + "\n\t}\n\tq := queue{from: from.Position, until"},
		{"internal/mysql/session.go", "\tcfg.InterpolateParams = true\n", "\tcfg.InterpolateParams = true\n\tcfg.DialFunc = failpoint.Dial\n"},
		{"internal/mysql/apply.go", "\t_, err := s.exec(ctx, \"COMMIT\")\n\tif err == nil {\n", "\t_, err := s.exec(ctx, \"COMMIT\")\n\tif err == nil {\n\t\t" + call(CommitAnswered) + "\n"},
		{"replicator/replicator.go", "\t\tprogress, err := r.Step(work)\n", "\t\tprogress, err := r.Step(work)\n\t\tif progress && err == nil {\n\t\t\t" + call(LoopEnd) + "\n\t\t}\n"},
	}
}
