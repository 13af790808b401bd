package mysql

import (
	"context"
	"fmt"
	"strconv"

	"sidestream/mapping"
	"sidestream/replicator"
)

// Apply implements replicator.Target. The order of the steps is the proof:
// nothing can commit before the compare-and-set is known to have matched.
func (t *Target) Apply(ctx context.Context, p replicator.Prepared, attempt string) (replicator.Applied, error) {
	batch, ok := p.(*prepared)
	if !ok {
		return replicator.Applied{}, &replicator.Failure{Class: replicator.Blocked, Reason: "internal", Detail: fmt.Sprintf("a batch prepared by another target: %T", p)}
	}
	applied, tail, err := t.transaction(ctx, batch, attempt)
	if err != nil {
		f := classify(err)
		t.abandon(ctx, f)
		if f.Reason == reasonRewound {
			t.markRewound(ctx)
		}
		return replicator.Applied{}, f
	}
	t.tail = tail
	if found := t.table.Load(); found != nil {
		t.observeHeadroom(found)
	}
	return applied, nil
}

func (t *Target) transaction(ctx context.Context, p *prepared, attempt string) (applied replicator.Applied, tail run, err error) {
	s, err := t.ready(ctx)
	if err != nil {
		return applied, tail, err
	}
	if _, err := s.exec(ctx, "START TRANSACTION"); err != nil {
		return applied, tail, ofState(err)
	}
	if err := t.moveCursor(ctx, s, p.batch, attempt); err != nil {
		return applied, tail, ofState(err)
	}
	// The first read makes the transaction's snapshot: behind the
	// compare-and-set, so that it shows what whoever held the cursor's row before
	// wrote to the ledger; before the INSERTs, so that it shows none of the rows
	// that strangers add meanwhile.
	if tail, err = t.readTail(ctx, s, p.batch.From.Generation); err != nil {
		return applied, tail, err
	}
	if end := tail.end(); end > p.batch.From.Position {
		return applied, tail, ledgerAhead(end, p.batch.From.Position)
	}
	places, err := t.insertRecords(ctx, s, p, tail)
	if err != nil {
		return applied, tail, err
	}
	if tail, err = t.recordLedger(ctx, s, p.batch.From.Generation, tail, places); err != nil {
		return applied, tail, ofState(err)
	}
	if applied, err = t.changeRecords(ctx, s, p.batch); err != nil {
		f := classify(err)
		f.Row = 0 // it names a row of one UPDATE, not of the inserts
		return applied, tail, f
	}
	if err := t.park(ctx, s, p.batch); err != nil {
		return applied, tail, ofState(err)
	}
	return applied, tail, commit(ctx, s)
}

// commit sends COMMIT. ctx has no short deadline: cancelling it is what makes
// the outcome doubtful.
func commit(ctx context.Context, s *session) error {
	_, err := s.exec(ctx, "COMMIT")
	if err == nil {
		return nil
	}
	f := classify(err)
	if !commitRefused(err) {
		f.Doubtful = true
		f.Class, f.Reason, f.Unknown = replicator.Transient, "commit_unanswered", false
	}
	return f
}

// moveCursor is the compare-and-set: it comes first and must touch exactly one
// row, or somebody else has moved the cursor. The attempt belongs to it: a
// cursor that was restored, or begun anew, can come to the same position by
// other rows.
func (t *Target) moveCursor(ctx context.Context, s *session, b replicator.Batch, attempt string) error {
	n, err := s.execCount(ctx, "UPDATE "+t.names.cursor+
		" SET position = ?, anchors = ?, source_id = ?, attempt = ?, applied_total = applied_total + ?, updated_at = CURRENT_TIMESTAMP(6)"+
		" WHERE source = ? AND generation = ? AND position = ? AND attempt = ?",
		b.To, encodeAnchors(b.Anchors), b.SourceID, attempt, len(b.Items), t.opt.Source, b.From.Generation, b.From.Position, b.From.Attempt)
	// 1020 is what MariaDB answers instead, with innodb_snapshot_isolation.
	if n != 1 && (err == nil || isNumber(err, 1020)) {
		return &replicator.Failure{Class: replicator.Transient, Reason: replicator.ReasonMoved, Detail: fmt.Sprintf("the cursor is not at position %d any more, or was written by somebody else since", b.From.Position)}
	}
	return err
}

