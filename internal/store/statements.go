package store

import (
	"context"
	"database/sql"

	"sidestream/mapping"
)

// statements are prepared once on the writing connection.
type statements struct {
	begin, commit, rollback *sql.Stmt

	insert, blank, tombstone *sql.Stmt

	eraseMessage, insertErase, prune, pruneUndecoded *sql.Stmt

	insertUndecoded, deleteUndecoded, deleteUndecodedTo *sql.Stmt
	undecodedSizes, undecodedBodies, undecodedSum       *sql.Stmt
	isLoose, setLoose                                   *sql.Stmt

	all []*sql.Stmt
}

// insertChange adds a change unless it is there. ON CONFLICT and OR IGNORE
// would use up a number for every redelivery; a SELECT of nothing does not.
// What comes after its own tombstone is stored blank, for its number's sake, and
// behind an erase without the person.
const insertChange = `
INSERT INTO messages (id, kind, version, account_id, sender_id, recipient_id, direction, message_text, attachments, timestamp, created_at)
SELECT ?1, ?2, ?3, ?4,
  iif(erased AND ?7 = 'inbound', '` + mapping.ErasedText + `', ?5), iif(erased AND ?7 = 'outbound', '` + mapping.ErasedText + `', ?6),
  ?7, iif(gone, NULL, ?8), iif(gone, NULL, ?9), ?10, ?11
FROM (SELECT
  ?2 IN ('unsend', 'erase') OR EXISTS (
    SELECT 1 FROM messages WHERE account_id = ?4 AND id = ?1 AND kind IN ('unsend', 'erase')) AS gone,
  EXISTS (SELECT 1 FROM messages WHERE account_id = ?4 AND id = ?1 AND kind = 'erase') AS erased)
WHERE NOT EXISTS (SELECT 1 FROM messages WHERE account_id = ?4 AND id = ?1 AND kind = ?2 AND version = ?3)`

// blankMessage uses the prefix (account_id, id) of the unique key.
const blankMessage = `
UPDATE messages SET message_text = NULL, attachments = NULL
WHERE account_id = ?1 AND id = ?2 AND (message_text IS NOT NULL OR attachments IS NOT NULL)`

// findTombstone uses the index messages_tombstones.
const findTombstone = "SELECT EXISTS (SELECT 1 FROM messages WHERE id = ?1 AND kind IN ('unsend', 'erase'))"

func prepare(ctx context.Context, conn *sql.Conn) (*statements, error) {
	s := &statements{}
	for _, one := range []struct {
		stmt **sql.Stmt
		sql  string
	}{
		{&s.begin, "BEGIN IMMEDIATE"},
		{&s.commit, "COMMIT"},
		{&s.rollback, "ROLLBACK"},
		{&s.insert, insertChange},
		{&s.blank, blankMessage},
		{&s.tombstone, findTombstone},
		{&s.eraseMessage, eraseMessage},
		{&s.insertErase, insertErase},
		{&s.prune, "UPDATE messages SET message_text = '', attachments = NULL WHERE " + prunable},
		{&s.pruneUndecoded, "DELETE FROM undecoded WHERE received_at < ?1"},
		{&s.insertUndecoded, "INSERT INTO undecoded (received_at, reason, body) VALUES (?1, ?2, ?3)"},
		{&s.deleteUndecoded, "DELETE FROM undecoded WHERE id = ?1"},
		{&s.deleteUndecodedTo, "DELETE FROM undecoded WHERE id <= ?1"},
		{&s.undecodedSizes, "SELECT id, length(body) FROM undecoded ORDER BY id"},
		{&s.undecodedBodies, "SELECT id, body FROM undecoded ORDER BY id"},
		{&s.undecodedSum, "SELECT coalesce(sum(length(body)), 0) FROM undecoded"},
		{&s.isLoose, "SELECT value FROM meta WHERE key = 'undecoded_loose'"},
		{&s.setLoose, "UPDATE meta SET value = ?1 WHERE key = 'undecoded_loose' AND value <> ?1"},
	} {
		stmt, err := conn.PrepareContext(ctx, one.sql) //nolint:sqlclosecheck // statements.close does it
		if err != nil {
			s.close()
			return nil, translate("prepare", err)
		}
		*one.stmt = stmt
		s.all = append(s.all, stmt)
	}
	return s, nil
}

// close may be called on nil.
func (s *statements) close() {
	if s == nil {
		return
	}
	for _, stmt := range s.all {
		stmt.Close()
	}
}

// affect runs a statement and returns how many rows it touched.
func affect(ctx context.Context, stmt *sql.Stmt, op string, args ...any) (int, error) {
	result, err := stmt.ExecContext(ctx, args...)
	if err != nil {
		return 0, translate(op, err)
	}
	n, err := result.RowsAffected()
	return int(n), translate(op, err)
}
