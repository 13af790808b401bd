package usernames

import "time"

const (
	// refusedPause is how long lookups rest after a refusal: a renewed token is
	// noticed at once, a permission given at Instagram's is not.
	refusedPause = 15 * time.Minute
	// throttledPause is used where the answer names no time, throttledMax where
	// it names a long one: one request per hour hurts nobody, and a wrong header
	// must not end lookups.
	throttledPause = time.Minute
	throttledMax   = time.Hour
	// strikesAllowed is how many lookups in a row may fail before all rest,
	// first for strikesPause, then doubling up to strikesMax: while the API is
	// down or slow, each batch would wait its full deadline for nothing.
	strikesAllowed = 8
	strikesPause   = 5 * time.Second
	strikesMax     = time.Minute
)

// pauses says why lookups rest and until when. It is guarded by Cache.mu.
type pauses struct {
	// until holds a time for each reason that is in force. It stays there past
	// that time until an answer proves the reason gone: the metric must not
	// say "fine" because nobody has tried.
	until map[Outcome]time.Time
	// strikes counts lookups that failed in a row.
	strikes int
}

// active tells whether lookups rest at this moment.
func (p *pauses) active(now time.Time) bool {
	for _, until := range p.until {
		if now.Before(until) {
			return true
		}
	}
	return false
}

// note takes an answer into account. It returns how long the answer makes
// lookups rest, or 0.
func (p *pauses) note(a Answer, now time.Time) time.Duration {
	if a.Outcome != Temporary {
		p.strikes = 0
	}
	var d time.Duration
	switch {
	case a.Outcome.refused():
		d = refusedPause
	case a.Outcome == Throttled:
		d = min(a.RetryAfter, throttledMax)
		if d <= 0 {
			d = throttledPause
		}
	case a.Outcome == Temporary:
		if now.Before(p.until[Temporary]) {
			return 0 // Set off before the pause: no news.
		}
		p.strikes++
		if p.strikes < strikesAllowed {
			return 0
		}
		d = backoff(strikesPause, strikesMax, p.strikes-strikesAllowed)
	default:
		return 0
	}
	if until := now.Add(d); until.After(p.until[a.Outcome]) {
		p.until[a.Outcome] = until
	}
	return d
}

// refused tells whether a refusal is in force, its time being over or not.
func (p *pauses) refused() bool {
	for reason := range p.until {
		if reason.refused() {
			return true
		}
	}
	return false
}

// settle drops the reasons whose time is over, because an answer has come
// through. It tells whether there were any and none is left.
func (p *pauses) settle(now time.Time) bool {
	before := len(p.until)
	for reason, until := range p.until {
		if !now.Before(until) {
			delete(p.until, reason)
		}
	}
	return before > 0 && len(p.until) == 0
}

// lift drops the refusals: what was refused has been changed.
func (p *pauses) lift() {
	for reason := range p.until {
		if reason.refused() {
			delete(p.until, reason)
		}
	}
}

// backoff doubles first n times, up to most.
func backoff(first, most time.Duration, n int) time.Duration {
	for range n {
		if first *= 2; first >= most {
			return most
		}
	}
	return first
}
