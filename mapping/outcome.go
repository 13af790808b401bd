package mapping

// State says what the CRM should hold for a message.
type State int

// The states of a message.
const (
	// Present asks for a row that equals the record.
	Present State = iota
	// Redacted asks for a row that equals the record, which holds the unsend
	// text instead of what was written and still names the user.
	Redacted
	// Deleted asks for no row. The record is the one that Redacted would have.
	Deleted
	// Erased asks for a row that equals the record, which names nobody.
	Erased
	// Pruned asks for a row that is there to stay as it is: the source does not
	// keep the text any more. The record is what a row that is not there would be
	// given.
	Pruned
	// LeftOut asks for nothing: the message's direction is not mapped, and the
	// record is empty.
	LeftOut
)

// String returns the state's name in snake_case.
func (s State) String() string {
	switch s {
	case Present:
		return "present"
	case Redacted:
		return "redacted"
	case Deleted:
		return "deleted"
	case Erased:
		return "erased"
	case Pruned:
		return "pruned"
	case LeftOut:
		return "left_out"
	default:
		return "unknown"
	}
}

// Outcome is what the CRM should hold for one message.
type Outcome struct {
	Record Record
	State  State
}
