package simulate

import (
	"math/rand/v2"
	"time"
)

const (
	defaultUsers         = 50
	defaultMaxEvents     = 5
	defaultRedeliverOnce = 30
	// recentMessages is how many messages can be edited, unsent or reacted to;
	// recentDeliveries how many can be delivered again. They bound the
	// Generator's memory.
	recentMessages   = 64
	recentDeliveries = 16
)

// GeneratorOptions says what to make up.
type GeneratorOptions struct {
	// AccountID is the business account. Defaults to DefaultAccountID.
	AccountID string
	// Seed decides everything that is made up.
	Seed uint64
	// Users is how many people write. Defaults to 50.
	Users int
	// Shapes are chosen from evenly; a shape may stand there several times.
	// Defaults to AllShapes.
	Shapes []Shape
	// MaxEvents is the most that one delivery holds; most hold one. Defaults to 5.
	MaxEvents int
	// RedeliverOnceIn is how many deliveries there are to each that repeats an
	// earlier one. Defaults to 30; a negative value means none.
	RedeliverOnceIn int
	// Now gives events their time. The default is a made-up clock that starts
	// at 2026-01-01 and moves on with each event, so that bodies depend on the
	// seed alone.
	Now func() time.Time
}

// Generator makes up deliveries. It is not safe for concurrent use.
type Generator struct {
	opts   GeneratorOptions
	rng    *rand.Rand
	people []person
	clock  time.Time
	number int
	// recent holds messages that later events can be about, past deliveries
	// that can come again, held messages whose edit or unsend went ahead.
	recent []*remembered
	past   [][]event
	held   []event
}

// remembered is a message that later events can be about.
type remembered struct {
	person   person
	sent     Sent
	versions int
}

// NewGenerator returns a Generator at its first delivery.
func NewGenerator(opts GeneratorOptions) *Generator {
	if opts.AccountID == "" {
		opts.AccountID = DefaultAccountID
	}
	if opts.Users <= 0 {
		opts.Users = defaultUsers
	}
	if len(opts.Shapes) == 0 {
		opts.Shapes = AllShapes()
	}
	if opts.MaxEvents <= 0 {
		opts.MaxEvents = defaultMaxEvents
	}
	if opts.RedeliverOnceIn == 0 {
		opts.RedeliverOnceIn = defaultRedeliverOnce
	}
	g := &Generator{
		opts:  opts,
		rng:   rand.New(rand.NewPCG(opts.Seed, 0x5eed)), // Repeatable on purpose.
		clock: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	for range opts.Users {
		g.people = append(g.people, newPerson(g.rng))
	}
	return g
}

// UserIDs returns everybody who may write.
func (g *Generator) UserIDs() []string {
	ids := make([]string, 0, len(g.people))
	for _, p := range g.people {
		ids = append(ids, p.id)
	}
	return ids
}

// Next makes up one delivery. Events that it repeats are the same as before,
// entry.time is not.
func (g *Generator) Next() Delivery {
	if g.opts.RedeliverOnceIn > 0 && len(g.past) > 0 && g.rng.IntN(g.opts.RedeliverOnceIn) == 0 {
		d := deliver(g.opts.AccountID, g.tick(), 0, pick(g.rng, g.past...))
		d.Repeat = true
		return d
	}
	events := g.held
	g.held = nil
	count := 1
	if g.opts.MaxEvents > 1 && g.rng.IntN(5) == 0 {
		count = 2 + g.rng.IntN(g.opts.MaxEvents-1)
	}
	for len(events) < count {
		events = append(events, g.make(pick(g.rng, g.opts.Shapes...)))
	}
	split := 0
	if len(events) > 1 && g.rng.IntN(3) == 0 {
		split = 1 + g.rng.IntN(len(events)-1)
	}
	g.past = append(g.past, events)
	if len(g.past) > recentDeliveries {
		g.past = g.past[1:]
	}
	return deliver(g.opts.AccountID, g.tick(), split, events)
}

// tick returns the time of the next event in milliseconds.
func (g *Generator) tick() int64 {
	if g.opts.Now != nil {
		return g.opts.Now().UnixMilli()
	}
	g.clock = g.clock.Add(time.Duration(1+g.rng.IntN(2_000)) * time.Millisecond)
	return g.clock.UnixMilli()
}

// remember makes a message available to later events.
func (g *Generator) remember(p person, sent Sent) {
	g.recent = append(g.recent, &remembered{person: p, sent: sent})
	if len(g.recent) > recentMessages {
		g.recent = g.recent[1:]
	}
}

// earlier returns a message that later events can be about, or nil.
func (g *Generator) earlier(wanted func(*remembered) bool) *remembered {
	if len(g.recent) == 0 {
		return nil
	}
	start := g.rng.IntN(len(g.recent))
	for i := range g.recent {
		if m := g.recent[(start+i)%len(g.recent)]; wanted(m) {
			return m
		}
	}
	return nil
}

// forget keeps later events away from an unsent message.
func (g *Generator) forget(gone *remembered) {
	for i, m := range g.recent {
		if m == gone {
			g.recent = append(g.recent[:i:i], g.recent[i+1:]...)
			return
		}
	}
}
