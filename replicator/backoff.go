package replicator

import (
	"context"
	"time"
)

// The pace of attempts. Refused logins and connection limits get minutes: hosts
// ban addresses that knock.
const (
	firstBackoff = 100 * time.Millisecond
	slowFirst    = time.Minute
	slowLast     = 15 * time.Minute
)

// backoff returns how long to wait after the n-th failure in a row (from 1):
// exponential with full jitter. A slow one never drops below a minute.
func backoff(n int, slow bool, longest time.Duration, random float64) time.Duration {
	first, last, least := firstBackoff, longest, time.Duration(0)
	if slow {
		first, last, least = slowFirst, slowLast, slowFirst
	}
	d := first
	for i := 1; i < n && d < last; i++ {
		d *= 2
	}
	d = min(d, last)
	return max(least, time.Duration(random*float64(d)))
}

// waitToRetry waits for the next attempt after a failure. It returns false when
// ctx ended.
func (r *Replicator) waitToRetry(ctx context.Context, err error) bool {
	f := AsFailure(err)
	if f.Reason == ReasonMoved {
		return ctx.Err() == nil
	}
	n := r.consecutive()
	wait := backoff(n, f.Slow, r.opt.MaxBackoff, r.opt.Random())
	r.setNextAttempt(r.opt.Now().Add(wait))
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-r.opt.Retry:
	case <-timer.C:
	}
	return true
}

// waitForWork waits for a hint that there is something to read. It returns
// false when ctx ended.
func (r *Replicator) waitForWork(ctx context.Context) bool {
	idle := r.loadedAt.Add(r.opt.IdleReload).Sub(r.opt.Now())
	if idle <= 0 {
		r.loaded = false
		return ctx.Err() == nil
	}
	timer := time.NewTimer(idle)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-r.opt.Wakeups:
	case <-timer.C:
		r.loaded = false
	}
	return true
}
