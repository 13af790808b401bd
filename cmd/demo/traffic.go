package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"sidestream/internal/simulate"
)

// lanesAtOnce is how many deliveries are under way at once.
const lanesAtOnce = 16

// introSeed makes up a question that most people can read, and another one as
// its edit.
const introSeed = 230

// traffic is what Instagram sends. It comes in lanes: each is a business account
// of its own that waits for an answer before it sends more, as the order of its
// messages is known then.
type traffic struct {
	sender *simulate.Sender
	intro  *lane
	lanes  []*lane
	sent   tally
}

// lane is one business account.
type lane struct {
	account   string
	generator *simulate.Generator
	expected  *simulate.Expected
}

// tally counts what was sent. Messages, edits and unsends that came again are
// not counted again.
type tally struct {
	webhooks, repeats              atomic.Int64
	messages, edits, unsends, rest atomic.Int64
}

func newTraffic(url string, seed uint64) (*traffic, error) {
	sender, err := simulate.NewSender(simulate.SenderOptions{URL: url, Secret: appSecret})
	if err != nil {
		return nil, err
	}
	// The first account sends a message, and then edits of it.
	t := &traffic{sender: sender, intro: newLane(0, simulate.GeneratorOptions{
		Seed: introSeed, Users: 1, MaxEvents: 1, RedeliverOnceIn: -1, Shapes: []simulate.Shape{simulate.ShapeEdit},
	})}
	for n := range lanesAtOnce {
		t.lanes = append(t.lanes, newLane(n+1, simulate.GeneratorOptions{Seed: seed}))
	}
	return t, nil
}

func newLane(n int, o simulate.GeneratorOptions) *lane {
	o.AccountID = fmt.Sprintf("1784140000000%04d", n)
	o.Seed = o.Seed*1000 + uint64(n)
	o.Now = time.Now
	return &lane{account: o.AccountID, generator: simulate.NewGenerator(o), expected: simulate.NewExpected(simulate.Rules{})}
}

// all returns every lane.
func (t *traffic) all() []*lane { return append([]*lane{t.intro}, t.lanes...) }

// acknowledged returns how many messages were acknowledged.
func (t *traffic) acknowledged() int {
	n := 0
	for _, l := range t.all() {
		n += l.expected.Messages()
	}
	return n
}

// deliver sends the lane's next delivery and waits until it is acknowledged.
// An error means that it was given up, and may have been stored all the same.
func (t *traffic) deliver(ctx context.Context, l *lane) (simulate.Delivery, error) {
	d := l.generator.Next()
	t.sent.add(d)
	if _, err := t.sender.Post(ctx, d); err != nil {
		return d, fmt.Errorf("send a webhook: %w", err)
	}
	l.expected.Acknowledged(d)
	return d, nil
}

func (t *tally) add(d simulate.Delivery) {
	t.webhooks.Add(1)
	if d.Repeat {
		t.repeats.Add(1)
		return
	}
	t.messages.Add(int64(newMessages(d)))
	for _, s := range d.Sent {
		switch s.Kind {
		case simulate.KindMessage:
		case simulate.KindEdit:
			t.edits.Add(1)
		case simulate.KindUnsend:
			t.unsends.Add(1)
		default:
			t.rest.Add(1)
		}
	}
}

// newMessages returns how many messages a delivery holds that were not sent before.
func newMessages(d simulate.Delivery) int {
	n := 0
	for _, s := range d.Sent {
		if s.Kind == simulate.KindMessage && !d.Repeat {
			n++
		}
	}
	return n
}

// load sends about rate messages a second until sending ends, which is no error.
// Deliveries that are under way by then are finished, unless the whole ends.
func (t *traffic) load(whole, sending context.Context, rate int) error {
	sending, stop := context.WithCancel(sending)
	defer stop()
	failures := make([]error, len(t.lanes))
	var lanes sync.WaitGroup
	for i, l := range t.lanes {
		lanes.Go(func() {
			failures[i] = t.drive(whole, sending, l, float64(rate)/float64(len(t.lanes)))
			if failures[i] != nil {
				stop()
			}
		})
	}
	lanes.Wait()
	return errors.Join(failures...)
}

// drive sends one lane's part. A lane that has fallen behind does not wait.
func (t *traffic) drive(whole, sending context.Context, l *lane, rate float64) error {
	start, sent := time.Now(), 0
	for {
		due := start.Add(time.Duration(float64(sent) / rate * float64(time.Second)))
		if !rest(sending, time.Until(due)) {
			return nil
		}
		d, err := t.deliver(whole, l)
		if err != nil {
			return err
		}
		sent += newMessages(d)
	}
}
