package usernames

import (
	"context"
	"sync"
	"time"

	"sidestream/mapping"
)

const (
	// noConsentFor, goneFor and the two for Temporary outcomes say how long a
	// user is left alone who brought no name.
	noConsentFor   = time.Hour
	goneFor        = 24 * time.Hour
	temporaryFirst = 30 * time.Second
	temporaryMax   = time.Hour
	// credentialInterval is how often a refused credential is compared.
	credentialInterval = 5 * time.Second
)

// Run makes lookups until ctx ends. It returns nil after the last one has
// ended; whoever still waits in Usernames is let go. It must be called once.
func (c *Cache) Run(ctx context.Context) error {
	var workers sync.WaitGroup
	for range c.opts.Concurrency {
		workers.Go(func() { c.work(ctx) })
	}
	c.watchCredential(ctx)
	workers.Wait()
	c.stop()
	return nil
}

// work makes one lookup after the other.
func (c *Cache) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case f := <-c.queue:
			c.fly(ctx, f)
		}
	}
}

// fly makes one lookup, unless Run or lookups as a whole have come to rest while
// it was queued.
func (c *Cache) fly(ctx context.Context, f *flight) {
	credential := c.credential()
	c.mu.Lock()
	epoch := c.epoch
	if ctx.Err() != nil || c.pauses.active(c.opts.Now()) {
		c.land(f, "")
		c.mu.Unlock()
		return
	}
	c.mu.Unlock()

	a := c.opts.Lookup(ctx, f.user).normal()

	c.mu.Lock()
	defer c.mu.Unlock()
	if ctx.Err() != nil && a.Outcome != OK {
		c.land(f, "") // Cut short by the end of Run, which says nothing.
		return
	}
	if a.Outcome != Off {
		c.metrics.count(a.Outcome)
	}
	c.remember(f.user, a, epoch)
	c.rest(a, epoch, credential)
	c.land(f, a.Username)
}

// land ends a flight. Cache.mu is held.
func (c *Cache) land(f *flight, name string) {
	delete(c.flights, f.user)
	f.name = name
	close(f.done)
}

// remember keeps what an answer says about its user. Cache.mu is held.
func (c *Cache) remember(user mapping.User, a Answer, epoch int) {
	now := c.opts.Now()
	e, _ := c.entries.Peek(user)
	failures := e.failures
	e.outcome, e.epoch, e.failures = a.Outcome, epoch, 0
	switch a.Outcome {
	case OK:
		e.name, e.until = a.Username, now.Add(c.opts.TTL)
	case NoConsent:
		e.until = now.Add(noConsentFor)
	case Gone:
		e.until = now.Add(goneFor)
	case Temporary:
		e.failures = failures + 1
		e.until = now.Add(backoff(temporaryFirst, temporaryMax, failures))
	default:
		return // It says nothing about the user.
	}
	c.entries.Add(user, e)
}

// rest lets all lookups rest where an answer asks for it. Cache.mu is held.
func (c *Cache) rest(a Answer, epoch int, credential string) {
	now := c.opts.Now()
	if a.Outcome.refused() {
		if epoch != c.epoch {
			return // What was refused has been changed since.
		}
		c.refusedWith = credential
	}
	_, before := c.pauses.until[a.Outcome]
	if d := c.pauses.note(a, now); d > 0 && !before && a.Outcome != Off {
		c.opts.Logger.Warn("username lookups pause; messages go on under the user id",
			"reason", string(a.Outcome), "pause", d.String())
	}
	if (a.Outcome == OK || a.Outcome == NoConsent || a.Outcome == Gone) && c.pauses.settle(now) {
		c.opts.Logger.Info("username lookups resumed")
	}
}

func (c *Cache) credential() string {
	if c.opts.Credential == nil {
		return ""
	}
	return c.opts.Credential()
}

// watchCredential waits for ctx to end, and meanwhile for a refused credential
// to change.
func (c *Cache) watchCredential(ctx context.Context) {
	ticker := time.NewTicker(credentialInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if c.opts.Credential == nil {
			continue
		}
		c.mu.Lock()
		refused, with := c.pauses.refused(), c.refusedWith
		c.mu.Unlock()
		if refused && c.opts.Credential() != with {
			c.opts.Logger.Info("the access token has changed; username lookups try again")
			c.Retry()
		}
	}
}

// stop lets everybody go who waits for a lookup that will not happen.
func (c *Cache) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	for {
		select {
		case f := <-c.queue:
			c.land(f, "")
		default:
			return
		}
	}
}
