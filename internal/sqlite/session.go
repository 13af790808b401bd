package sqlite

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/mattn/go-sqlite3"
)

// session is an open file whose schema has been checked.
type session struct {
	opt    Options
	conn   *conn
	layout layout
	// broken is set where the connection must not be used again.
	broken bool
	// The queries of the hot path. sourceID and sequence are nil where the file
	// has no id or no AUTOINCREMENT.
	version, ends, sequence, sourceID *statement
	rows, history, atPositions        *statement
	oldest                            *statement
	// indexedBy names the partial index that rows uses, if any.
	indexedBy string
}

// openSession opens the file at path, proves that it cannot be written through
// the connection, and checks its schema.
func openSession(ctx context.Context, opt Options, path string) (*session, error) {
	c, err := dial(dsn(path, opt.BusyTimeout))
	if err != nil {
		return nil, err
	}
	s := &session{opt: opt, conn: c}
	if err := s.load(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	if err := proveReadOnly(ctx, c, s.layout.table, opt.Columns.Position); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// load checks the schema and prepares the queries for it, in one transaction.
func (s *session) load(ctx context.Context) error {
	return s.within(func() error { return s.reload(ctx) })
}

// reload is load inside a transaction.
func (s *session) reload(ctx context.Context) error {
	found, err := inspect(ctx, s.conn, s.opt)
	if err != nil {
		return err
	}
	s.layout = found
	return s.prepareAll()
}

// transact runs fn in one read transaction, after checking the schema anew
// where it has changed.
func (s *session) transact(ctx context.Context, fn func(*session) error) error {
	return s.within(func() error {
		version, err := s.version.one(ctx)
		if err != nil {
			return err
		}
		if toInt(version) != s.layout.version {
			if err := s.reload(ctx); err != nil {
				s.broken = true
				return err
			}
		}
		return fn(s)
	})
}

// within runs fn between BEGIN and COMMIT. No transaction is left open.
func (s *session) within(fn func() error) error {
	if err := s.conn.exec("BEGIN"); err != nil {
		return err
	}
	if err := fn(); err != nil {
		return errors.Join(err, s.rollback())
	}
	if err := s.conn.exec("COMMIT"); err != nil {
		return errors.Join(err, s.rollback())
	}
	return nil
}

// rollback ends a transaction that SQLite has not ended itself.
func (s *session) rollback() error {
	if s.conn.db.AutoCommit() {
		return nil
	}
	err := s.conn.exec("ROLLBACK")
	s.broken = s.broken || err != nil
	return err
}

// proveReadOnly tries to write what could not change the file even if it were
// allowed: an UPDATE of no row. It must fail with query_only, and without it
// too, because the file was opened read-only.
func proveReadOnly(ctx context.Context, c *conn, table, column string) error {
	set, err := c.one(ctx, "PRAGMA query_only")
	if err != nil {
		return err
	}
	if toInt(set) != 1 {
		return blocked(reasonWritable, "report this as a bug", "the connection to the database is not query_only")
	}
	update := fmt.Sprintf("UPDATE %s SET %s = %[2]s WHERE 0", quote(table), quote(column))
	for _, guard := range []string{"query_only", "mode=ro"} {
		if err := c.exec("BEGIN"); err != nil {
			return err
		}
		err := c.exec(update)
		if end := c.exec("ROLLBACK"); end != nil {
			return end
		}
		if err == nil {
			return blocked(reasonWritable, "report this as a bug", "the connection could write in spite of %s", guard)
		}
		if refused, ok := errors.AsType[sqlite3.Error](err); !ok || refused.Code != sqlite3.ErrReadonly {
			return err
		}
		// The second round is without the first guard.
		if err := c.exec("PRAGMA query_only = 0"); err != nil {
			return err
		}
	}
	if err := c.exec("PRAGMA query_only = 1"); err != nil {
		return err
	}
	set, err = c.one(ctx, "PRAGMA query_only")
	if err == nil && toInt(set) != 1 {
		return blocked(reasonWritable, "report this as a bug", "the connection to the database is not query_only")
	}
	return err
}

// prepareAll prepares the queries for the layout. Columns are qualified, because
// SQLite takes an unknown name in double quotes for a text; they carry a plus,
// because the driver converts by a column's declared type what an expression
// keeps as it is stored.
func (s *session) prepareAll() error {
	if err := s.closeStatements(); err != nil {
		return err
	}
	names := s.opt.Columns
	columns := make([]string, 0, 12)
	for _, name := range names.list() {
		columns = append(columns, "+m."+quote(name))
	}
	parts := strings.NewReplacer(
		"{table}", quote(s.layout.table),
		"{all}", strings.Join(columns, ", "),
		"{seq}", "m."+quote(names.Position),
		"{kind}", "m."+quote(names.Kind),
		"{account}", quote(names.AccountID),
		"{id}", quote(names.MessageID),
		"{otherkind}", "h."+quote(names.Kind),
		"{created}", "m."+quote(names.CommittedAt),
		"{slots}", strings.Repeat("?, ", anchorSlots-1)+"?",
	)
	for _, q := range []struct {
		into  **statement
		query string
	}{
		{&s.version, `PRAGMA schema_version`},
		{&s.ends, `SELECT (SELECT min({seq}) FROM {table} m), (SELECT max({seq}) FROM {table} m)`},
		{&s.history, `SELECT {all} FROM {table} m
			WHERE m.{account} IS ? AND m.{id} IS ? AND {seq} <= ? AND {kind} IS NOT 'test' ORDER BY {seq}`},
		{&s.atPositions, `SELECT {all} FROM {table} m WHERE {seq} IN ({slots}) ORDER BY {seq}`},
		{&s.oldest, `SELECT +{created} FROM {table} m WHERE {seq} > ? AND {kind} IS NOT 'test' ORDER BY {seq} LIMIT 1`},
	} {
		var err error
		if *q.into, err = s.conn.prepare(parts.Replace(q.query)); err != nil {
			return err
		}
	}
	if s.layout.autoincrement {
		st, err := s.conn.prepare(`SELECT q.seq FROM sqlite_sequence q WHERE q.name = ?`)
		if err != nil {
			return err
		}
		s.sequence = st
	}
	if s.layout.sourceID != "" {
		st, err := s.conn.prepare(s.layout.sourceID)
		if err != nil {
			return err
		}
		s.sourceID = st
	}
	return s.prepareRows(parts)
}

// prepareRows prepares the query for what follows a position. Its last column
// tells whether the message has rows that are no plain messages. Where a partial
// index on those exists it is used by name, because the planner prefers the
// large one, which has every message in it and costs a multiple.
func (s *session) prepareRows(parts *strings.Replacer) error {
	query := parts.Replace(`SELECT {all}, EXISTS (
			SELECT 1 FROM {table} h /*indexed*/
			WHERE h.{account} = m.{account} AND h.{id} = m.{id} AND {otherkind} <> 'message')
		FROM {table} m WHERE {seq} > ? AND {kind} IS NOT 'test' ORDER BY {seq} LIMIT ?`)
	for _, index := range s.layout.changeIndexes {
		// SQLite refuses an index whose condition does not hold for the query.
		st, err := s.conn.prepare(strings.Replace(query, "/*indexed*/", "INDEXED BY "+quote(index), 1))
		if err == nil {
			s.rows, s.indexedBy = st, index
			return nil
		}
	}
	var err error
	s.indexedBy = ""
	s.rows, err = s.conn.prepare(query)
	return err
}

func (s *session) closeStatements() error {
	var errs []error
	for _, st := range []**statement{
		&s.version, &s.ends, &s.sequence, &s.sourceID, &s.rows, &s.history, &s.atPositions, &s.oldest,
	} {
		if *st != nil {
			errs = append(errs, (*st).close())
			*st = nil
		}
	}
	return errors.Join(errs...)
}

// close gives the file back. SQLite keeps it open until the last statement is
// gone, so those go first.
func (s *session) close() error {
	return errors.Join(s.closeStatements(), s.conn.db.Close())
}
