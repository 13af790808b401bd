package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"syscall"

	"github.com/mattn/go-sqlite3"

	"sidestream/replicator"
)

// The reasons that more than one place needs to know.
const (
	reasonBusy       = "source_busy"
	reasonIdle       = "source_idle"
	reasonIO         = "source_io"
	reasonCorrupt    = "source_corrupt"
	reasonPermission = "source_permission"
	reasonMissing    = "source_missing"
	reasonNotReady   = "source_not_ready"
	reasonSchema     = "source_schema"
	reasonJournal    = "source_journal_mode"
	reasonWritable   = "source_writable"
	reasonFilesystem = "source_filesystem"
	reasonWouldHarm  = "source_would_harm"
	reasonReplaced   = "source_replaced"
	reasonDiverged   = "source_diverged"
	reasonRewound    = "source_rewound"
	reasonJump       = "source_position_jump"
)

// Extended codes that the driver has no name for.
const (
	errIOData      = sqlite3.ErrNoExtended(10 | 32<<8)
	errIOCorruptFS = sqlite3.ErrNoExtended(10 | 33<<8)
)

// transient is a failure that may pass by itself.
func transient(reason, hint, format string, args ...any) *replicator.Failure {
	return &replicator.Failure{
		Class: replicator.Transient, Reason: reason, Hint: hint, Detail: fmt.Sprintf(format, args...),
	}
}

// blocked is a failure that needs a person.
func blocked(reason, hint, format string, args ...any) *replicator.Failure {
	return &replicator.Failure{
		Class: replicator.Blocked, Reason: reason, Hint: hint, Detail: fmt.Sprintf(format, args...),
	}
}

// classify returns err as a *Failure. SQLite's errors go by their code, never
// by their text, which names tables, columns and paths in its own words.
func classify(err error) *replicator.Failure {
	if failure, ok := errors.AsType[*replicator.Failure](err); ok {
		return failure
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		failure := transient(reasonBusy, "", "the read was interrupted")
		failure.Err = err
		return failure
	}
	sqliteErr, ok := errors.AsType[sqlite3.Error](err)
	if !ok {
		failure := transient(reasonIO, "", "unexpected error of type %T", err)
		failure.Unknown, failure.Err = true, err
		return failure
	}
	failure := classifyCode(sqliteErr)
	failure.Code = strconv.Itoa(int(sqliteErr.ExtendedCode))
	failure.Err = err
	return failure
}

// classifyCode holds the table of SQLite's result codes
// (https://www.sqlite.org/rescode.html).
func classifyCode(err sqlite3.Error) *replicator.Failure {
	switch err.ExtendedCode {
	case sqlite3.ErrReadonlyRollback:
		return transient(reasonIdle, "start the writer: it rolls the journal back",
			"a crashed writer left a journal that only a writer can roll back")
	case errIOData, errIOCorruptFS:
		return corrupt()
	}
	if err.SystemErrno == syscall.EMFILE || err.SystemErrno == syscall.ENFILE {
		return transient(reasonIO, "raise the limit of open files", "no file can be opened%s", errnoText(err))
	}
	switch err.Code {
	case sqlite3.ErrBusy, sqlite3.ErrLocked, sqlite3.ErrProtocol, sqlite3.ErrSchema, sqlite3.ErrInterrupt, sqlite3.ErrAbort:
		return transient(reasonBusy, "", "SQLite is busy")
	case sqlite3.ErrIoErr, sqlite3.ErrNomem, sqlite3.ErrFull:
		return transient(reasonIO, "", "SQLite cannot read the file%s", errnoText(err))
	case sqlite3.ErrCantOpen, sqlite3.ErrReadonly:
		return transient(reasonIdle, "start the writer: it makes the -wal and -shm files that a read-only reader needs",
			"the database cannot be read while the writer is stopped%s", errnoText(err))
	case sqlite3.ErrCorrupt, sqlite3.ErrNotADB:
		return corrupt()
	case sqlite3.ErrPerm, sqlite3.ErrAuth:
		return blocked(reasonPermission, "let this user read the database and its directory", "SQLite was refused access")
	case sqlite3.ErrError:
		return blocked(reasonSchema, "run `replicator check`", "SQLite does not understand the query for this schema")
	default:
		failure := transient(reasonIO, "", "SQLite answers with a code that is not expected here")
		failure.Unknown = true
		return failure
	}
}

func corrupt() *replicator.Failure {
	return blocked(reasonCorrupt,
		"stop the writer, check the file with `PRAGMA integrity_check`, and restore it without the old -wal and -shm",
		"the file is damaged, or a -wal of another file lies beside it")
}

// errnoText adds the operating system's reason where there is one.
func errnoText(err sqlite3.Error) string {
	if err.SystemErrno == 0 {
		return ""
	}
	return ": " + err.SystemErrno.Error()
}
