package mapping

import "errors"

// ErrNoMessage is returned for a history without a row of kind message: an
// edit, an unsend or an erase came before its message. There is no CRM row to
// change yet; the message's own turn will take them into account.
var ErrNoMessage = errors.New("mapping: the history holds no message")

// The reasons why a row maps to no record.
const (
	// ReasonNoUser is a message without the id of the person on the other side.
	ReasonNoUser = "no_user"
	// ReasonBadDirection is a direction other than inbound or outbound.
	ReasonBadDirection = "bad_direction"
	// ReasonBadTimestamp is a time that a TIMESTAMP column cannot hold: outside
	// 1970-01-01 00:00:01 to 2038-01-19 03:14:07 UTC.
	ReasonBadTimestamp = "bad_timestamp"
	// ReasonDuplicateMessage is a second row of kind message in one history,
	// which only a source without a unique key on messages can hold.
	ReasonDuplicateMessage = "duplicate_message"
)

// Reasons returns every Reason that an Error can have, for metrics that want
// all their label values from the start.
func Reasons() []string {
	return []string{ReasonNoUser, ReasonBadDirection, ReasonBadTimestamp, ReasonDuplicateMessage}
}

// Error says that a message maps to no record for what it contains. Trying
// again changes nothing.
type Error struct {
	// Reason is one of Reasons.
	Reason string
}

// Error names the reason and nothing of the row's content.
func (e *Error) Error() string { return "mapping: " + e.Reason }
