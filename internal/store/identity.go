package store

import (
	"errors"
	"fmt"
	"os"
)

// identity remembers which files are open, so that a commit into a file that
// nobody can find any more is not taken for stored. It only stats: opening and
// closing one of these files would drop SQLite's locks on it.
type identity struct {
	files map[string]os.FileInfo
}

// identify is called when SQLite has the files open.
func identify(database string) (*identity, error) {
	id := &identity{files: map[string]os.FileInfo{}}
	for _, path := range []string{database, database + "-wal"} {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		id.files[path] = info
	}
	return id, nil
}

// check returns ErrReplaced where a path is gone or names another file. Only
// the last connection to close deletes a -wal, so while ours is open a missing
// one was removed by someone else.
func (id *identity) check() error {
	for path, open := range id.files {
		there, err := os.Stat(path)
		switch {
		case errors.Is(err, os.ErrNotExist):
			return errReplaced()
		case err != nil:
			// What cannot be looked at is not known to be replaced.
		case !os.SameFile(there, open):
			return errReplaced()
		}
	}
	return nil
}

func errReplaced() error { return fmt.Errorf("%w: %w", ErrStore, ErrReplaced) }
