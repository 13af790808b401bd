package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"sidestream/replicator"
)

// DeadLetter is a change that the CRM refused for what it contains.
type DeadLetter struct {
	Generation int   `json:"generation"`
	Position   int64 `json:"position"`
	// MessageID is cut at 512 characters.
	MessageID string `json:"message_id"`
	// Code is the server's error number, or empty.
	Code      string    `json:"code"`
	Reason    string    `json:"reason"`
	FirstSeen time.Time `json:"first_seen"`
	Attempts  int       `json:"attempts"`
	// ResolvedAt is zero while the letter is open.
	ResolvedAt time.Time `json:"resolved_at,omitzero"`
}

// letterID is a message id as the state table can hold it, whatever a foreign
// source calls one.
func letterID(id string) string {
	return cutTo(strings.ToValidUTF8(id, "\uFFFD"), column{limit: 512})
}

// ListDeadLetters returns the open dead letters of the source in position
// order, or all of them.
func (t *Target) ListDeadLetters(ctx context.Context, all bool) ([]DeadLetter, error) {
	letters, err := t.listDeadLetters(ctx, all)
	if err != nil {
		f := classify(err)
		t.abandon(ctx, f)
		return nil, f
	}
	return letters, nil
}

func (t *Target) listDeadLetters(ctx context.Context, all bool) ([]DeadLetter, error) {
	s, err := t.ready(ctx)
	if err != nil {
		return nil, err
	}
	query := "SELECT generation, position, message_id, code, reason, first_seen, attempts, COALESCE(resolved_at, '') FROM " + t.names.deadLetters + " WHERE source = ?"
	if !all {
		query += " AND resolved_at IS NULL"
	}
	rows, err := s.conn.QueryContext(ctx, query+" ORDER BY generation, position", t.opt.Source)
	if err != nil {
		return nil, ofState(err)
	}
	defer func() { _ = rows.Close() }()
	var letters []DeadLetter
	for rows.Next() {
		var l DeadLetter
		var seen, resolved string
		if err := rows.Scan(&l.Generation, &l.Position, &l.MessageID, &l.Code, &l.Reason, &seen, &l.Attempts, &resolved); err != nil {
			return nil, ofState(err)
		}
		l.FirstSeen, l.ResolvedAt = parseTime(seen), parseTime(resolved)
		letters = append(letters, l)
	}
	return letters, ofState(rows.Err())
}

// parseTime reads a TIMESTAMP(6) of a session in UTC. It informs people only,
// so one that does not parse stays zero.
func parseTime(text string) time.Time {
	at, _ := time.Parse("2006-01-02 15:04:05.999999", text)
	return at
}

// Retried says what a retry of a dead letter did.
type Retried string

// The outcomes of Retry.
const (
	// RetriedApplied is a change that is in the CRM now; the letter is resolved.
	RetriedApplied Retried = "applied"
	// RetriedNothing is a change that asks for nothing (any more); resolved.
	RetriedNothing Retried = "nothing_to_do"
	// RetriedPruned is a message whose text the source does not keep any more, so
	// that there is nothing to send; resolved.
	RetriedPruned Retried = "pruned"
	// RetriedAlready is a letter that was resolved before, or whose message is in
	// the CRM already.
	RetriedAlready Retried = "already_applied"
	// RetriedLater is a letter that the cursor has not passed (again): the
	// replicator comes to it by itself.
	RetriedLater Retried = "later"
	// RetriedRefused is a letter that the CRM refused again; the attempt is
	// counted and the error says why.
	RetriedRefused Retried = "refused"
)

// Retry applies a dead letter anew, in one transaction that takes the cursor's
// row first, so that a running replicator's batches come before or after it.
// compute is called while that row is held: it reads the source up to the
// cursor's position, no further, and returns what becomes of the change. Load
// must have been called before.
func (t *Target) Retry(ctx context.Context, letter DeadLetter, compute func(replicator.Cursor) (replicator.Item, error)) (Retried, error) {
	outcome, err := t.retry(ctx, letter, compute)
	if err == nil {
		return outcome, nil
	}
	f := classify(err)
	t.abandon(ctx, f)
	switch {
	case f.Doubtful:
		return t.settleRetry(ctx, letter, outcome)
	case f.Class == replicator.Data:
		if err := t.countAttempt(ctx, letter, f); err != nil {
			return "", err
		}
		return RetriedRefused, f
	case f.Reason == reasonRewound:
		t.markRewound(ctx)
	}
	return "", f
}

func (t *Target) retry(ctx context.Context, letter DeadLetter, compute func(replicator.Cursor) (replicator.Item, error)) (Retried, error) {
	s, err := t.ready(ctx)
	if err != nil {
		return "", err
	}
	if _, err := s.exec(ctx, "START TRANSACTION"); err != nil {
		return "", ofState(err)
	}
	cursor, err := t.readCursor(ctx, s, " FOR UPDATE")
	if err != nil {
		return "", ofState(err)
	}
	open, err := t.lockLetter(ctx, s, letter)
	if err != nil {
		return "", ofState(err)
	}
	if !open || !cursor.Known || letter.Position > cursor.Position {
		_, err := s.exec(ctx, "ROLLBACK")
		if open {
			return RetriedLater, err
		}
		return RetriedAlready, err
	}
	item, err := compute(cursor)
	if err != nil {
		return "", err
	}
	if letterID(item.MessageID) != letter.MessageID {
		return "", &replicator.Failure{
			Class: replicator.Blocked, Reason: "dead_letter_differs",
			Detail: fmt.Sprintf("the source's row at position %d is about another message than the dead letter of generation %d", letter.Position, letter.Generation),
			Hint:   "the source was replaced since; if the letter is of no use any more, set its resolved_at in sidestream_dead_letters",
		}
	}
	outcome, err := t.applyLetter(ctx, s, cursor, item)
	if err != nil {
		return "", err
	}
	if _, err := s.exec(ctx, "UPDATE "+t.names.deadLetters+" SET resolved_at = CURRENT_TIMESTAMP(6), attempts = attempts + 1 WHERE source = ? AND generation = ? AND position = ?",
		t.opt.Source, letter.Generation, letter.Position); err != nil {
		return "", ofState(err)
	}
	if err := t.audit(ctx, s, "dead-letters retry", fmt.Sprintf("position %d of generation %d: %s", letter.Position, letter.Generation, outcome)); err != nil {
		return "", ofState(err)
	}
	if err := t.countDeadLetters(ctx, s); err != nil {
		return "", ofState(err)
	}
	return outcome, commit(ctx, s)
}

