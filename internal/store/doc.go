// Package store is the writer's side of the SQLite file: the append-only log of
// changes that the replicator reads.
//
// What it promises: when Commit returns nil, the delivery is on disk (WAL,
// synchronous=FULL) in the file that the path names. A redelivery inserts
// nothing and uses up no number. Numbers are given in commit order and never
// twice. An unsent message's text is gone from the rows in the same commit, and
// from the WAL within about a second where no reader is in the way.
// Erase does the same with a person, and Prune with what is old; a pruned row
// has an empty text where others have NULL or words.
//
// What it refuses: to wait without a limit (ErrOverloaded), to touch a file of
// a newer schema or of another program, and to open the database, its -wal or
// its -shm by other means than SQLite: closing such a file would drop SQLite's
// locks. It only stats them.
//
// One goroutine owns the writing connection. It takes what waits, commits many
// deliveries in one transaction, and answers each after COMMIT has returned.
//
//	s, err := store.Open(ctx, store.Options{Path: "data/messages.db"})
//	...
//	result, err := s.Commit(ctx, store.Delivery{Changes: changes})
package store
