package store

import (
	"errors"
	"fmt"

	sqlite3 "github.com/mattn/go-sqlite3"
)

var (
	// ErrOverloaded says that too many deliveries wait already, or that the store
	// is closing. Nothing of the delivery was stored.
	ErrOverloaded = errors.New("store: overloaded")
	// ErrStore is every other reason why a delivery could not be stored. The
	// sender should deliver again; what was stored after all is then a duplicate.
	ErrStore = errors.New("store: not stored")
	// ErrRefused is an ErrStore that lies in what the delivery contains, such as
	// an unknown kind: delivering it again changes nothing.
	ErrRefused = errors.New("refused by the schema")
	// ErrFull is an ErrStore for a full disk.
	ErrFull = errors.New("disk or database is full")
	// ErrReplaced is an ErrStore for a database file, or a -wal beside it, that
	// was deleted or replaced while it was open: what is committed now would be
	// lost. It lasts until the file is back or the program has been restarted.
	ErrReplaced = errors.New("the database file was deleted or replaced while open; restart the writer")
	// ErrNotFound is returned for an undecoded delivery that is not there (any more).
	ErrNotFound = errors.New("store: no such undecoded delivery")
)

// SQLiteError is an error of SQLite in our own words: SQLite's texts may quote
// what they are about. It matches ErrStore, and ErrRefused or ErrFull where
// that is the reason.
type SQLiteError struct {
	// Op is what was being done.
	Op string
	// Code is SQLite's extended result code.
	Code int
	text string
}

// Error returns the operation, the code and SQLite's fixed text for it.
func (e *SQLiteError) Error() string {
	return fmt.Sprintf("store: %s: %s (%d)", e.Op, e.text, e.Code)
}

// Is makes errors.Is work with this package's sentinels.
func (e *SQLiteError) Is(target error) bool {
	switch target {
	case ErrStore:
		return true
	case ErrRefused:
		return e.primary() == sqlite3.ErrConstraint || e.primary() == sqlite3.ErrTooBig ||
			e.primary() == sqlite3.ErrMismatch || e.primary() == sqlite3.ErrRange
	case ErrFull:
		return e.primary() == sqlite3.ErrFull
	default:
		return false
	}
}

func (e *SQLiteError) primary() sqlite3.ErrNo { return sqlite3.ErrNo(e.Code & 0xff) }

// translate turns an error of the driver into one that matches ErrStore.
func translate(op string, err error) error {
	var known *SQLiteError
	if err == nil || errors.As(err, &known) || errors.Is(err, ErrStore) {
		return err
	}
	var e sqlite3.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("%w: %s: %w", ErrStore, op, err)
	}
	code := int(e.ExtendedCode)
	if code == 0 {
		code = int(e.Code)
	}
	text := e.Code.Error()
	if e.SystemErrno != 0 {
		text += ": " + e.SystemErrno.Error()
	}
	return &SQLiteError{Op: op, Code: code, text: text}
}

// mayBeOne tells whether an error in a transaction of many deliveries may be
// the fault of one of them. A broken or locked database is nobody's, and trying
// it once for each delivery would only take longer.
func mayBeOne(err error) bool {
	var e *SQLiteError
	if !errors.As(err, &e) {
		return false
	}
	switch e.primary() {
	case sqlite3.ErrBusy, sqlite3.ErrLocked, sqlite3.ErrIoErr, sqlite3.ErrCorrupt, sqlite3.ErrNotADB,
		sqlite3.ErrReadonly, sqlite3.ErrCantOpen, sqlite3.ErrProtocol, sqlite3.ErrNomem, sqlite3.ErrPerm:
		return false
	default:
		return true
	}
}
