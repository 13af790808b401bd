package instagram

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Kind says what the caller should do about an Error.
type Kind string

// The kinds of Error. TokenDead, Permission and Config concern every user of
// the token; NoConsent, Gone and NotKnown only the one asked for.
const (
	// TokenDead: the token is expired, revoked or wrong; a person must renew it.
	TokenDead Kind = "token_dead"
	// Permission: the app or the account does not allow lookups.
	Permission Kind = "permission"
	// NoConsent: this user has not written to the account yet, or has blocked it.
	NoConsent Kind = "no_consent"
	// Gone: there is no such user for this token.
	Gone Kind = "gone"
	// NotKnown: the API answered without a usable name.
	NotKnown Kind = "not_known"
	// Config: address, version or fields do not fit the API.
	Config Kind = "config"
	// Throttled: ask again after RetryAfter, for whichever user.
	Throttled Kind = "throttled"
	// Temporary: ask again later.
	Temporary Kind = "temporary"
)

// Error is a question that brought no name. Its text holds numbers and words
// of our own, never the server's message, the token or the user's id.
type Error struct {
	Kind Kind
	// Status is the HTTP status, or 0 where no answer came.
	Status int
	// Code and Subcode are the API's error numbers, or 0.
	Code, Subcode int
	// RetryAfter is how long the API asks to wait, or 0 where it does not say.
	RetryAfter time.Duration
	// Detail says in our own words what was found, or is empty.
	Detail string
	// Err is the cause, for errors.Is; its text is not shown.
	Err error
}

// Error returns kind, numbers and detail.
func (e *Error) Error() string {
	s := "instagram profile: " + string(e.Kind)
	if e.Code != 0 {
		s += fmt.Sprintf(" (code %d/%d)", e.Code, e.Subcode)
	} else if e.Status != 0 {
		s += fmt.Sprintf(" (HTTP %d)", e.Status)
	}
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// graphError is the "error" object of an answer.
type graphError struct {
	Message   string `json:"message"`
	Code      number `json:"code"`
	Subcode   number `json:"error_subcode"`
	Transient bool   `json:"is_transient"`
}

// classify goes by code and subcode: the HTTP status of most codes is 400 and
// not documented, so it decides only where the code says nothing. The codes
// are from Meta's pages on error handling and rate limits; three cases that
// share code 100 with others differ in their message alone.
func (g graphError) classify(status int, retryAfter time.Duration) *Error {
	e := &Error{Status: status, Code: int(g.Code), Subcode: int(g.Subcode), RetryAfter: retryAfter}
	e.Kind = kindOf(e.Code, g)
	if e.Kind == "" {
		e.Kind = kindOfStatus(status, g != (graphError{}))
	}
	return e
}

// kindOf returns the empty Kind for a code that it does not know.
func kindOf(code int, g graphError) Kind {
	message := strings.ToLower(g.Message)
	switch code {
	case 190, 102, 2500:
		return TokenDead
	case 4, 17, 32, 341, 613, 80001, 80002, 80006:
		return Throttled
	case 1, 2:
		return Temporary
	}
	switch {
	case g.Transient:
		return Temporary
	case code == 230, strings.Contains(message, "user consent is required"):
		return NoConsent
	case code == 3, code == 10, code >= 200 && code <= 299:
		return Permission
	case code == 368: // The app or account is blocked for a breach of policy.
		return Permission
	case code == 9010, code == 803:
		return Gone
	case code == 100 && (strings.Contains(message, "nonexisting field") || strings.Contains(message, "unsupported request")):
		return Config
	case code == 100: // Subcodes 33 and 2534014 say it; without one it is this user at most.
		return Gone
	}
	return ""
}

// kindOfStatus judges an answer without a code that we know. An error object,
// though not understood, proves that the API itself answered: the address is right.
func kindOfStatus(status int, fromAPI bool) Kind {
	switch {
	case status == http.StatusUnauthorized:
		return TokenDead
	case status == http.StatusTooManyRequests:
		return Throttled
	case fromAPI, status >= 500, status == http.StatusRequestTimeout, status == http.StatusOK:
		return Temporary
	default:
		return Config
	}
}

// number is a code that may come as a string. One that is no number at all is
// left 0 rather than spoiling the fields beside it.
type number int

// UnmarshalJSON never fails.
func (n *number) UnmarshalJSON(b []byte) error {
	if i, err := strconv.Atoi(strings.Trim(string(b), `"`)); err == nil {
		*n = number(i)
	}
	return nil
}
