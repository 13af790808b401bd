package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"

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

// acceptedName is the row of the state that holds up to which position, in which
// generation, an operator has said that the CRM's rows are what they are.
func (t *Target) acceptedName() string { return "accepted:" + t.opt.Source }

// accept remembers that nothing up to the cursor is to be looked for any more.
func (t *Target) accept(ctx context.Context, s *session, c replicator.Cursor) error {
	if _, err := s.exec(ctx, "DELETE FROM "+t.names.meta+" WHERE name = ?", t.acceptedName()); err != nil {
		return err
	}
	_, err := s.exec(ctx, "INSERT INTO "+t.names.meta+" (name, value) VALUES (?, ?)", t.acceptedName(), fmt.Sprintf("%d:%d", c.Generation, c.Position))
	return err
}

// accepted returns the position that accept remembered for a generation, 0
// where there is none.
func (t *Target) accepted(ctx context.Context, s *session, generation int) (int64, error) {
	var value string
	err := s.conn.QueryRowContext(ctx, "SELECT value FROM "+t.names.meta+" WHERE name = ?", t.acceptedName()).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	var of int
	var position int64
	if _, bad := fmt.Sscanf(value, "%d:%d", &of, &position); bad != nil || of != generation {
		return 0, ofState(err)
	}
	return position, ofState(err)
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
