package replicator

import (
	"context"
	"errors"

	"sidestream/internal/instagram"
	"sidestream/mapping"
)

// nameBook remembers for the length of a command what the profile API said of
// each user. Once it fails it is asked no more: each question that is not
// answered costs a whole timeout.
type nameBook struct {
	ask    func(ctx context.Context, userID string) (string, error)
	known  map[mapping.User]string
	silent bool
}

func newNameBook(ask func(context.Context, string) (string, error)) *nameBook {
	return &nameBook{ask: ask, known: make(map[mapping.User]string)}
}

// find returns a username, or nothing where none is to be had.
func (b *nameBook) find(ctx context.Context, user mapping.User) string {
	if name, asked := b.known[user]; asked || b.silent {
		return name
	}
	name, err := b.ask(ctx, user.UserID)
	if err != nil {
		name = ""
		b.silent = !ofUser(err)
	}
	b.known[user] = name
	return name
}

// ofUser tells whether an error says something of the user asked for only.
func ofUser(err error) bool {
	e, ok := errors.AsType[*instagram.Error](err)
	return ok && (e.Kind == instagram.NoConsent || e.Kind == instagram.Gone || e.Kind == instagram.NotKnown)
}
