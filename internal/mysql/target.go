package mysql

import (
	"context"
	"sync/atomic"

	"sidestream/replicator"
)

// Target is the CRM's table with the state beside it. It implements
// replicator.Target: Load, Init, Empty, Apply and Probe belong to one
// goroutine; Prepare may run beside them.
type Target struct {
	opt     Options
	names   names
	session *session
	// table is what the last Load found; Prepare reads it from its own goroutine.
	table   atomic.Pointer[table]
	metrics *metrics

	// deadLettersOpen is read by the status page while the loop works.
	deadLettersOpen atomic.Int64
	address         atomic.Pointer[string]

	// tail is the ledger's last run as of the last Load or Apply.
	tail run
	// rebuilt is set where the server has made the CRM's table anew since this
	// process first saw it, until one of its rows was recognised.
	rebuilt bool
	// readBack is set where LAST_INSERT_ID() turned out not to tell the ids
	// (a trigger moves them): the ids are read back from the own snapshot.
	readBack bool
}

// New returns a target; it connects at the first call that needs it.
func New(opt Options) (*Target, error) {
	if err := opt.validate(); err != nil {
		return nil, err
	}
	t := &Target{opt: opt, names: newNames(opt)}
	t.metrics = newMetrics(opt.Registerer)
	return t, nil
}

// Close drops the connection; an open transaction rolls back.
func (t *Target) Close() error {
	t.drop()
	return nil
}

// Address returns the server in use, or "" while there is none; safe for
// concurrent use.
func (t *Target) Address() string {
	if address := t.address.Load(); address != nil {
		return *address
	}
	return ""
}

// DeadLettersOpen returns how many dead letters were open at the last Load or
// park; safe for concurrent use.
func (t *Target) DeadLettersOpen() int64 { return t.deadLettersOpen.Load() }

// ready returns the session, connecting where there is none.
func (t *Target) ready(ctx context.Context) (*session, error) {
	if t.session != nil {
		return t.session, nil
	}
	s, err := connect(ctx, t.opt)
	if err != nil {
		return nil, err
	}
	t.session = s
	t.address.Store(&s.address)
	return s, nil
}

// drop closes the session: the next call connects anew.
func (t *Target) drop() {
	if t.session != nil {
		t.session.close()
		t.session = nil
		t.address.Store(nil)
	}
}

// abandon ends a transaction that failed. A connection whose state is not
// certain is dropped: closing it makes the server roll back.
func (t *Target) abandon(ctx context.Context, f *replicator.Failure) {
	if t.session == nil {
		return
	}
	// A server that has become read-only or has left its cluster is left too: the
	// next address may be the one to go on with.
	if f.Doubtful || isConnectionLoss(f.Err) || f.Reason == reasonReadOnly || f.Reason == reasonNotReady {
		t.drop()
		return
	}
	if _, err := t.session.exec(context.WithoutCancel(ctx), "ROLLBACK"); err != nil {
		t.drop()
	}
}
