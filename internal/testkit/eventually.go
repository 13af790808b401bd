package testkit

import (
	"errors"
	"testing"
	"time"
)

// pollInterval is how often Eventually asks.
const pollInterval = 5 * time.Millisecond

var errNotYet = errors.New("not so yet")

// Eventually asks check every few milliseconds until it says true, and fails
// the test at once where that takes longer than timeout. what completes the
// sentence "after 5s still not: …". It must run on the test's goroutine, where
// check runs too.
func Eventually(tb testing.TB, timeout time.Duration, check func() bool, what string) {
	tb.Helper()
	EventuallyNil(tb, timeout, func() error {
		if check() {
			return nil
		}
		return errNotYet
	}, what)
}

// EventuallyNil is Eventually for a check that can say why: it waits for a nil
// error and reports the last one where none came.
func EventuallyNil(tb testing.TB, timeout time.Duration, check func() error, what string) {
	tb.Helper()
	if err := poll(timeout, check); err != nil {
		tb.Fatalf("after %v still not: %s: %v", timeout, what, err)
	}
}

// poll returns nil as soon as check does, or check's last error at the deadline.
// A check that is slower than the deadline still counts when it succeeds.
func poll(timeout time.Duration, check func() error) error {
	deadline := time.Now().Add(timeout)
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		err := check()
		if err == nil || !time.Now().Before(deadline) {
			return err
		}
		<-ticker.C
	}
}
