package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Store is the open database. It is safe for concurrent use.
type Store struct {
	queue    *queue
	reading  *sql.DB
	sourceID string
	// writer is its goroutine's from the end of Open until done is closed.
	writer   *writer
	done     chan struct{}
	closeErr error
}

// Open opens the file, creates or migrates its schema and starts the writing
// goroutine, which ends with Close. The context bounds the opening only.
func Open(ctx context.Context, opts Options) (*Store, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	if opts.Path, err = place(opts.Path); err != nil {
		return nil, err
	}
	bell := newDoorbell(opts.Path, opts.Logger)
	s, err := open(ctx, opts, bell)
	if err != nil {
		bell.close()
		return nil, err
	}
	return s, nil
}

func open(ctx context.Context, opts Options, bell *doorbell) (*Store, error) {
	db, conn, err := openWriting(ctx, opts, bell)
	if err != nil {
		return nil, err
	}
	bell.hang()
	s := &Store{queue: newQueue(opts.MaxPending, opts.MaxPendingBytes), done: make(chan struct{})}
	s.writer = &writer{opts: opts, db: db, conn: conn, bell: bell, queue: s.queue, wal: newTruncation(opts), metrics: newMetrics()}
	if err := s.assemble(ctx); err != nil {
		if s.reading != nil {
			s.reading.Close()
		}
		return nil, errors.Join(err, s.writer.closeFiles())
	}
	// The writer must outlive the context that bounded the opening.
	go func(ctx context.Context) {
		defer close(s.done)
		s.closeErr = s.writer.run(ctx, s.reading)
	}(context.WithoutCancel(ctx))
	return s, nil
}

// assemble does what needs the open connection.
func (s *Store) assemble(ctx context.Context) (err error) {
	w := s.writer
	if err := w.conn.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = 'source_id'").Scan(&s.sourceID); err != nil {
		return translate("read the source id", err)
	}
	if w.statements, err = prepare(ctx, w.conn); err != nil {
		return err
	}
	if w.identity, err = identify(w.opts.Path); err != nil {
		return fmt.Errorf("store: %w", err)
	}
	if w.undecodedBytes, err = undecodedBytes(ctx, w.statements); err != nil {
		return err
	}
	if s.reading, err = openReading(w.opts.Path); err != nil {
		return err
	}
	// A process that was killed may have left an unsent text in the WAL.
	w.wal.mark()
	return w.metrics.register(w.opts, s)
}

// SourceID is the random id that the file was given when it was made.
func (s *Store) SourceID() string { return s.sourceID }

// Commit stores a delivery and returns when it is on disk. Many calls share one
// transaction, and a delivery that fails by itself fails alone.
//
// The error is ErrOverloaded where there is no room or the store is closing,
// one that matches ErrStore where storing went wrong, or the context's. Where
// the context ends first, the delivery may be stored all the same; delivering
// it again is harmless, as it is after every error.
func (s *Store) Commit(ctx context.Context, d Delivery) (Result, error) {
	if d.empty() {
		return Result{}, nil
	}
	r := &request{delivery: d, done: make(chan struct{})}
	if !s.queue.add(r) {
		return Result{}, ErrOverloaded
	}
	select {
	case <-r.done:
		return r.result, r.err
	case <-ctx.Done():
		return Result{}, fmt.Errorf("store: waiting for the commit: %w", ctx.Err())
	}
}

// Close lets no delivery in any more, commits those that were accepted, moves
// the WAL into the database and closes the file. Where the context ends first
// it returns an error and the writing goroutine goes on by itself. It may be
// called more than once.
func (s *Store) Close(ctx context.Context) error {
	s.queue.close()
	select {
	case <-s.done:
		return s.closeErr
	case <-ctx.Done():
		return errors.Join(errors.New("store: deliveries are still being written"), ctx.Err())
	}
}
