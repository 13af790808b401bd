// Package sqlite is the replicator's read side of the writer's SQLite file: a
// replicator.Source.
//
// It promises to do no harm. Before it opens the file it looks at owners, modes
// and the filesystem by stat alone, and it stays away where opening would leave
// -wal and -shm files behind that the writer could not write, or where WAL does
// not work. It opens read-only and proves it, never checkpoints, and its read
// transactions end before Read returns, so the WAL never grows because of it.
// Nothing here opens the database, its -wal or its -shm except through SQLite:
// a plain open and close would drop the locks that SQLite holds in this process.
//
// And it promises not to be fooled. In the transaction that reads, the id of the
// file, the highest position and the anchors are compared with the cursor; a
// file that is not the one that was applied is a named failure, never data.
package sqlite
