package simulation_test

import (
	"context"
	"sync"

	"sidestream/internal/testkit/fake"
	"sidestream/mapping"
	"sidestream/replicator"
)

// fault is what goes wrong with one transaction.
type fault struct {
	// name is the failure's reason, or one of those below.
	name string
	// waits is how many later transactions give up waiting for a zombie's lock.
	waits int
}

const (
	answerLost     = "answer lost"
	commitLost     = "commit lost"
	zombieCommits  = "zombie commits later"
	zombieVanishes = "zombie rolls back later"
	unknownError   = "unknown error"
)

// refusals are the failures before COMMIT that concern every row.
func refusals() []string {
	return []string{"connection_lost", "deadlock", "lock_wait", "crm_read_only", "too_many_connections", "crm_disk_full"}
}

func transient(reason string) *replicator.Failure {
	return &replicator.Failure{Class: replicator.Transient, Reason: reason, Slow: reason == "too_many_connections", Unknown: reason == unknownError}
}

// zombie is a transaction whose client is gone and which holds the cursor's row.
type zombie struct {
	end   func()
	waits int
}

// link is a program's connection to the CRM, with the faults that were drawn for
// it. All of them are drawn before the call: the loop calls from goroutines of
// its own.
type link struct {
	client

	world *world
	name  string

	mu    sync.Mutex
	calls int
	next  fault
	down  int
	cause string
	diary
}

// fail makes the next calls fail.
func (l *link) fail(calls int, reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down, l.cause = calls, reason
}

// strike makes the next transaction fail.
func (l *link) strike(f fault) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next = f
}

func (l *link) reachable() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down == 0 {
		return nil
	}
	l.down--
	return transient(l.cause)
}

func (l *link) take() fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := l.next
	l.next = fault{}
	return f
}

// Load implements replicator.Target. It takes no lock.
func (l *link) Load(ctx context.Context) (replicator.Cursor, error) {
	if err := l.reachable(); err != nil {
		return replicator.Cursor{}, err
	}
	c, err := l.client.Load(ctx)
	if err == nil {
		l.looked(c)
	}
	return c, err
}

// Init implements replicator.Target.
func (l *link) Init(ctx context.Context, first replicator.Cursor) error {
	if err := l.reachable(); err != nil {
		return err
	}
	if l.knew {
		l.world.violate("%s makes a cursor anew, and has known one", l.name)
	}
	f := l.take()
	if f.name == answerLost {
		if err := l.client.Init(ctx, first); err != nil {
			return err
		}
	}
	if f.name != "" {
		return transient("connection_lost")
	}
	return l.client.Init(ctx, first)
}

// Empty implements replicator.Target.
func (l *link) Empty(ctx context.Context) (bool, error) {
	if err := l.reachable(); err != nil {
		return false, err
	}
	return l.client.Empty(ctx)
}

// Probe implements replicator.Target.
func (l *link) Probe(ctx context.Context, record mapping.Record) error {
	if err := l.reachable(); err != nil {
		return err
	}
	return l.client.Probe(ctx, record)
}

// Decide stores a decision behind whoever holds the cursor's row.
func (l *link) Decide(ctx context.Context, expect, next replicator.Cursor, taken []replicator.Taken, letters []replicator.Letter) error {
	l.world.lock()
	return l.client.Decide(ctx, expect, next, taken, letters)
}

// Retry applies a letter behind whoever holds the cursor's row.
func (l *link) Retry(ctx context.Context, letter fake.Letter, compute func(replicator.Cursor) (replicator.Item, error)) (string, error) {
	l.world.lock()
	return l.client.Retry(ctx, letter, compute)
}

// Apply implements replicator.Target.
func (l *link) Apply(ctx context.Context, p replicator.Prepared, attempt string) (replicator.Applied, error) {
	if err := l.reachable(); err != nil {
		return replicator.Applied{}, err
	}
	applied, err := l.apply(ctx, p, attempt)
	l.ended(p.Batch(), attempt, err)
	return applied, err
}

func (l *link) apply(ctx context.Context, p replicator.Prepared, attempt string) (replicator.Applied, error) {
	f, w := l.take(), l.world
	if l.spins() {
		return replicator.Applied{}, spinning()
	}
	l.may(p.Batch())
	if w.held() {
		w.note("%s waits for the cursor's row in vain", l.name)
		return replicator.Applied{}, transient("lock_wait")
	}
	w.lock()
	doubtful := &replicator.Failure{Class: replicator.Transient, Reason: "commit_unanswered", Doubtful: true}
	now, from := w.crm.cursor(), p.Batch().From
	missed := !now.Known || now.Generation != from.Generation || now.Position != from.Position || now.Attempt != from.Attempt
	switch f.name {
	case "":
		return l.client.Apply(ctx, p, attempt)
	case answerLost:
		applied, err := l.client.Apply(ctx, p, attempt)
		if err == nil {
			l.arrived(p.Batch())
			err = doubtful
		}
		return applied, err
	case commitLost, zombieCommits, zombieVanishes:
		if missed {
			return l.client.Apply(ctx, p, attempt)
		}
	default:
		return replicator.Applied{}, transient(f.name)
	}
	if f.name != commitLost {
		w.abandon(&zombie{waits: f.waits, end: func() {
			if f.name == zombieCommits {
				_, _ = w.graveyard.Load(context.WithoutCancel(ctx))
				_, err := w.graveyard.Apply(context.WithoutCancel(ctx), p, attempt)
				if err == nil {
					l.arrived(p.Batch())
				}
				w.note("the zombie of %s ends: %s", l.name, outcome(err))
			}
		}})
	}
	return replicator.Applied{}, doubtful
}

// enough is how many calls of one kind no process comes to in a history. One
// that does spins, and on a clock that only waiting moves it would never end.
const enough = 10_000

func (l *link) spins() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.calls++; l.calls == enough {
		l.world.violate("%s goes round in circles", l.name)
	}
	return l.calls >= enough
}

func spinning() error {
	return &replicator.Failure{Class: replicator.Blocked, Reason: "spinning"}
}

// inlet is a program's view of the source file.
type inlet struct {
	*fake.Source

	mu    sync.Mutex
	busy  int
	calls int
}

// fail makes the next reads fail.
func (i *inlet) fail(reads int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.busy = reads
}

// Read implements replicator.Source.
func (i *inlet) Read(ctx context.Context, after replicator.Cursor, limit int) (replicator.Chunk, error) {
	i.mu.Lock()
	busy := i.busy > 0
	if busy {
		i.busy--
	}
	i.calls++
	spins := i.calls >= enough
	i.mu.Unlock()
	if spins {
		return replicator.Chunk{}, spinning()
	}
	if busy {
		return replicator.Chunk{}, transient("source_busy")
	}
	return i.Source.Read(ctx, after, limit)
}

// names knows some people's names at some times.
type names struct {
	mu    sync.Mutex
	known int
	asked int
}

// Usernames implements mapping.Usernames.
func (n *names) Usernames(_ context.Context, users []mapping.User) map[mapping.User]string {
	n.mu.Lock()
	defer n.mu.Unlock()
	found := map[mapping.User]string{}
	for _, u := range users {
		if n.asked++; n.asked%4 < n.known {
			found[u] = nameOf(u.UserID)
		}
	}
	return found
}

func nameOf(userID string) string { return "name of " + userID }