// lockLetter takes the letter's row and reports whether it is open.
func (t *Target) lockLetter(ctx context.Context, s *session, letter DeadLetter) (bool, error) {
	var open bool
	err := s.conn.QueryRowContext(ctx, "SELECT resolved_at IS NULL FROM "+t.names.deadLetters+" WHERE source = ? AND generation = ? AND position = ? FOR UPDATE",
		t.opt.Source, letter.Generation, letter.Position).Scan(&open)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return open, err
}

// applyLetter does what the item asks for. The cursor's row is held.
func (t *Target) applyLetter(ctx context.Context, s *session, cursor replicator.Cursor, item replicator.Item) (Retried, error) {
	batch := replicator.Batch{From: cursor, Items: []replicator.Item{item}}
	switch item.Op {
	case replicator.OpPark:
		return "", &replicator.Failure{Class: replicator.Data, Reason: item.Reason, Code: item.Code}
	case replicator.OpPass:
		return RetriedNothing, nil
	case replicator.OpUpdate, replicator.OpDelete:
		applied, err := t.changeRecords(ctx, s, batch)
		if err != nil {
			return "", err
		}
		if len(applied.Missed) > 0 {
			// The message itself is not there: parked too, or deleted by the CRM's
			// people. Its own turn takes the change into account.
			return RetriedNothing, nil
		}
		return RetriedApplied, nil
	case replicator.OpInsert:
	}
	r, err := t.runAt(ctx, s, cursor.Generation, item.Position)
	if err != nil {
		return "", ofState(err)
	}
	if _, there := r.idOf(item.Position); there {
		return RetriedAlready, nil
	}
	if item.Pruned {
		return RetriedPruned, nil
	}
	tail, err := t.readTail(ctx, s, cursor.Generation)
	if err != nil {
		return "", err
	}
	p, err := t.Prepare(batch)
	if err != nil {
		return "", err
	}
	places, err := t.insertRecords(ctx, s, p.(*prepared), tail) //nolint:forcetypeassert // Prepare is ours
	if err != nil {
		return "", err
	}
	_, err = s.exec(ctx, "INSERT INTO "+t.names.ledger+" (source, generation, "+runColumns+") VALUES (?,?,?,1,?,?,?)",
		t.opt.Source, cursor.Generation, item.Position, places[0].id, places[0].step, places[0].fallback)
	return RetriedApplied, ofState(err)
}

// countAttempt counts a retry that was refused.
func (t *Target) countAttempt(ctx context.Context, letter DeadLetter, f *replicator.Failure) error {
	s, err := t.ready(ctx)
	if err != nil {
		return classify(err)
	}
	_, err = s.exec(ctx, "UPDATE "+t.names.deadLetters+" SET attempts = attempts + 1, code = ?, reason = ? WHERE source = ? AND generation = ? AND position = ? AND resolved_at IS NULL",
		f.Code, f.Reason, t.opt.Source, letter.Generation, letter.Position)
	return ofState(err)
}

// settleAttempts is how often the outcome of a COMMIT without an answer is
// asked for; each one waits for the cursor's row as long as a lock may.
const settleAttempts = 3

// settleRetry finds out what became of a COMMIT without an answer. Where the
// transaction lives on without us it holds the cursor's row, so that row is
// waited for first.
func (t *Target) settleRetry(ctx context.Context, letter DeadLetter, outcome Retried) (Retried, error) {
	var last error
	for range settleAttempts {
		open, err := t.isOpen(ctx, letter)
		switch {
		case err != nil:
			f := classify(err)
			t.abandon(ctx, f)
			last = f
		case open:
			return "", &replicator.Failure{
				Class: replicator.Transient, Reason: "commit_unanswered",
				Detail: "the COMMIT got no answer and was found rolled back: nothing has changed", Hint: "run the same command again",
			}
		default:
			return outcome, nil
		}
	}
	f := replicator.AsFailure(last)
	f.Hint = "whether the letter is resolved shows: replicator dead-letters list --all"
	return "", f
}

func (t *Target) isOpen(ctx context.Context, letter DeadLetter) (bool, error) {
	s, err := t.ready(ctx)
	if err != nil {
		return false, err
	}
	if _, err := s.exec(ctx, "START TRANSACTION"); err != nil {
		return false, ofState(err)
	}
	if _, err := t.readCursor(ctx, s, " FOR UPDATE"); err != nil {
		return false, ofState(err)
	}
	open, err := t.lockLetter(ctx, s, letter)
	if err != nil {
		return false, ofState(err)
	}
	_, err = s.exec(ctx, "ROLLBACK")
	return open, err
}
