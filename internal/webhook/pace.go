package webhook

import (
	"log/slog"
	"sync"
	"time"
)

// logInterval is the shortest time between two lines that say the same.
const logInterval = time.Minute

// paces holds a pace for each kind of line.
type paces struct {
	handshake, secrets, signature, overload, room, commit, undecoded pace
}

// pace lets one line through per logInterval and counts the others.
type pace struct {
	mu    sync.Mutex
	last  time.Time
	since int
}

// take tells whether a line may be written at now, and how many times it
// happened since the last line, this time included.
func (p *pace) take(now time.Time) (int, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.since++
	if !p.last.IsZero() && now.Sub(p.last) < logInterval {
		return 0, false
	}
	times := p.since
	p.last, p.since = now, 0
	return times, true
}

// complain writes a warning, or an error where err is set, at the given pace.
func (h *Handler) complain(p *pace, message string, err error) {
	times, ok := p.take(h.opts.Now())
	if !ok {
		return
	}
	if err == nil {
		h.log.Warn(message, slog.Int("times", times)) //nolint:sloglint // the callers' messages are constants
		return
	}
	h.log.Error(message, slog.Int("times", times), slog.Any("err", err)) //nolint:sloglint // the callers' messages are constants
}
