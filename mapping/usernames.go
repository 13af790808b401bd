package mapping

import "context"

// Usernames looks up what people are called at Instagram. Implementations
// bound their own time: messages never wait for a name.
type Usernames interface {
	// Usernames returns the names that are known. A user who is missing in the
	// map, or has an empty name there, is written with the user id as a
	// fallback.
	Usernames(ctx context.Context, users []User) map[User]string
}
