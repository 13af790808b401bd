// Package fake holds an in-memory CRM and an in-memory source log for tests
// that need faults which no real server gives on demand. Both are held to the
// conformance suite that the real ones pass, so they cannot drift.
package fake
