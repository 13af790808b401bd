package mapping

import (
	"strings"
	"time"
)

// ErasedText stands in the CRM row of an erased message for the user's id, the
// username and the message.
const ErasedText = "[erased]"

// The other values of Record.Status.
const (
	statusEdited = "edited"
	statusUnsent = "unsent"
	statusErased = "erased"
)

// DirectionIn and DirectionOut are the values of Record.Direction.
const (
	DirectionIn  = "in"
	DirectionOut = "out"
)

// StatusSent is the Record.Status of a message that has not changed since it was
// sent.
const StatusSent = "sent"

// What a TIMESTAMP column can hold, in milliseconds since 1970 UTC: MySQL
// keeps second 0 for its zero date.
const (
	firstTimestamp = 1_000
	lastTimestamp  = (1<<31-1)*1_000 + 999
)

// Mapper computes records. It is safe for concurrent use.
type Mapper struct {
	opts Options
}

// New returns a Mapper, or an error that names the first bad option.
func New(opts Options) (*Mapper, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	return &Mapper{opts: opts}, nil
}

// Record computes what the CRM should hold for one message. The history is
// every row that the source has of one (account_id, id), in any order; rows of
// other kinds than message, edit, unsend and erase are ignored. A user who is
// missing in names is written with the user id as a fallback.
//
// It returns ErrNoMessage where the message itself is not in the history, and
// an *Error where it maps to no record for what it contains. A message that is
// to be deleted or left out needs no valid record, so it is never an Error of
// its time or user.
func (m *Mapper) Record(history []Change, names map[User]string) (Outcome, error) {
	found, err := digest(history)
	if err != nil {
		return Outcome{}, err
	}
	message := found.message
	if message.Direction != Inbound && message.Direction != Outbound {
		return Outcome{}, &Error{Reason: ReasonBadDirection}
	}
	if !m.opts.Directions.maps(message.Direction) {
		return Outcome{State: LeftOut}, nil
	}
	state := m.state(found)
	if state != Deleted {
		if err := check(message, state); err != nil {
			return Outcome{}, err
		}
	}

	record := m.Was(*message)
	record.UserID = validText(message.User().UserID)
	record.MessageID = validText(message.MessageID)
	record.AccountID = validText(message.AccountID)
	record.SenderID = validText(message.SenderID)
	record.RecipientID = validText(message.RecipientID)
	record.Username, record.Fallback = username(message.User(), names)
	switch state {
	case Erased:
		erase(&record)
	case Redacted, Deleted:
		record.Message, record.Status = m.opts.UnsendText, statusUnsent
	default:
		record.Message, record.Status = readable(found.text, found.attachments), StatusSent
		if found.edited {
			record.Status = statusEdited
		}
	}
	return Outcome{Record: record, State: state}, nil
}

// Regardless returns a Mapper that leaves no direction out. What was taken back
// has to go from rows that another configuration once wrote, too.
func (m *Mapper) Regardless() *Mapper {
	opts := m.opts
	opts.Directions = BothDirections
	return &Mapper{opts: opts}
}

// Was returns what the CRM row of a message was given when it was written and
// keeps for life: UserID, Direction and CreatedAt. An update or delete that
// also matches these cannot touch a stranger's row. Only an erase changes one
// of them: of a message whose user the source has forgotten, UserID is empty
// and not to be compared, because the CRM's row holds the user or ErasedText.
func (m *Mapper) Was(message Change) Record {
	record := Record{
		UserID: validText(message.User().UserID),
		// Dividing whole milliseconds cuts, as the CRM's column would not:
		// MySQL rounds fractions of a second.
		CreatedAt: time.Unix(message.Timestamp/1_000, 0).UTC(),
		Direction: DirectionIn,
	}
	if message.Direction == Outbound {
		record.Direction = DirectionOut
	}
	if record.UserID == ErasedText {
		record.UserID = ""
	}
	return record
}

// state decides by what has happened, not by what happened last. Deleting goes
// before erasing because a row that is gone holds nothing to erase.
func (m *Mapper) state(found history) State {
	switch {
	case found.unsent && m.opts.OnUnsend == DeleteUnsent:
		return Deleted
	case found.erased:
		return Erased
	case found.unsent:
		return Redacted
	case found.pruned:
		return Pruned
	default:
		return Present
	}
}

// check tells whether the message has what every CRM row needs.
func check(message *Change, state State) error {
	// Erasing takes the user out of the source's own rows too.
	if message.User().UserID == "" && state != Erased {
		return &Error{Reason: ReasonNoUser}
	}
	if message.Timestamp < firstTimestamp || message.Timestamp > lastTimestamp {
		return &Error{Reason: ReasonBadTimestamp}
	}
	return nil
}

// username returns the user's name, or the id that stands in for it and true.
func username(user User, names map[User]string) (string, bool) {
	if name := names[user]; name != "" {
		return validText(name), false
	}
	return validText(user.UserID), true
}

// erase takes the person out of a record. It is no fallback: healing must not
// put a name back.
func erase(record *Record) {
	user := record.UserID
	if record.SenderID == user {
		record.SenderID = ErasedText
	}
	if record.RecipientID == user {
		record.RecipientID = ErasedText
	}
	record.UserID, record.Username, record.Fallback = ErasedText, ErasedText, false
	record.Message, record.Status = ErasedText, statusErased
}

// validText returns s as it is where it is valid UTF-8. Elsewhere each run of
// bad bytes becomes one U+FFFD: no utf8mb4 column takes them, and one mark in
// the text is better than a message that never arrives.
func validText(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
