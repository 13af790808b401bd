package usernames

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/prometheus/client_golang/prometheus"

	"sidestream/mapping"
)

const (
	defaultMaxWait     = 500 * time.Millisecond
	defaultTTL         = 24 * time.Hour
	defaultSize        = 100_000
	defaultConcurrency = 8
	defaultQueue       = 1_000
)

// Options says where names come from and how much they may cost.
type Options struct {
	// Lookup asks for one name. It is called from Concurrency goroutines at
	// once, must end by itself (the profile client has a timeout) and when its
	// context does. Nil switches lookups off.
	Lookup func(ctx context.Context, user mapping.User) Answer
	// Credential returns what Lookup authenticates with. It is compared, never
	// shown: when it changes while lookups are refused, they start again at
	// once. Nil leaves that to Retry.
	Credential func() string
	// MaxWait is how long one call of Usernames may take. Defaults to 500ms.
	MaxWait time.Duration
	// TTL is the age at which a name is looked up again. Defaults to 24h.
	TTL time.Duration
	// Size is how many users are remembered, those without a name included.
	// Defaults to 100000.
	Size int
	// Concurrency is how many lookups run at once. Defaults to 8.
	Concurrency int
	// Queue is how many lookups may wait for their turn; a user beyond that is
	// answered at once. Defaults to 1000.
	Queue int
	// Now is the clock. Defaults to time.Now.
	Now func() time.Time
	// Logger receives one line when lookups pause and one when they resume.
	// Defaults to none.
	Logger *slog.Logger
	// Registerer receives the metrics. Nil leaves them unregistered.
	Registerer prometheus.Registerer
}

var _ mapping.Usernames = (*Cache)(nil)

// Cache holds names and looks up those that it does not hold. It is safe for
// concurrent use. Lookups happen only while Run runs.
type Cache struct {
	opts    Options
	queue   chan *flight
	metrics *metrics

	mu      sync.Mutex
	entries *simplelru.LRU[mapping.User, entry]
	// flights holds the lookups that are queued or running: one per user.
	flights map[mapping.User]*flight
	pauses  pauses
	// refusedWith is the credential of the last refused lookup.
	refusedWith string
	// epoch counts the calls of Retry: what an older epoch learned about a
	// user's absence, or about the credential, says nothing about this one.
	epoch   int
	stopped bool
}

// entry is what is known about one user.
type entry struct {
	// name is the last known name, or empty.
	name string
	// outcome is the last lookup's, which holds until then.
	outcome Outcome
	until   time.Time
	epoch   int
	// failures counts Temporary outcomes in a row.
	failures int
}

// flight is one lookup on its way.
type flight struct {
	user mapping.User
	// name may be read once done is closed. It is empty where the lookup
	// brought none.
	name string
	done chan struct{}
}

// New checks the options and returns a Cache without any name in it.
func New(opts Options) (*Cache, error) {
	if opts.MaxWait < 0 || opts.TTL < 0 || opts.Size < 0 || opts.Concurrency < 0 || opts.Queue < 0 {
		return nil, errors.New("usernames: negative option")
	}
	setDefault(&opts.MaxWait, defaultMaxWait)
	setDefault(&opts.TTL, defaultTTL)
	setDefault(&opts.Size, defaultSize)
	setDefault(&opts.Concurrency, defaultConcurrency)
	setDefault(&opts.Queue, defaultQueue)
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	entries, err := simplelru.NewLRU[mapping.User, entry](opts.Size, nil)
	if err != nil {
		return nil, err
	}
	c := &Cache{
		opts:    opts,
		queue:   make(chan *flight, opts.Queue),
		entries: entries,
		flights: make(map[mapping.User]*flight),
		pauses:  pauses{until: make(map[Outcome]time.Time)},
	}
	c.metrics = newMetrics(opts.Registerer, c)
	return c, nil
}

func setDefault[T comparable](option *T, value T) {
	var zero T
	if *option == zero {
		*option = value
	}
}

// Usernames returns the names of those users that are known, or become known
// before MaxWait is over or ctx ends. A user missing in the map stands under
// the user id. A name past its TTL is used where a new one does not arrive.
func (c *Cache) Usernames(ctx context.Context, users []mapping.User) map[mapping.User]string {
	names := make(map[mapping.User]string, len(users))
	waiting := c.depart(users, names)
	if len(waiting) == 0 {
		return names
	}
	wait, cancel := context.WithTimeout(ctx, c.opts.MaxWait)
	defer cancel()
	for _, f := range waiting {
		name, ended := f.wait(wait)
		if !ended && ctx.Err() == nil {
			c.metrics.count(resultDeadline)
		}
		if name != "" { // Else the old name stays, where there is one.
			names[f.user] = name
		}
	}
	return names
}

// depart puts the names that need no lookup into names, queues lookups for the
// others and returns those that are worth waiting for.
func (c *Cache) depart(users []mapping.User, names map[mapping.User]string) []*flight {
	if c.opts.Lookup == nil {
		return nil
	}
	now := c.opts.Now()
	var waiting []*flight
	c.mu.Lock()
	defer c.mu.Unlock()
	resting := c.stopped || c.pauses.active(now)
	seen := make(map[mapping.User]struct{}, len(users))
	for _, user := range users {
		if _, again := seen[user]; again {
			continue
		}
		seen[user] = struct{}{}
		e, _ := c.entries.Get(user)
		if e.name != "" {
			names[user] = e.name
		}
		if resting || !c.due(e, now) {
			continue
		}
		if f, flying := c.flights[user]; flying {
			waiting = append(waiting, f)
			continue
		}
		f := &flight{user: user, done: make(chan struct{})}
		select {
		case c.queue <- f:
			c.flights[user] = f
			waiting = append(waiting, f)
		default:
			c.metrics.count(resultSaturated)
		}
	}
	return waiting
}

// due tells whether a lookup for the user may be made now.
func (c *Cache) due(e entry, now time.Time) bool {
	return !now.Before(e.until) || (e.outcome != OK && e.epoch != c.epoch)
}

// wait returns the name that the flight brought, if it ended before ctx did.
func (f *flight) wait(ctx context.Context) (name string, ended bool) {
	select {
	case <-f.done:
		return f.name, true
	default:
	}
	select {
	case <-f.done:
		return f.name, true
	case <-ctx.Done():
		return "", false
	}
}

// Wrote tells that these users have just written to the account. That is the
// consent which Instagram asks for, so their names may be looked up again.
func (c *Cache) Wrote(users ...mapping.User) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, user := range users {
		if e, held := c.entries.Peek(user); held && e.outcome == NoConsent {
			e.until = time.Time{}
			c.entries.Add(user, e)
		}
	}
}

// Retry tells that the token or the settings have changed: refusals are
// forgotten, and so is which users had no name.
func (c *Cache) Retry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	c.pauses.lift()
}
