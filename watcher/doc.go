// Package watcher turns a database file's path into wake-ups: "there may be
// something new to read".
//
// A wake-up is a hint and never a promise. Polling is always on and is the
// guarantee; file events only make most wake-ups come earlier. Wake-ups
// coalesce: one that nobody has taken yet covers all that follow, so a reader
// must read until it finds nothing. Nothing here skips a poll for what a stat
// says: a write-ahead log is written again at the same size, and clocks step.
//
// # Which events
//
// The directory is watched, not the files: SQLite deletes and makes -wal anew,
// and a restored database comes by rename. What counts are the names of the
// database, of its -wal and of its doorbell; -shm and changes of mode or time
// alone are ignored.
//
// SQLite publishes a commit in -shm, which is mapped memory, so no event
// follows the moment in which the commit becomes readable: the last one, on
// -wal, comes an fsync too early. Two things close that gap. A writer that
// knows us writes one byte to the doorbell, "<database>-doorbell", after its
// COMMIT has returned; that is the one event that comes after the fact. For
// other writers the watcher wakes again on a short schedule (Options.Recheck)
// behind each event. While the doorbell rings, events on the other files do not
// wake at all, unless no ring follows one of them in time.
//
// A reader that opens and closes the database at each wake-up may write -wal
// itself, and so wake itself for ever: keep one connection open.
//
// # Where events do not arrive
//
// Network shares and some container file shares deliver no events. The watcher
// notices when polling finds changes that no event told of, says so once and
// reports it as Deaf. The same holds where the system has no inotify instance
// or watch left. A directory that is missing is looked for at each poll.
//
// Stability: v0. The package is public because it is useful by itself; it
// knows nothing of SQLite but its file names.
package watcher
