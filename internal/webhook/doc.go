// Package webhook is the door that Instagram knocks at: it answers the
// handshake, checks the signature of a delivery, decodes it and hands what it
// holds to the store.
//
// It promises two things. A delivery is answered 200 only after Commit has
// returned, so an acknowledged message is a durable one. And nothing that was
// signed is thrown away: what cannot be understood is handed on raw, event by
// event, in an envelope that Decode can read again once it knows better.
//
// It refuses to look into a body before the signature has matched, and it never
// writes a body, a token or a signature to a log.
//
// Decode is pure. A Handler is safe for concurrent use; it starts no goroutines.
package webhook
