// Package replicator moves changes from a source to a target: exactly once, in
// position order, whatever crashes in between.
//
// It owns the algorithm and the two interfaces that it calls, Source and
// Target; it imports no driver. A Replicator keeps a cursor whose durable copy
// lives in the target and moves in the same transaction as the records.
//
// Stability: v0. The package is public so that its promise can be read and
// tested in one place; import it only if you accept that it changes.
package replicator
