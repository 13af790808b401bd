package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"iter"
)

// maxQuoted bounds how many strings of one undecoded body are looked up among
// the unsent messages. Real bodies hold a few hundred.
const maxQuoted = 4096

// forgetUndecoded deletes the undecoded bodies that quote a message which this
// transaction unsent, or a person whom it erased. It reads every body once,
// whatever the number of unsends.
func (t *transaction) forgetUndecoded(ctx context.Context) error {
	if len(t.unsentIDs) == 0 && len(t.erasedUsers) == 0 {
		return nil
	}
	rows, err := t.w.statements.undecodedBodies.QueryContext(ctx)
	if err != nil {
		return translate("read undecoded", err)
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		var body sql.RawBytes
		if err := rows.Scan(&id, &body); err != nil {
			return translate("read undecoded", err)
		}
		if t.quotesForgotten(body) {
			ids = append(ids, id)
		}
	}
	if err := rows.Err(); err != nil {
		return translate("read undecoded", err)
	}
	rows.Close()
	for _, id := range ids {
		n, err := affect(ctx, t.w.statements.deleteUndecoded, "delete from undecoded", id)
		if err != nil {
			return err
		}
		t.unsent += n
	}
	return t.tighten(ctx, len(ids) > 0)
}

// quotesForgotten tells whether a body quotes what this transaction unsent or
// erased.
func (t *transaction) quotesForgotten(body []byte) bool {
	for text := range quoted(body) {
		if _, unsent := t.unsentIDs[text]; unsent {
			return true
		}
	}
	for user := range t.erasedUsers {
		if names(body, user) {
			return true
		}
	}
	return false
}

// tighten writes undecoded anew where rows have been deleted from it.
// secure_delete zeroes a row where it lies, but when SQLite merges pages it
// moves neighbours and leaves stale copies in the gaps; such a copy can be of a
// body that was replayed since, and whose message is unsent now. The table
// messages needs nothing of the kind: its rows are appended and only shrink, so
// they never move. The cost is bounded by Options.UndecodedMaxBytes.
func (t *transaction) tighten(ctx context.Context, loose bool) error {
	if !loose {
		var value string
		if err := t.w.statements.isLoose.QueryRowContext(ctx).Scan(&value); err != nil {
			return translate("read meta", err)
		}
		if value == "0" {
			return nil
		}
	}
	// A DELETE without WHERE frees all pages, and freed pages are zeroed.
	const rewrite = `
		CREATE TEMP TABLE kept AS SELECT id, received_at, reason, body FROM main.undecoded;
		DELETE FROM main.undecoded;
		INSERT INTO main.undecoded (id, received_at, reason, body) SELECT id, received_at, reason, body FROM temp.kept ORDER BY id;
		DROP TABLE temp.kept;`
	if _, err := t.w.conn.ExecContext(ctx, rewrite); err != nil {
		return translate("rewrite undecoded", err)
	}
	return t.setLoose(ctx, false)
}

func (t *transaction) setLoose(ctx context.Context, loose bool) error {
	value := "0"
	if loose {
		value = "1"
	}
	_, err := affect(ctx, t.w.statements.setLoose, "update meta", value)
	return err
}

// quotesUnsent tells whether a body quotes a message that was unsent before.
func (t *transaction) quotesUnsent(ctx context.Context, body []byte) (bool, error) {
	looked := map[string]struct{}{}
	for text := range quoted(body) {
		if _, again := looked[text]; again {
			continue
		}
		if len(looked) == maxQuoted {
			return false, nil
		}
		looked[text] = struct{}{}
		var unsent bool
		if err := t.w.statements.tombstone.QueryRowContext(ctx, text).Scan(&unsent); err != nil {
			return false, translate("look up a tombstone", err)
		}
		if unsent {
			return true, nil
		}
	}
	return false, nil
}

// quoted yields everything between two quotes in a body that is JSON, more or
// less: every string of it, and the punctuation between them, which equals no
// message id. It leaves out the id that a reply refers to, because a reply is
// not the message that was unsent.
func quoted(body []byte) iter.Seq[string] {
	return func(yield func(string) bool) {
		var before [4][]byte
		for {
			end := quote(body)
			if end < 0 {
				return
			}
			part := body[:end]
			body = body[end+1:]
			if !isReply(before) && !yield(unescape(part)) {
				return
			}
			copy(before[:], before[1:])
			before[3] = part
		}
	}
}

// quote returns the place of the next quote that is not escaped, or -1.
func quote(body []byte) int {
	for from := 0; ; {
		i := bytes.IndexByte(body[from:], '"')
		if i < 0 {
			return -1
		}
		i += from
		slashes := 0
		for slashes < i && body[i-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return i
		}
		from = i + 1
	}
}

// isReply tells whether what follows is the X of "reply_to":{"mid":"X".
func isReply(before [4][]byte) bool {
	is := func(i int, want string) bool { return string(bytes.TrimSpace(before[i])) == want }
	return is(0, "reply_to") && string(bytes.Join(bytes.Fields(before[1]), nil)) == ":{" && is(2, "mid") && is(3, ":")
}

func unescape(part []byte) string {
	if bytes.IndexByte(part, '\\') >= 0 {
		var text string
		if json.Unmarshal(append(append([]byte{'"'}, part...), '"'), &text) == nil {
			return text
		}
	}
	return string(part)
}
