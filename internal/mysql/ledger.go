package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"sidestream/replicator"
)

// run is a row of the ledger: consecutive positions that became consecutive
// CRM ids.
type run struct {
	first    int64
	length   int64
	firstID  int64
	step     int64
	fallback bool
}

func (r run) lastID() int64 { return r.firstID + r.step*(r.length-1) }

// end returns the last position of the run, 0 of none.
func (r run) end() int64 {
	if r.length == 0 {
		return 0
	}
	return r.first + r.length - 1
}

// ledgerAhead is the failure of a cursor that stands before what the ledger
// says is applied: applying from there would double rows.
func ledgerAhead(end, position int64) *replicator.Failure {
	return &replicator.Failure{
		Class: replicator.Blocked, Reason: "ledger_ahead",
		Detail: fmt.Sprintf("the cursor is at position %d, but the ledger holds positions up to %d: the cursor's row alone was restored from an older copy", position, end),
		Hint:   hintResume,
	}
}

// continues reports whether position and id directly follow the run.
func (r run) continues(position, id, step int64, fallback bool) bool {
	return r.length > 0 && r.fallback == fallback && r.step == step &&
		position == r.first+r.length && id == r.firstID+r.step*r.length
}

// idOf returns the CRM id of a position inside the run.
func (r run) idOf(position int64) (int64, bool) {
	if position < r.first || position >= r.first+r.length {
		return 0, false
	}
	return r.firstID + r.step*(position-r.first), true
}

const runColumns = "first_position, length, first_crm_id, step, has_fallback"

// runAt returns the ledger's last run that begins at or before a position.
func (t *Target) runAt(ctx context.Context, s *session, generation int, position int64) (run, error) {
	var r run
	err := s.conn.QueryRowContext(ctx, "SELECT "+runColumns+" FROM "+t.names.ledger+
		" WHERE source = ? AND generation = ? AND first_position <= ? ORDER BY first_position DESC LIMIT 1",
		t.opt.Source, generation, position).Scan(&r.first, &r.length, &r.firstID, &r.step, &r.fallback)
	if errors.Is(err, sql.ErrNoRows) {
		return run{}, nil
	}
	return r, err
}

// placed is one record's place in the CRM.
type placed struct {
	position, id, step int64
	fallback           bool
}

// recordLedger stores where the batch's records went, extending the last run
// where they continue it. The caller holds the cursor's row lock.
func (t *Target) recordLedger(ctx context.Context, s *session, generation int, tail run, places []placed) (run, error) {
	grown := int64(0) // by how much the stored tail grows
	var fresh []run
	for _, p := range places {
		last := &tail
		if len(fresh) > 0 {
			last = &fresh[len(fresh)-1]
		}
		if last.continues(p.position, p.id, p.step, p.fallback) {
			last.length++
			if len(fresh) == 0 {
				grown++
			}
			continue
		}
		fresh = append(fresh, run{first: p.position, length: 1, firstID: p.id, step: p.step, fallback: p.fallback})
	}
	if grown > 0 {
		n, err := s.execCount(ctx, "UPDATE "+t.names.ledger+" SET length = ? WHERE source = ? AND generation = ? AND first_position = ? AND length = ?",
			tail.length, t.opt.Source, generation, tail.first, tail.length-grown)
		if err != nil {
			return run{}, err
		}
		if n != 1 {
			return run{}, &replicator.Failure{Class: replicator.Transient, Reason: replicator.ReasonMoved, Detail: "the ledger's last run is not as it was read"}
		}
	}
	for len(fresh) > 0 {
		chunk := fresh[:min(len(fresh), 500)]
		query := "INSERT INTO " + t.names.ledger + " (source, generation, " + runColumns + ") VALUES (?,?,?,?,?,?,?)" +
			strings.Repeat(",(?,?,?,?,?,?,?)", len(chunk)-1)
		args := make([]any, 0, 7*len(chunk))
		for _, r := range chunk {
			args = append(args, t.opt.Source, generation, r.first, r.length, r.firstID, r.step, r.fallback)
		}
		if _, err := s.exec(ctx, query, args...); err != nil {
			return run{}, err
		}
		tail = chunk[len(chunk)-1]
		fresh = fresh[len(chunk):]
	}
	return tail, nil
}
