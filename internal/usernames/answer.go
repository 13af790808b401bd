package usernames

import "time"

// Outcome says what came of one lookup.
type Outcome string

// The outcomes. TokenDead, Permission and Config pause all lookups until a
// person has done something; Throttled pauses them for a while; NoConsent,
// Gone and Temporary concern one user.
const (
	// OK: the name is known now.
	OK Outcome = "ok"
	// Off: lookups are not configured; no request was made.
	Off Outcome = "off"
	// NoConsent: the user has not written to the account yet, or has blocked it.
	NoConsent Outcome = "no_consent"
	// Gone: the user does not exist, or has no name.
	Gone Outcome = "gone"
	// TokenDead: the access token is not accepted.
	TokenDead Outcome = "token_dead"
	// Permission: the account or the app does not allow lookups.
	Permission Outcome = "permission"
	// Config: lookups are set up wrongly.
	Config Outcome = "config"
	// Throttled: too many lookups for now.
	Throttled Outcome = "throttled"
	// Temporary: worth another try later. An outcome that is none of these
	// counts as Temporary.
	Temporary Outcome = "temporary"
)

// Two results that are counted like outcomes although no lookup ended.
const (
	// resultDeadline: a batch went on without waiting for the lookup any longer.
	resultDeadline Outcome = "deadline"
	// resultSaturated: the queue was full, so there was no lookup.
	resultSaturated Outcome = "saturated"
)

// Answer is what one lookup brought.
type Answer struct {
	Outcome Outcome
	// Username is set for OK. An empty one makes it Gone.
	Username string
	// RetryAfter is how long Throttled asks to wait. Defaults to one minute.
	RetryAfter time.Duration
}

// normal makes an answer one of those that the cache knows.
func (a Answer) normal() Answer {
	switch a.Outcome {
	case OK:
		if a.Username == "" {
			return Answer{Outcome: Gone}
		}
		return a
	case Off, NoConsent, Gone, TokenDead, Permission, Config, Throttled:
		return Answer{Outcome: a.Outcome, RetryAfter: a.RetryAfter}
	default:
		return Answer{Outcome: Temporary}
	}
}

// refused tells whether only a person can change the outcome.
func (o Outcome) refused() bool {
	return o == TokenDead || o == Permission || o == Config || o == Off
}
