package mysql

import (
	"context"
	"math"

	"sidestream/mapping"
	"sidestream/replicator"
)

// Decision is what an operator wants the cursor to be.
type Decision struct {
	// Action is "init", "set" or "resume".
	Action string
	// Expect is the cursor that the decision was made upon; it fails with reason
	// "cursor_moved" where that is not the cursor any more.
	Expect replicator.Cursor
	// Next is the new cursor. Its Decision must be a new token. A higher generation takes over the ledger up
	// to Next.Position; the same one loses what the ledger holds behind it.
	Next replicator.Cursor
	// Detail is the audit line: numbers and words, no row content.
	Detail string
	// Taken are rows that the CRM holds already and the ledger does not know, in
	// position order, all behind what the ledger holds.
	Taken []replicator.Taken
	// Letters are changes up to Next.Position that the CRM lacks and that become
	// open dead letters: what the ledger says of them is forgotten.
	Letters []replicator.Letter
}

// Decide stores an operator's decision and its audit line in one transaction.
// Like everything that touches these rows it takes the cursor's row first, so a
// running replicator's batch happens before or after it, never in between.
func (t *Target) Decide(ctx context.Context, d Decision) error {
	err := t.decide(ctx, d)
	if err != nil {
		f := classify(err)
		t.abandon(ctx, f)
		if f.Doubtful {
			f.Hint = "whether the decision was stored shows: replicator cursor show"
		}
		return f
	}
	return nil
}

func (t *Target) decide(ctx context.Context, d Decision) error {
	s, err := t.ready(ctx)
	if err != nil {
		return err
	}
	if _, err := s.exec(ctx, "START TRANSACTION"); err != nil {
		return err
	}
	found, err := t.readCursor(ctx, s, " FOR UPDATE")
	if err != nil {
		return ofState(err)
	}
	if found.Known != d.Expect.Known || found.Generation != d.Expect.Generation || found.Position != d.Expect.Position {
		return &replicator.Failure{Class: replicator.Transient, Reason: replicator.ReasonMoved, Detail: "the cursor moved while the decision was made", Hint: "look again: replicator cursor show"}
	}
	if !found.Known {
		if err := t.Init(ctx, d.Next); err != nil {
			return err
		}
	} else {
		if err := t.rewriteLedger(ctx, s, found, d.Next); err != nil {
			return err
		}
		if _, err := s.exec(ctx, "UPDATE "+t.names.cursor+" SET generation = ?, source_id = ?, start_position = ?, position = ?, anchors = ?, attempt = ?, decision = ?, updated_at = CURRENT_TIMESTAMP(6) WHERE source = ?",
			d.Next.Generation, d.Next.SourceID, d.Next.StartPosition, d.Next.Position, encodeAnchors(d.Next.Anchors), d.Next.Attempt, d.Next.Decision, t.opt.Source); err != nil {
			return err
		}
	}
	if err := t.takeOver(ctx, s, d); err != nil {
		return ofState(err)
	}
	if err := t.clearRewound(ctx, s); err != nil {
		return ofState(err)
	}
	if d.Action == replicator.ActionSet {
		if err := t.accept(ctx, s, d.Next); err != nil {
			return ofState(err)
		}
	}
	if err := t.audit(ctx, s, "cursor "+d.Action, d.Detail); err != nil {
		return ofState(err)
	}
	return commit(ctx, s)
}

// rewriteLedger makes the ledger fit a cursor that is set by hand.
func (t *Target) rewriteLedger(ctx context.Context, s *session, old, next replicator.Cursor) error {
	if next.Generation != old.Generation {
		_, err := s.exec(ctx, "INSERT INTO "+t.names.ledger+" (source, generation, "+runColumns+") SELECT source, ?, "+runColumns+" FROM "+t.names.ledger+
			" WHERE source = ? AND generation = ? AND first_position <= ?", next.Generation, t.opt.Source, old.Generation, next.Position)
		if err != nil {
			return err
		}
	}
	if _, err := s.exec(ctx, "DELETE FROM "+t.names.ledger+" WHERE source = ? AND generation = ? AND first_position > ?", t.opt.Source, next.Generation, next.Position); err != nil {
		return err
	}
	_, err := s.exec(ctx, "UPDATE "+t.names.ledger+" SET length = ? - first_position + 1 WHERE source = ? AND generation = ? AND first_position + length - 1 > ?",
		next.Position, t.opt.Source, next.Generation, next.Position)
	return err
}

