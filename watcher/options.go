package watcher

import (
	"fmt"
	"log/slog"
	"time"
)

// Options sets up a Watcher. The zero value is the default.
type Options struct {
	// PollInterval is the time between polls, and so the longest that a commit
	// waits where no event arrives. Defaults to 1s.
	PollInterval time.Duration
	// Recheck is the schedule of wake-ups behind an event.
	Recheck Recheck
	// Foreign says that writers other than ours, which ring no doorbell, write
	// to the database as well: each event on it or its -wal wakes at once and is
	// re-checked, whether the doorbell rings or not. Where it is false, that is
	// so until the doorbell has rung, and again when a ring stays out.
	Foreign bool
	// PollOnly listens to no events at all, for file shares that deliver none.
	PollOnly bool
	// OnWake is told the cause of each wake-up, also of one that merges with
	// another that was not taken yet. It runs on Run's goroutine and must not
	// block. Defaults to nothing.
	OnWake func(cause string)
	// Logger defaults to none.
	Logger *slog.Logger
}

// Recheck is a series of wake-ups behind an event: the first after First, each
// next one after twice the time, the last one after Last or the greatest
// doubling below it. A new event starts the series again.
type Recheck struct {
	// First defaults to 0.25ms.
	First time.Duration
	// Last defaults to 16ms. While the doorbell rings it is also the time that a
	// ring may stay behind an event on -wal.
	Last time.Duration
}

// withDefaults fills in what was left empty and names the first bad field.
func (o Options) withDefaults() (Options, error) {
	if o.PollInterval == 0 {
		o.PollInterval = time.Second
	}
	if o.Recheck.First == 0 {
		o.Recheck.First = 250 * time.Microsecond
	}
	if o.Recheck.Last == 0 {
		o.Recheck.Last = max(16*time.Millisecond, o.Recheck.First)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case o.PollInterval < 0:
		return o, fmt.Errorf("watcher: PollInterval %v is negative", o.PollInterval)
	case o.Recheck.First < 0:
		return o, fmt.Errorf("watcher: Recheck.First %v is negative", o.Recheck.First)
	case o.Recheck.Last < o.Recheck.First:
		return o, fmt.Errorf("watcher: Recheck.Last %v is below Recheck.First %v", o.Recheck.Last, o.Recheck.First)
	}
	return o, nil
}
