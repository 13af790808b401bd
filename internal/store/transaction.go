package store

import (
	"context"

	"sidestream/mapping"
)

// transaction is what one transaction has done so far. Nothing of it counts
// before COMMIT has returned.
type transaction struct {
	w *writer
	// at is the commit time in milliseconds since 1970 UTC.
	at int64
	// unsentIDs are the messages that were unsent or erased in this transaction.
	unsentIDs map[string]struct{}
	// erasedUsers are the people who were erased in this transaction.
	erasedUsers map[string]struct{}
	// tombstones is true where the WAL has to be truncated afterwards.
	tombstones bool
	inserted   int
	kinds      map[mapping.Kind]int
	pruned     int
	// dropped and unsent count undecoded rows that went because there were too
	// many, and because they quote an unsent message.
	dropped, unsent int
	undecodedBytes  int64
}

func (w *writer) newTransaction() *transaction {
	return &transaction{
		w: w, unsentIDs: map[string]struct{}{}, erasedUsers: map[string]struct{}{}, kinds: map[mapping.Kind]int{},
		undecodedBytes: w.undecodedBytes, at: max(w.lastCommit, w.opts.Now().UnixMilli()),
	}
}

// store writes all deliveries of a group.
func (t *transaction) store(ctx context.Context, group []*request) ([]Result, error) {
	results := make([]Result, len(group))
	for i, r := range group {
		if err := t.deliver(ctx, r.delivery, &results[i]); err != nil {
			return nil, err
		}
	}
	if err := t.limitUndecoded(ctx); err != nil {
		return nil, err
	}
	if err := t.forgetUndecoded(ctx); err != nil {
		return nil, err
	}
	for i, r := range group {
		if r.delivery.erase != nil {
			results[i].forgotten += t.unsent
		}
	}
	return results, nil
}

func (t *transaction) deliver(ctx context.Context, d Delivery, result *Result) error {
	for _, id := range d.Resolves {
		n, err := affect(ctx, t.w.statements.deleteUndecoded, "delete from undecoded", id)
		if err != nil {
			return err
		}
		result.Resolved += n
	}
	if result.Resolved > 0 {
		if err := t.setLoose(ctx, true); err != nil {
			return err
		}
	}
	for _, undecoded := range d.Undecoded {
		if err := t.keepUndecoded(ctx, undecoded); err != nil {
			return err
		}
	}
	if d.erase != nil {
		if err := t.erase(ctx, d.erase, result); err != nil {
			return err
		}
	}
	if d.prune != nil {
		if err := t.prune(ctx, d.prune, result); err != nil {
			return err
		}
	}
	for i := range d.Changes {
		inserted, err := t.add(ctx, &d.Changes[i])
		if err != nil {
			return err
		}
		if inserted {
			result.Inserted++
		} else {
			result.Duplicates++
		}
	}
	return nil
}

// add inserts a change that is new. An unsend or erase also blanks all that is
// stored of its message.
func (t *transaction) add(ctx context.Context, c *mapping.Change) (bool, error) {
	n, err := affect(ctx, t.w.statements.insert, "insert", c.MessageID, string(c.Kind), c.Version, c.AccountID,
		c.SenderID, c.RecipientID, string(c.Direction), c.Text, c.Attachments, c.Timestamp, t.at)
	if err != nil || n == 0 {
		return false, err
	}
	t.inserted++
	t.kinds[c.Kind]++
	if c.Kind == mapping.KindUnsend || c.Kind == mapping.KindErase {
		t.tombstones = true
		t.unsentIDs[c.MessageID] = struct{}{}
		if _, err := affect(ctx, t.w.statements.blank, "blank", c.AccountID, c.MessageID); err != nil {
			return false, err
		}
	}
	return true, nil
}
