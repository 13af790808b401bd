package replicator

import (
	"errors"
	"fmt"
)

// Class says who can do something about a failure.
type Class string

// The three classes. Data failures concern single rows; everything else
// concerns all of them.
const (
	Transient Class = "transient"
	Blocked   Class = "blocked"
	Data      Class = "data"
)

// Failure is an error with what the loop and the operator need to know of it.
// Its text never quotes row content: servers' texts do, so they are translated.
type Failure struct {
	Class Class
	// Reason is one snake_case word group from a bounded set: a metric label.
	Reason string
	// Code is the server's or SQLite's error number in decimal, or empty.
	Code string
	// Detail says in our own words what was found, without row content.
	Detail string
	// Hint is the operator's next command or step, or empty.
	Hint string
	// Slow asks for minutes between attempts: hosts ban addresses that knock.
	Slow bool
	// Doubtful is set where a COMMIT was sent and its answer is missing.
	Doubtful bool
	// Answered is set where the target's server was there and what it said, or
	// what was found in it, is the failure.
	Answered bool
	// Unknown is set on a server error that the table of classes does not
	// hold: transient at first, bisected where it persists.
	Unknown bool
	// Row is the 1-based row of the batch's inserts that the server named, or 0.
	Row int
	// Err is the cause, for errors.Is; its text is not shown.
	Err error
}

// ReasonMoved is the reason of a compare-and-set that matched no row: another
// replicator or an operator moved the cursor.
const ReasonMoved = "cursor_moved"

// Error returns class, reason, code and detail; never the cause's text.
func (f *Failure) Error() string {
	s := string(f.Class) + ": " + f.Reason
	if f.Code != "" {
		s += " (" + f.Code + ")"
	}
	if f.Detail != "" {
		s += ": " + f.Detail
	}
	return s
}

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// AsFailure returns err as a Failure. An error that is none is transient and
// unknown.
func AsFailure(err error) *Failure {
	if f, ok := errors.AsType[*Failure](err); ok {
		return f
	}
	return &Failure{Class: Transient, Reason: "internal", Unknown: true, Detail: fmt.Sprintf("%T", err), Err: err}
}
