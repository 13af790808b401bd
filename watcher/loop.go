package watcher

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// loop is the state of one Run. Only its goroutine touches it.
type loop struct {
	w        *Watcher
	log      *slog.Logger
	place    place
	identity identity
	hearing  hearing
	recheck  *recheck
	// ears are nil while there is nothing to listen to or with.
	ears *ears
	// worn says that the ears reported an error: the next poll opens new ones.
	worn bool
	// rings says that the writer rings the doorbell, so that other events need
	// no wake-up of their own.
	rings bool
	// failed says that ears could not be opened, missing that there is no
	// directory; both were logged.
	failed, missing bool
}

func newLoop(w *Watcher) *loop {
	return &loop{
		w:       w,
		log:     w.opts.Logger.With("database", w.path),
		recheck: newRecheck(w.opts.Recheck),
	}
}

// run is the whole of it: whatever comes first, wake.
func (l *loop) run(ctx context.Context) {
	ticker := time.NewTicker(l.w.opts.PollInterval)
	defer ticker.Stop()
	l.poll()
	for {
		var events <-chan fsnotify.Event
		var errs <-chan error
		if l.ears != nil {
			events, errs = l.ears.events, l.ears.errors
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			l.poll()
		case <-l.recheck.timer.C:
			l.again()
		case event, ok := <-events:
			if ok {
				l.event(event)
			} else {
				l.lost(fsnotify.ErrClosed)
			}
		case err, ok := <-errs:
			if !ok {
				err = fsnotify.ErrClosed
			}
			l.lost(err)
		}
	}
}

// close ends what run has started.
func (l *loop) close() {
	l.recheck.stop()
	l.closeEars()
}

// poll wakes, whatever it finds. Ears come first: what happens after they are
// open is heard, and this wake-up covers what happened before.
func (l *loop) poll() {
	if !l.listen() {
		l.judge(l.hearing.poll)
	}
	if l.identity.replaced(os.Stat(l.w.path)) {
		l.replaced()
		return
	}
	l.w.wake(CausePoll)
}

// again is the timer behind an event. A ring would have stopped it, so events
// count for themselves until the next one.
func (l *loop) again() {
	l.rings = false
	l.recheck.fired()
	l.w.wake(CauseRecheck)
}

// event wakes for what happens to our files.
func (l *loop) event(event fsnotify.Event) {
	path := filepath.Clean(event.Name)
	gone := event.Has(fsnotify.Remove | fsnotify.Rename)
	if gone && l.place.isDir(path) {
		// The ears went with the directory. It may be back already.
		l.closeEars()
		l.listen()
		l.w.wake(CauseEvent)
		return
	}
	role, ours := l.place.roles[path]
	if !ours {
		return
	}
	content := event.Op&^fsnotify.Chmod != 0
	l.judge(func() { l.hearing.heard(path, content) })
	switch {
	case !content:
	case role == doorbell:
		if event.Has(fsnotify.Write | fsnotify.Create) {
			l.ring()
		}
	case role == database && l.identity.replaced(os.Stat(l.w.path)):
		l.replaced()
	case l.rings:
		l.recheck.deadline()
	default:
		l.recheck.start()
		l.w.wake(CauseEvent)
	}
}

// ring wakes for a commit that is readable. It makes up for the events before
// it, unless they may be another writer's.
func (l *loop) ring() {
	if !l.w.opts.Foreign {
		l.rings = true
		l.recheck.stop()
	}
	l.w.wake(CauseDoorbell)
}

// replaced wakes for another file under the name, and again, because its writer
// may be another one too. Where the name is a symbolic link, the file may be in
// another place.
func (l *loop) replaced() {
	l.listen()
	l.recheck.start()
	l.w.wake(CauseReplaced)
}

// lost wakes because events may be missing. The ears go on: what they still
// hear is of use, and new ones come with the next poll, not in a tight circle.
func (l *loop) lost(err error) {
	if !l.worn {
		l.log.Warn("file events were lost; the next poll listens anew", "err", err)
	}
	l.worn = true
	if errors.Is(err, fsnotify.ErrClosed) {
		l.closeEars()
	}
	l.w.wake(CauseOverflow)
}
