package watcher

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
)

// Watcher wakes whoever reads a database file. Its methods are safe for
// concurrent use.
type Watcher struct {
	path   string
	opts   Options
	wakeup chan struct{}
	deaf   atomic.Bool
	runs   atomic.Bool
	// listen opens the events of some directories; tests put silence or
	// errors in its place.
	listen func(dirs []string) (*ears, error)
}

// New returns a Watcher of the database file at path, which need not exist
// yet, nor its directory. It touches no file: Run does the work.
func New(path string, opts Options) (*Watcher, error) {
	if path == "" {
		return nil, errors.New("watcher: the path is empty")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("watcher: %w", err)
	}
	opts, err = opts.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Watcher{path: path, opts: opts, wakeup: make(chan struct{}, 1), listen: listen}, nil
}

// Wakeups returns the channel of wake-ups. It holds at most one, sending to it
// never blocks, and it is never closed.
func (w *Watcher) Wakeups() <-chan struct{} { return w.wakeup }

// Deaf tells whether events were asked for and do not arrive, so that only
// polling wakes. It is false before Run.
func (w *Watcher) Deaf() bool { return w.deaf.Load() }

// Run watches until ctx ends and then returns nil; all of its goroutines have
// ended by then. It wakes once at the start. Trouble with events is logged and
// lived with, so the only error is a second Run beside the first.
func (w *Watcher) Run(ctx context.Context) error {
	if !w.runs.CompareAndSwap(false, true) {
		return errors.New("watcher: already running")
	}
	defer w.runs.Store(false)
	l := newLoop(w)
	defer l.close()
	l.run(ctx)
	return nil
}

// wake leaves a wake-up for the reader, or merges with the one that is there.
func (w *Watcher) wake(cause string) {
	select {
	case w.wakeup <- struct{}{}:
	default:
	}
	if w.opts.OnWake != nil {
		w.opts.OnWake(cause)
	}
}
