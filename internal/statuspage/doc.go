// Package statuspage shows what a running replicator is doing: as JSON at
// Path, for programs and for `replicator status`, and as text for a terminal.
//
// The JSON names are public: a field is added, never renamed or removed within
// a major version. No field holds a message's text, a token or a secret.
package statuspage
