package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"sidestream/mapping"
)

// Bounds of one step of an erasure: how many rows are searched in one read, and
// how many messages are erased in one transaction.
const (
	eraseWindow = 20_000
	eraseBatch  = 200
)

// eraseMessage takes the content and the person out of every row of a message.
// The rows must not grow, see tighten: Erase refuses an id that is shorter than
// what stands in its place.
const eraseMessage = `
UPDATE messages SET message_text = NULL, attachments = NULL,
  sender_id = iif(sender_id = ?3, '` + mapping.ErasedText + `', sender_id),
  recipient_id = iif(recipient_id = ?3, '` + mapping.ErasedText + `', recipient_id)
WHERE account_id = ?1 AND id = ?2`

// insertErase adds the row that tells the replicator, after eraseMessage.
const insertErase = `
INSERT INTO messages (id, kind, version, account_id, sender_id, recipient_id, direction, timestamp, created_at)
SELECT id, 'erase', 0, account_id, sender_id, recipient_id, direction, timestamp, ?3
FROM messages WHERE account_id = ?1 AND id = ?2
  AND NOT EXISTS (SELECT 1 FROM messages WHERE account_id = ?1 AND id = ?2 AND kind = 'erase' AND version = 0)
ORDER BY kind <> 'message', seq LIMIT 1`

// findPerson has no index to use: erasing is rare, and an index on people would
// cost every commit.
const findPerson = `
SELECT DISTINCT account_id, id FROM messages
WHERE seq > ?1 AND seq <= ?2 AND account_id <> ?3 AND (sender_id = ?3 OR recipient_id = ?3) AND (?4 = '' OR account_id = ?4)`

// ErrAccount is returned where a business account is to be erased as a person:
// it takes part in every conversation.
var ErrAccount = errors.New("store: the id is a business account's, not a person's")

// ErrShortID is returned for an id that is shorter than what would stand in its
// place; no real one is.
var ErrShortID = fmt.Errorf("store: a user id has at least %d characters", len(mapping.ErasedText))

// Person is who is to be erased.
type Person struct {
	// UserID is the Instagram-scoped id.
	UserID string
	// AccountID is the business account whose conversation with the person is
	// erased; empty means every account.
	AccountID string
}

// Erased counts what an erasure found.
type Erased struct {
	Messages int
	// Undecoded counts bodies that were deleted because they quote the person or
	// one of the messages. A dry run counts those that quote the person.
	Undecoded int
}

// messageKey names all rows of one message.
type messageKey struct{ accountID, id string }

type erasing struct {
	userID   string
	messages []messageKey
}

// Erase blanks every message of a person, puts mapping.ErasedText in place of
// the person's id in all their rows, adds one row of kind erase per message for
// the replicator, and deletes undecoded bodies that quote the person. It works
// in bounded steps beside other writers; what the person writes behind its last
// step is new data. Where it fails or ctx ends in between, calling it again
// goes on. With dryRun it only counts. Scrubbed tells when the texts are gone
// from the WAL too.
func (s *Store) Erase(ctx context.Context, person Person, dryRun bool) (Erased, error) {
	var done Erased
	if len(person.UserID) < len(mapping.ErasedText) {
		return done, ErrShortID
	}
	if err := s.refuseAccount(ctx, person.UserID); err != nil {
		return done, err
	}
	planned := map[messageKey]struct{}{} // rows of one message may be far apart
	for from := int64(0); ; from += eraseWindow {
		head, err := s.Head(ctx)
		if err != nil {
			return done, err
		}
		if from >= head {
			break
		}
		found, err := s.messagesOf(ctx, person, from, from+eraseWindow)
		if err != nil {
			return done, err
		}
		if dryRun {
			for _, key := range found {
				planned[key] = struct{}{}
			}
			done.Messages = len(planned)
			continue
		}
		for len(found) > 0 {
			n := min(len(found), eraseBatch)
			result, err := s.Commit(ctx, Delivery{erase: &erasing{userID: person.UserID, messages: found[:n]}})
			if err != nil {
				return done, err
			}
			done.Messages += result.erased
			done.Undecoded += result.forgotten
			found = found[n:]
		}
	}
	if dryRun {
		var err error
		done.Undecoded, err = s.countNaming(ctx, person.UserID)
		return done, err
	}
	// Bodies may quote a person of whom no message was understood.
	result, err := s.Commit(ctx, Delivery{erase: &erasing{userID: person.UserID}})
	done.Undecoded += result.forgotten
	return done, err
}

// Head returns the highest number given so far, 0 where there is none.
func (s *Store) Head(ctx context.Context) (int64, error) {
	var head int64
	err := s.reading.QueryRowContext(ctx, "SELECT coalesce(max(seq), 0) FROM messages").Scan(&head)
	return head, translate("read the highest number", err)
}

func (s *Store) refuseAccount(ctx context.Context, id string) error {
	var account bool
	err := s.reading.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM messages WHERE account_id = ?1)", id).Scan(&account)
	if err == nil && account {
		return ErrAccount
	}
	return translate("look up an account", err)
}

func (s *Store) messagesOf(ctx context.Context, person Person, from, to int64) ([]messageKey, error) {
	const op = "find a person's messages"
	rows, err := s.reading.QueryContext(ctx, findPerson, from, to, person.UserID, person.AccountID)
	if err != nil {
		return nil, translate(op, err)
	}
	defer rows.Close()
	var found []messageKey
	for rows.Next() {
		var key messageKey
		if err := rows.Scan(&key.accountID, &key.id); err != nil {
			return nil, translate(op, err)
		}
		found = append(found, key)
	}
	return found, translate(op, rows.Err())
}

func (s *Store) countNaming(ctx context.Context, userID string) (int, error) {
	const op = "search undecoded"
	rows, err := s.reading.QueryContext(ctx, "SELECT body FROM undecoded")
	if err != nil {
		return 0, translate(op, err)
	}
	defer rows.Close()
	n := 0
	for rows.Next() {
		var body []byte
		if err := rows.Scan(&body); err != nil {
			return 0, translate(op, err)
		}
		if names(body, userID) {
			n++
		}
	}
	return n, translate(op, rows.Err())
}

// erase is one step of Erase.
func (t *transaction) erase(ctx context.Context, e *erasing, result *Result) error {
	t.tombstones = true
	t.erasedUsers[e.userID] = struct{}{}
	for _, key := range e.messages {
		n, err := affect(ctx, t.w.statements.eraseMessage, "erase", key.accountID, key.id, e.userID)
		if err != nil {
			return err
		}
		if n == 0 {
			continue
		}
		result.erased++
		t.unsentIDs[key.id] = struct{}{}
		if n, err = affect(ctx, t.w.statements.insertErase, "insert an erase", key.accountID, key.id, t.at); err != nil {
			return err
		}
		t.inserted += n
		t.kinds[mapping.KindErase] += n
		result.Inserted += n
	}
	return nil
}

// names tells whether a body holds an id by itself, not as a part of a longer
// word or number. JSON may hold it as a string or as a number.
func names(body []byte, id string) bool {
	for rest := body; ; {
		i := bytes.Index(rest, []byte(id))
		if i < 0 {
			break
		}
		end := i + len(id)
		if (i == 0 || !wordByte(rest[i-1])) && (end == len(rest) || !wordByte(rest[end])) {
			return true
		}
		rest = rest[i+1:]
	}
	for text := range quoted(body) {
		if text == id {
			return true
		}
	}
	return false
}

func wordByte(b byte) bool {
	return b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b == '_'
}
