package main

import (
	"context"
	"errors"
	"time"
)

// pause is how long a person gets to read.
const pause = 700 * time.Millisecond

// journey is one delivery's way, in times since it was sent.
type journey struct {
	text              string
	answered, applied time.Duration
	row               contact
}

// introduce sends one message, and then its edit, and shows when each got where.
// The end of sending ends it without an error.
func (d *demo) introduce(whole, sending context.Context, s *stage, t *traffic) error {
	before := contact{}
	for _, title := range []string{"One message on its way", "Its edit, a moment later"} {
		d.screen.heading(title)
		j, err := follow(whole, s, t, before)
		if err != nil {
			return err
		}
		d.screen.way(j)
		before = j.row
		if !rest(sending, pause) {
			break
		}
	}
	return nil
}

// follow sends the next delivery and looks all the time whether the CRM's newest
// row still is as before.
func follow(ctx context.Context, s *stage, t *traffic, before contact) (journey, error) {
	var j journey
	var missed error
	start := time.Now()
	arrived := make(chan struct{})
	go func() {
		defer close(arrived)
		missed = await(ctx, patience, time.Millisecond, func(ctx context.Context) (_ bool, err error) {
			j.row, err = s.crm.last(ctx)
			return j.row != before, err
		})
		j.applied = time.Since(start)
	}()
	delivery, err := t.deliver(ctx, t.intro)
	j.answered = time.Since(start)
	j.text = delivery.Sent[0].Text
	<-arrived
	return j, errors.Join(err, missed)
}

// rest waits and returns true, or false as soon as ctx ends.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
	return ctx.Err() == nil
}