// changeRecords applies edits, unsends and erasures to rows that earlier
// batches wrote. Every statement also matches user_id, direction and
// created_at: ids are reused after TRUNCATE or a restore, and a stranger's row
// must never be touched. created_at = created_at keeps old servers from putting
// the current time there.
func (t *Target) changeRecords(ctx context.Context, s *session, b replicator.Batch) (replicator.Applied, error) {
	applied := replicator.Applied{Missed: map[string]int{}}
	for i := range b.Items {
		item := &b.Items[i]
		if item.Op != replicator.OpUpdate && item.Op != replicator.OpDelete {
			continue
		}
		r, err := t.runAt(ctx, s, b.From.Generation, item.MessagePosition)
		if err != nil {
			return applied, ofState(err)
		}
		id, ok := r.idOf(item.MessagePosition)
		if !ok {
			applied.Missed["not_in_ledger"]++
			continue
		}
		found, err := t.changeRecord(ctx, s, item, id)
		if err != nil {
			return applied, err
		}
		if !found {
			applied.Missed[replicator.ReasonRowGone]++
		}
	}
	return applied, nil
}

// changeRecord reports whether the row was there, changed or not.
func (t *Target) changeRecord(ctx context.Context, s *session, item *replicator.Item, id int64) (bool, error) {
	n, found, guard := t.names, t.table.Load(), t.guard(id, item.Was)
	var count int
	if err := s.conn.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+n.target+guard+" FOR UPDATE").Scan(&count); err != nil {
		return false, err
	}
	if count == 0 {
		return false, nil
	}
	if item.Op == replicator.OpDelete {
		_, err := s.exec(ctx, "DELETE FROM "+n.target+guard)
		return true, err
	}
	set := []byte("UPDATE " + n.target + " SET " + n.createdAt + " = " + n.createdAt + ", " + n.message + " = ")
	set = t.appendText(set, item.Record.Message, t.opt.Columns.Message, found)
	if item.Record.UserID != item.Was.UserID {
		set = append(set, ", "+n.userID+" = "...)
		set = t.appendText(set, item.Record.UserID, t.opt.Columns.UserID, found)
		set = append(set, ", "+n.username+" = "...)
		set = t.appendText(set, item.Record.Username, t.opt.Columns.Username, found)
	}
	for _, e := range n.extra {
		set = append(set, ", "+quote(e.name)+" = "...)
		set = t.appendText(set, e.value(&item.Record), e.name, found)
	}
	_, err := s.exec(ctx, string(set)+guard)
	return true, err
}

// guard is the condition under which a ledgered row is still the one that was
// written.
func (t *Target) guard(id int64, was mapping.Record) string {
	return " WHERE " + t.names.id + " = " + strconv.FormatInt(id, 10) + " AND " + t.whoIs(was) + " AND " + t.whenIs(was)
}

// whoIs is the condition of a row's user, unless that is not known any more, and
// direction. It is false, not NULL, where one of them is NULL.
func (t *Target) whoIs(was mapping.Record) string {
	b := append([]byte("COALESCE("), t.names.direction+" = "...)
	b = t.appendText(b, was.Direction, t.opt.Columns.Direction, nil)
	if was.UserID != "" {
		b = append(b, " AND "+t.names.userID+" = "...)
		b = t.appendText(b, was.UserID, t.opt.Columns.UserID, t.table.Load())
	}
	return string(append(b, ", 0)"...))
}

// whenIs is the condition of a row's time.
func (t *Target) whenIs(was mapping.Record) string {
	b := append([]byte("COALESCE("), t.names.createdAt+" = "...)
	return string(append(t.appendTime(b, was.CreatedAt, t.table.Load()), ", 0)"...))
}

// park stores dead letters. A position that was parked before (the operator
// moved the cursor back) counts another attempt; one that passes now is
// resolved.
func (t *Target) park(ctx context.Context, s *session, b replicator.Batch) error {
	parked := 0
	if t.deadLettersOpen.Load() > 0 {
		n, err := s.execCount(ctx, "UPDATE "+t.names.deadLetters+" SET resolved_at = CURRENT_TIMESTAMP(6) WHERE source = ? AND generation = ? AND position > ? AND position <= ? AND resolved_at IS NULL",
			t.opt.Source, b.From.Generation, b.From.Position, b.To)
		if err != nil {
			return err
		}
		parked = int(n)
	}
	for i := range b.Items {
		item := &b.Items[i]
		if item.Op != replicator.OpPark {
			continue
		}
		parked++
		n, err := s.execCount(ctx, "UPDATE "+t.names.deadLetters+" SET attempts = attempts + 1, code = ?, reason = ?, resolved_at = NULL WHERE source = ? AND generation = ? AND position = ?",
			item.Code, item.Reason, t.opt.Source, b.From.Generation, item.Position)
		if err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		if _, err := s.exec(ctx, "INSERT INTO "+t.names.deadLetters+" (source, generation, position, message_id, code, reason, attempts) VALUES (?,?,?,?,?,?,1)",
			t.opt.Source, b.From.Generation, item.Position, letterID(item.MessageID), item.Code, item.Reason); err != nil {
			return err
		}
	}
	if parked == 0 {
		return nil
	}
	return t.countDeadLetters(ctx, s)
}
