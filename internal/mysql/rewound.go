package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"

	"sidestream/mapping"
	"sidestream/replicator"
)

const (
	reasonRewound = "target_rewound"
	hintResume    = "run: replicator cursor resume --dry-run, then replicator cursor resume (it sends again what was lost)"
)

// checkRewound blocks where new ids come out at or below the last ledgered one
// while that row is gone: the table was emptied or restored, and the ledger's
// ids mean other rows now.
func (t *Target) checkRewound(ctx context.Context, s *session, tail run, places []placed) error {
	last := tail.lastID()
	if tail.length == 0 || len(places) == 0 || places[0].id > last {
		return nil
	}
	reused := slices.ContainsFunc(places, func(p placed) bool { return p.id == last })
	if !reused {
		var count int
		if err := s.conn.QueryRowContext(ctx, fmt.Sprintf("SELECT COUNT(*) FROM %s WHERE %s = %d", t.names.target, t.names.id, last)).Scan(&count); err != nil {
			return ofNoRow(err)
		}
		if count > 0 {
			// Lower ids beside an intact table: another node's share of the range.
			return nil
		}
	}
	return rewound(fmt.Sprintf("the CRM's table gave out id %d, but this source's last row had id %d: the table was emptied or restored", places[0].id, last))
}

func rewound(detail string) *replicator.Failure {
	return &replicator.Failure{Class: replicator.Blocked, Reason: reasonRewound, Detail: detail, Hint: hintResume}
}

// rewoundName is the row of the state that remembers a rewound table. Without
// it the next attempts would use up the ids (no rollback gives them back) until
// new ones lie above the last one of the ledger, and then go on as if nothing
// had been lost.
func (t *Target) rewoundName() string { return "rewound:" + t.opt.Source }

// markRewound remembers the finding until an operator decides. It runs after
// the rollback; where it fails the next attempt finds the same again.
func (t *Target) markRewound(ctx context.Context) {
	s, err := t.ready(ctx)
	if err != nil {
		return
	}
	_, err = s.exec(ctx, "INSERT INTO "+t.names.meta+" (name, value) VALUES (?, '1')", t.rewoundName())
	if err != nil && !isNumber(err, 1062) {
		t.opt.Logger.Warn("the finding cannot be stored", "reason", reasonRewound, "err", classify(err))
	}
}

// clearRewound forgets it: an operator has decided.
func (t *Target) clearRewound(ctx context.Context, s *session) error {
	_, err := s.exec(ctx, "DELETE FROM "+t.names.meta+" WHERE name = ?", t.rewoundName())
	return err
}

// readTail returns the ledger's last run, and fails where the table is known to
// be rewound.
func (t *Target) readTail(ctx context.Context, s *session, generation int) (run, error) {
	var r run
	var marks int
	err := s.conn.QueryRowContext(ctx, "SELECT "+runColumns+", (SELECT COUNT(*) FROM "+t.names.meta+" WHERE name = ?) FROM "+t.names.ledger+
		" WHERE source = ? AND generation = ? AND first_position <= ? ORDER BY first_position DESC LIMIT 1",
		t.rewoundName(), t.opt.Source, generation, int64(math.MaxInt64)).Scan(&r.first, &r.length, &r.firstID, &r.step, &r.fallback, &marks)
	if errors.Is(err, sql.ErrNoRows) {
		return run{}, nil
	}
	if err != nil {
		return run{}, ofState(err)
	}
	if marks > 0 {
		return run{}, rewound(fmt.Sprintf("the CRM's table was emptied or restored: it gave out ids below %d, which this source's last row had", r.lastID()))
	}
	return r, nil
}

// witness is a row that was added and not changed since.
type witness struct {
	id  int64
	was mapping.Record
	// generation and position are the cursor's at that time.
	generation int
	position   int64
}

// remember keeps the last row of a batch that was committed as the witness.
func (t *Target) remember(b replicator.Batch, tail run) {
	t.witness.generation, t.witness.position = b.From.Generation, b.To
	for i := range b.Items {
		switch item := &b.Items[i]; item.Op {
		case replicator.OpInsert:
			if id, ok := tail.idOf(item.Position); ok {
				t.witness.id, t.witness.was = id, item.Record
			}
		case replicator.OpDelete:
			t.witness.id = 0
		case replicator.OpUpdate:
			if item.Record.UserID != item.Was.UserID {
				t.witness.id = 0
			}
		case replicator.OpPark, replicator.OpPass:
		}
	}
}

// askWitness looks for the row that this process added last, in a table that
// the server has made anew. Strangers' rows may have used up the lost ids by
// now, and then no new id would give the loss away.
func (t *Target) askWitness(ctx context.Context, s *session, cursor replicator.Cursor) error {
	w := t.witness
	if w.id == 0 || cursor.Generation != w.generation || cursor.Position != w.position {
		return nil
	}
	var count int
	if err := s.conn.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+t.names.target+t.guard(w.id, w.was)).Scan(&count); err != nil {
		return ofNoRow(err)
	}
	if count == 0 {
		t.opt.Logger.Warn("the CRM's table was made anew and lacks the last row", "id", w.id, "next", hintResume)
		t.markRewound(ctx)
	}
	return nil
}
