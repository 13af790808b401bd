package store

import (
	"context"
	"database/sql"
	"time"
)

// pruneWindow is how many numbers one transaction of a pruning covers.
const pruneWindow = 2000

// prunable are the rows numbered above ?1 up to ?2 that are older than ?3 and
// hold something: what is NULL was either blanked by an unsend or erase or was
// never there, and only the latter is marked, see pruning. An edit is not older
// than its message in this sense: it stays while the message has to stay, which
// is where the message's number is above ?4 or its age below the limit.
const prunable = `seq > ?1 AND seq <= ?2 AND created_at < ?3 AND kind IN ('message', 'edit', 'test')
AND (message_text <> '' OR attachments IS NOT NULL OR (message_text IS NULL AND NOT EXISTS (
  SELECT 1 FROM messages AS t WHERE t.account_id = messages.account_id AND t.id = messages.id AND t.kind IN ('unsend', 'erase'))))
AND (kind <> 'edit' OR NOT EXISTS (
  SELECT 1 FROM messages AS o WHERE o.account_id = messages.account_id AND o.id = messages.id AND o.kind = 'message'
    AND (o.created_at >= ?3 OR o.seq > ?4)))`

// Pruned counts what a pruning blanked.
type Pruned struct {
	// Rows counts messages and edits.
	Rows int
	// Undecoded counts bodies that were deleted.
	Undecoded int
}

// pruning is one step of Prune. A pruned row has an empty text where others have
// NULL or words, and no attachments: it never grows, so nothing in the file has
// to move, and the mapping can tell it from a message without a text.
type pruning struct {
	from, to      int64
	before, limit int64
	undecoded     bool
}

// Prune blanks text and attachments of the rows that were stored before a time
// and have a number up to upTo, which is how far the replicator has come. The
// rows stay, so that a later edit or unsend finds its message. Undecoded bodies
// older than that are deleted. It works in bounded steps beside other writers
// and may be called again at any time. With dryRun it only counts.
func (s *Store) Prune(ctx context.Context, before time.Time, upTo int64, dryRun bool) (Pruned, error) {
	var done Pruned
	at := before.UnixMilli()
	for from := int64(0); from < upTo; from += pruneWindow {
		to := min(from+pruneWindow, upTo)
		oldest, rows, err := s.countPrunable(ctx, from, to, at, upTo)
		switch {
		case err != nil:
			return done, err
		case oldest.Valid && oldest.Int64 >= at:
			// Numbers are given in the order of time: what follows is younger.
			from = upTo
		case rows == 0:
		case dryRun:
			done.Rows += rows
		default:
			result, err := s.Commit(ctx, Delivery{prune: &pruning{from: from, to: to, before: at, limit: upTo}})
			if err != nil {
				return done, err
			}
			done.Rows += result.pruned
		}
	}
	n, err := s.countOldUndecoded(ctx, at)
	if err != nil || dryRun || n == 0 {
		done.Undecoded = n
		return done, err
	}
	result, err := s.Commit(ctx, Delivery{prune: &pruning{before: at, undecoded: true}})
	done.Undecoded = result.forgotten
	return done, err
}

// countPrunable also returns the time of the oldest row in the window.
func (s *Store) countPrunable(ctx context.Context, from, to, before, limit int64) (oldest sql.NullInt64, rows int, err error) {
	err = s.reading.QueryRowContext(ctx, "SELECT min(created_at) FROM messages WHERE seq > ?1 AND seq <= ?2", from, to).Scan(&oldest)
	if err == nil && oldest.Valid && oldest.Int64 < before {
		err = s.reading.QueryRowContext(ctx, "SELECT count(*) FROM messages WHERE "+prunable, from, to, before, limit).Scan(&rows)
	}
	return oldest, rows, translate("find old messages", err)
}

func (s *Store) countOldUndecoded(ctx context.Context, before int64) (int, error) {
	var n int
	err := s.reading.QueryRowContext(ctx, "SELECT count(*) FROM undecoded WHERE received_at < ?1", before).Scan(&n)
	return n, translate("find old undecoded", err)
}

// prune is one step of Prune.
func (t *transaction) prune(ctx context.Context, p *pruning, result *Result) (err error) {
	t.tombstones = true
	if !p.undecoded {
		result.pruned, err = affect(ctx, t.w.statements.prune, "prune", p.from, p.to, p.before, p.limit)
		t.pruned += result.pruned
		return err
	}
	result.forgotten, err = affect(ctx, t.w.statements.pruneUndecoded, "delete from undecoded", p.before)
	if err != nil {
		return err
	}
	return t.tighten(ctx, result.forgotten > 0)
}