// takeOver writes into the state what the decision says of single changes.
func (t *Target) takeOver(ctx context.Context, s *session, d Decision) error {
	places := make([]placed, 0, len(d.Taken))
	for _, row := range d.Taken {
		places = append(places, placed{position: row.Position, id: row.ID, step: 1, fallback: row.Fallback})
	}
	if _, err := t.recordLedger(ctx, s, d.Next.Generation, run{}, places); err != nil {
		return err
	}
	for _, l := range d.Letters {
		if err := t.reopen(ctx, s, d.Next.Generation, l); err != nil {
			return err
		}
	}
	return nil
}

// reopen makes a change an open dead letter, whether it was one before or not.
// A retry had given it a run of its own in the ledger.
func (t *Target) reopen(ctx context.Context, s *session, generation int, l replicator.Letter) error {
	if _, err := s.exec(ctx, "DELETE FROM "+t.names.ledger+" WHERE source = ? AND generation = ? AND first_position = ? AND length = 1", t.opt.Source, generation, l.Position); err != nil {
		return err
	}
	n, err := s.execCount(ctx, "UPDATE "+t.names.deadLetters+" SET resolved_at = NULL WHERE source = ? AND position = ? AND message_id = ? ORDER BY generation DESC LIMIT 1",
		t.opt.Source, l.Position, letterID(l.MessageID))
	if err != nil || n > 0 {
		return err
	}
	_, err = s.exec(ctx, "INSERT INTO "+t.names.deadLetters+" (source, generation, position, message_id, code, reason, attempts) VALUES (?,?,?,?,?,?,0)",
		t.opt.Source, generation, l.Position, letterID(l.MessageID), l.Code, l.Reason)
	return err
}

// RetriedUpTo returns the positions up to one that the ledger holds in runs of
// one with a higher id than the run behind them: where a dead letter's retry has
// put it, which is not where its position belongs.
func (t *Target) RetriedUpTo(ctx context.Context, generation int, upTo int64) ([]int64, error) {
	positions, err := t.retriedUpTo(ctx, generation, upTo)
	if err != nil {
		f := classify(err)
		t.abandon(ctx, f)
		return nil, f
	}
	return positions, nil
}

func (t *Target) retriedUpTo(ctx context.Context, generation int, upTo int64) ([]int64, error) {
	s, err := t.ready(ctx)
	if err != nil {
		return nil, err
	}
	last, err := t.runAt(ctx, s, generation, upTo)
	if err != nil || last.length == 0 {
		return nil, ofState(err)
	}
	id, ok := last.idOf(upTo)
	if !ok {
		id = last.lastID()
	}
	rows, err := s.conn.QueryContext(ctx, "SELECT first_position FROM "+t.names.ledger+" WHERE source = ? AND generation = ? AND first_position <= ? AND length = 1 AND first_crm_id > ? ORDER BY first_position",
		t.opt.Source, generation, upTo, id)
	if err != nil {
		return nil, ofState(err)
	}
	defer func() { _ = rows.Close() }()
	var positions []int64
	for rows.Next() {
		var position int64
		if err := rows.Scan(&position); err != nil {
			return nil, ofState(err)
		}
		positions = append(positions, position)
	}
	return positions, ofState(rows.Err())
}

func (t *Target) audit(ctx context.Context, s *session, action, detail string) error {
	_, err := s.exec(ctx, "INSERT INTO "+t.names.audit+" (source, action, detail) VALUES (?,?,?)", t.opt.Source, action, cutTo(detail, column{limit: 1024}))
	return err
}

