package watcher

import "time"

// recheck is the timer behind events. Only the run loop touches it.
type recheck struct {
	schedule Recheck
	timer    *time.Timer
	// wait is the time that the timer was set to; 0 while it is off.
	wait time.Duration
}

func newRecheck(schedule Recheck) *recheck {
	timer := time.NewTimer(schedule.Last)
	timer.Stop()
	return &recheck{schedule: schedule, timer: timer}
}

// start begins the series anew.
func (r *recheck) start() { r.set(r.schedule.First) }

// deadline sets the timer to fire once, unless it is on: the time counts from
// the first event, so that a stream of events cannot put it off for ever.
func (r *recheck) deadline() {
	if r.wait == 0 {
		r.set(r.schedule.Last)
	}
}

// fired goes on with the series, or ends it.
func (r *recheck) fired() {
	if next := 2 * r.wait; next <= r.schedule.Last {
		r.set(next)
		return
	}
	r.wait = 0
}

// stop turns the timer off.
func (r *recheck) stop() {
	if r.wait != 0 {
		r.timer.Stop()
		r.wait = 0
	}
}

func (r *recheck) set(wait time.Duration) {
	r.wait = wait
	r.timer.Reset(wait)
}
