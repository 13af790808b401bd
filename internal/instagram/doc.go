// Package instagram asks Instagram's profile API for usernames.
//
// One Client speaks for one access token. It makes one GET per question, keeps
// the token out of URLs, errors and logs, and turns what the API answers into
// an *Error whose Kind says what the caller should do next. It holds no cache
// and does not retry: package usernames does.
package instagram
