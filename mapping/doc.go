// Package mapping turns what the source says about one message into the row
// that the CRM should hold for it.
//
// It is pure: no clock, no file, no network, no log. An edit or an unsend is
// not applied as a step. Whenever a change concerns a message, Mapper.Record
// computes its record anew from every row that the source has of it, so rows
// that arrive in another order, or a second time, end in the same state.
//
// What a stranger wrote is carried byte for byte, NUL and trailing blanks
// included. The one exception is bytes that are not UTF-8, which no CRM column
// could hold: each run of them becomes one U+FFFD.
//
// Stability: v0. The package is public because the replicator's interfaces
// speak of it; import it only if you accept that it changes.
package mapping
