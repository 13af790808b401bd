package writer

import (
	"context"
	"errors"

	"sidestream/internal/app/console"
	"sidestream/internal/store"
)

// replaced ends the writer where a commit has met a database file that was
// deleted or replaced: it would answer every delivery with 500 from then on,
// and a restart opens the file that is there now.
type replaced struct{ met chan error }

func newReplaced() *replaced { return &replaced{met: make(chan error, 1)} }

// watch looks at a commit's error.
func (r *replaced) watch(err error) {
	if errors.Is(err, store.ErrReplaced) {
		select {
		case r.met <- err:
		default: // the first one is enough
		}
	}
}

// run returns an error when it has happened.
func (r *replaced) run(ctx context.Context) error {
	select {
	case err := <-r.met:
		return replacedError(err)
	case <-ctx.Done():
		return nil
	}
}

func replacedError(err error) error {
	return &console.HintError{Err: err, Hint: "put the database back where it was, with its -wal, and start the writer; what was refused is delivered again"}
}
