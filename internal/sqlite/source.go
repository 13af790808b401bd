package sqlite

import (
	"context"
	"errors"
	"sync"

	"sidestream/replicator"
)

// Source reads the log of one SQLite file. It implements replicator.Source and
// is safe for concurrent use. The file is opened with the first call that needs
// it and again whenever it was replaced.
type Source struct {
	opt Options

	// mu guards files and closed. Calls hold it for reading, opening and closing
	// take it alone: connections of one process share SQLite's view of -shm, so
	// both lanes must let go of a replaced file before either opens the new one.
	mu     sync.RWMutex
	files  fileSet
	closed bool

	// reader serves Read and the commands; scraper serves Pending, so that a
	// scrape never waits for a read.
	reader, scraper lane
}

// lane is a connection with one user at a time.
type lane struct {
	mu      sync.Mutex
	session *session
}

var _ replicator.Source = (*Source)(nil)

// New checks the options. It does not touch the file.
func New(options Options) (*Source, error) {
	opt, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Source{opt: opt}, nil
}

// Close closes the connections. Calls that follow fail. It leaves the
// database's files as they are.
func (s *Source) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	return s.closeSessions()
}

// use runs fn in a read transaction of the lane, opening the file first where it
// is not open or no longer the one under the path. The error is a *Failure.
func (s *Source) use(ctx context.Context, l *lane, fn func(*session) error) error {
	// Twice is enough for a file that is replaced once; more is a file that
	// keeps changing, which the caller's next attempt may find settled.
	for range 2 {
		done, err := s.attempt(ctx, l, fn)
		if done {
			return s.settle(l, err)
		}
		if err := s.open(ctx, l); err != nil {
			return s.settle(l, err)
		}
	}
	return transient("source_busy", "", "%s is being replaced", s.opt.Path)
}

// attempt runs fn unless the lane has no connection to the file under the path.
func (s *Source) attempt(ctx context.Context, l *lane, fn func(*session) error) (done bool, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return true, err
	}
	if l.session == nil || s.files != statFiles(s.opt.Path) {
		return false, nil
	}
	return true, l.session.transact(ctx, fn)
}

// open gives the lane a connection, after closing those to another file.
func (s *Source) open(ctx context.Context, l *lane) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return transient("source_closed", "", "the source was closed")
	}
	if s.files != (fileSet{}) && s.files != statFiles(s.opt.Path) {
		s.opt.Logger.Warn("the database's files are no longer the ones that were opened", "path", s.opt.Path)
		if err := s.closeSessions(); err != nil {
			return err
		}
	}
	if l.session != nil {
		return nil
	}
	found, failure := s.preflight()
	if failure != nil {
		return failure
	}
	opened, err := openSession(ctx, s.opt, found.real)
	if err != nil {
		return err
	}
	if failure := s.afterOpen(found); failure != nil {
		return errors.Join(failure, opened.close())
	}
	// SQLite makes -wal and -shm where they are missing, so only now are all
	// three known.
	s.files = statFiles(s.opt.Path)
	l.session = opened
	s.opt.Logger.Info("source opened", "path", s.opt.Path, "table", opened.layout.table,
		"filesystem", found.mount.kind, "change_index", opened.indexedBy)
	return nil
}

// settle turns an error into a *Failure and lets go of connections that an
// error may have left in doubt.
func (s *Source) settle(l *lane, err error) error {
	if err == nil {
		return nil
	}
	failure := classify(err)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch failure.Reason {
	case reasonBusy, reasonReplaced, reasonDiverged, reasonRewound, reasonJump:
		if l.session == nil || !l.session.broken {
			// The connection is sound, and a blocked source is asked again and again.
			return failure
		}
	}
	if err := s.closeSessions(); err != nil {
		s.opt.Logger.Warn("the source does not close", "err", classify(err))
	}
	return failure
}

// closeSessions closes both connections; the caller holds mu alone.
func (s *Source) closeSessions() error {
	var errs []error
	for _, l := range []*lane{&s.reader, &s.scraper} {
		if l.session != nil {
			errs = append(errs, l.session.close())
			l.session = nil
		}
	}
	s.files = fileSet{}
	return errors.Join(errs...)
}
