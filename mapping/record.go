package mapping

import "time"

// Record is the CRM row that a change maps to.
type Record struct {
	UserID string
	// Username is the user's name at Instagram, or UserID where Fallback is set.
	Username string
	// Fallback is true where Username is the user id standing in for a name
	// that is not known (yet).
	Fallback bool
	// Direction is "in" or "out", as the CRM's ENUM spells it.
	Direction string
	Message   string
	// CreatedAt is UTC, cut (not rounded) to seconds.
	CreatedAt time.Time

	// The rest is written only where the configuration names a CRM column for it.

	MessageID   string
	AccountID   string
	SenderID    string
	RecipientID string
	// Status is "sent", "edited", "unsent" or "erased".
	Status string
}
