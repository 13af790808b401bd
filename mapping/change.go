package mapping

// Kind says what a row of the source's log is.
type Kind string

// The kinds of change. Test deliveries stay in the source; every other kind
// reaches the replicator.
const (
	KindMessage Kind = "message"
	KindEdit    Kind = "edit"
	KindUnsend  Kind = "unsend"
	KindErase   Kind = "erase"
	KindTest    Kind = "test"
)

// Direction says who sent a message, seen from the business account.
type Direction string

// The two directions as the source stores them.
const (
	Inbound  Direction = "inbound"
	Outbound Direction = "outbound"
)

// Change is one row of the source's append-only log.
type Change struct {
	// Position is the row's number in the source; 0 in a change that is not
	// stored yet.
	Position int64
	// MessageID is Instagram's mid: opaque, case-sensitive, unique per account.
	MessageID string
	Kind      Kind
	// Version is 0, or an edit's num_edit.
	Version int64
	// AccountID is the business account (the webhook's entry.id).
	AccountID   string
	SenderID    string
	RecipientID string
	Direction   Direction
	// Text is nil where the message had no text, and after an unsend or erase
	// blanked it; empty where it is not kept any more.
	Text *string
	// Attachments is a JSON array as the writer stored it, or nil: objects with
	// a type and, where there is one, a url or a title. Instagram's own form,
	// with these under payload, is read as well.
	Attachments *string
	// Timestamp is Instagram's, in milliseconds since 1970 UTC.
	Timestamp int64
	// CommittedAt is when the writer stored the row, in milliseconds since 1970 UTC.
	CommittedAt int64
}

// pruned tells whether the row's content was blanked because it is old. A
// pruned text is empty but not nil, which the writer stores of no message; an
// unsend or erase leaves nil behind.
func (c Change) pruned() bool {
	return c.Text != nil && *c.Text == "" && !hasAttachments(c.Attachments)
}

// User names the person on the other side of a conversation. An
// Instagram-scoped id means something only together with its account.
type User struct {
	AccountID string
	UserID    string
}

// User returns the person whom the change is about: the sender of an inbound
// message, the recipient of an outbound one.
func (c Change) User() User {
	if c.Direction == Outbound {
		return User{AccountID: c.AccountID, UserID: c.RecipientID}
	}
	return User{AccountID: c.AccountID, UserID: c.SenderID}
}