// Holds reports whether the CRM still has the row that the ledger names for a
// position: one with this user, direction and time, and with this message
// where was has one.
func (t *Target) Holds(ctx context.Context, generation int, position int64, was mapping.Record) (bool, error) {
	s, err := t.ready(ctx)
	if err != nil {
		return false, classify(err)
	}
	held, err := t.holds(ctx, s, generation, position, was)
	if err != nil {
		f := classify(err)
		t.abandon(ctx, f)
		return false, f
	}
	return held, nil
}

func (t *Target) holds(ctx context.Context, s *session, generation int, position int64, was mapping.Record) (bool, error) {
	r, err := t.runAt(ctx, s, generation, position)
	if err != nil {
		return false, err
	}
	id, ok := r.idOf(position)
	if !ok {
		return false, nil
	}
	guard := []byte(t.guard(id, was))
	if was.Message != "" {
		guard = append(guard, " AND "+t.names.message+" = "...)
		guard = t.appendText(guard, was.Message, t.opt.Columns.Message, t.table.Load())
	}
	var count int
	err = s.conn.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+t.names.target+string(guard)).Scan(&count)
	return count == 1, err
}

// Overview is what the target says about a source's replication.
type Overview struct {
	Cursor          replicator.Cursor
	DeadLettersOpen int
	LedgerRuns      int
	// Generation is the highest one that the ledger holds, 0 where it is empty.
	Generation int
	// Tail is the end of the ledger in the cursor's generation.
	Tail replicator.Tail
	// Fallbacks counts the runs that hold a user id in a username's place.
	Fallbacks int
	// Rewound is what replication is blocked by where a replicator has found, and
	// noted in the state tables, that the CRM's table was emptied or restored; nil
	// otherwise.
	Rewound *replicator.Failure
	Address string
	// StateMissing is set where the state tables are not there yet.
	StateMissing bool
}

// Overview reads the state tables without changing anything.
func (t *Target) Overview(ctx context.Context) (Overview, error) {
	var o Overview
	err := t.overview(ctx, &o)
	if err != nil {
		f := classify(err)
		t.abandon(ctx, f)
		return o, f
	}
	return o, nil
}

func (t *Target) overview(ctx context.Context, o *Overview) error {
	s, err := t.ready(ctx)
	if err != nil {
		return err
	}
	o.Address = s.address
	if o.Cursor, err = t.readCursor(ctx, s, ""); err != nil {
		if isNumber(err, 1146) {
			o.StateMissing = true // nothing is replicated yet
			return nil
		}
		return err
	}
	for query, into := range map[string]*int{
		"SELECT COUNT(*) FROM " + t.names.deadLetters + " WHERE source = ? AND resolved_at IS NULL": &o.DeadLettersOpen,
		"SELECT COUNT(*) FROM " + t.names.ledger + " WHERE source = ?":                              &o.LedgerRuns,
		"SELECT COALESCE(MAX(generation), 0) FROM " + t.names.ledger + " WHERE source = ?":          &o.Generation,
		"SELECT COUNT(*) FROM " + t.names.ledger + " WHERE source = ? AND has_fallback":             &o.Fallbacks,
	} {
		if err := s.conn.QueryRowContext(ctx, query, t.opt.Source).Scan(into); err != nil {
			return ofState(err)
		}
	}
	var marks int
	if err := s.conn.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+t.names.meta+" WHERE name = ?", t.rewoundName()).Scan(&marks); err != nil {
		return ofState(err)
	}
	if marks > 0 {
		o.Rewound = rewound("a replicator has found that the CRM's table was emptied or restored, and nobody has decided since")
	}
	tail, err := t.runAt(ctx, s, o.Cursor.Generation, math.MaxInt64)
	if tail.length > 0 {
		o.Tail = replicator.Tail{Position: tail.end(), ID: tail.lastID()}
	}
	return ofState(err)
}
