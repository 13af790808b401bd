package main

import (
	"context"
	"errors"
)

// numbers are how far the messages have come at one moment.
type numbers struct {
	sent, acknowledged, inSource, inCRM int
	status                              status
}

// look takes the numbers. Each is read before those that may only be higher, so
// that no line shows a message in the CRM that SQLite does not hold.
func look(ctx context.Context, s *stage, t *traffic) (numbers, error) {
	var n numbers
	var failed [3]error
	n.inCRM, failed[0] = s.crm.count(ctx)
	n.acknowledged = t.acknowledged()
	n.inSource, failed[1] = s.source.messages(ctx)
	n.sent = int(t.sent.messages.Load())
	n.status, failed[2] = s.status(ctx)
	return n, errors.Join(failed[:]...)
}
