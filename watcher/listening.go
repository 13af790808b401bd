package watcher

import (
	"errors"
	"io/fs"
)

// listen sees to it that the ears are open and at the right place, and returns
// true where it has opened them just now.
func (l *loop) listen() bool {
	if l.w.opts.PollOnly {
		return false
	}
	place := locate(l.w.path)
	if l.ears != nil && !l.worn && place.same(l.place) {
		return false
	}
	l.closeEars()
	l.place, l.worn = place, false
	if len(place.dirs) == 0 {
		l.hasNoDirectory()
		return false
	}
	ears, err := l.w.listen(place.paths())
	if err != nil {
		l.cannotListen(err)
		return false
	}
	l.ears = ears
	l.hearing.begin(place)
	l.canListen()
	return true
}

func (l *loop) closeEars() {
	if l.ears == nil {
		return
	}
	if err := l.ears.close(); err != nil {
		l.log.Warn("closing file events went wrong", "err", err)
	}
	l.ears = nil
}

// hasNoDirectory logs once that there is nothing to listen to yet.
func (l *loop) hasNoDirectory() {
	l.hearing = hearing{}
	l.judge(func() { l.failed = false })
	if !l.missing {
		l.log.Info("the database's directory is not there; polling for it", "poll_interval", l.w.opts.PollInterval)
	}
	l.missing = true
}

// cannotListen logs once that wake-ups come from polling only.
func (l *loop) cannotListen(err error) {
	if errors.Is(err, fs.ErrNotExist) { // deleted since we looked
		l.hasNoDirectory()
		return
	}
	l.hearing = hearing{}
	if !l.failed {
		l.log.Warn("file events are not available; polling only", "poll_interval", l.w.opts.PollInterval, "err", err)
	}
	l.judge(func() { l.failed = true })
}

// canListen ends both states.
func (l *loop) canListen() {
	if l.failed || l.missing {
		l.log.Info("listening to file events")
	}
	l.missing = false
	l.judge(func() { l.failed = false })
}

// judge lets change learn something and reports whether we are deaf by now.
func (l *loop) judge(change func()) {
	was := l.hearing.deaf
	change()
	switch deaf := l.hearing.deaf; {
	case deaf && !was:
		l.log.Warn("polling finds changes that no file event told of; wake-ups come from polling only",
			"poll_interval", l.w.opts.PollInterval)
	case was && !deaf:
		l.log.Info("file events arrive again")
	}
	l.w.deaf.Store(l.failed || l.hearing.deaf)
}
