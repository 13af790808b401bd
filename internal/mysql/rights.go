package mysql

import "context"

// rights tries what applying does, on no row at all: a server checks the
// privileges of a statement before it looks for rows.
func (t *Target) rights(ctx context.Context, s *session) []Finding {
	n := t.names
	tables := []struct{ name, column string }{
		{n.target, n.message},
		{n.cursor, quote("position")},
		{n.ledger, quote("length")},
		{n.deadLetters, quote("reason")},
		{n.meta, quote("value")},
		{n.audit, quote("detail")},
	}
	var findings []Finding
	for _, table := range tables {
		for right, statement := range map[string]string{
			"SELECT": "SELECT " + table.column + " FROM " + table.name + " WHERE 1 = 0",
			"INSERT": "INSERT INTO " + table.name + " (" + table.column + ") SELECT " + table.column + " FROM " + table.name + " WHERE 1 = 0",
			"UPDATE": "UPDATE " + table.name + " SET " + table.column + " = " + table.column + " WHERE 1 = 0",
			"DELETE": "DELETE FROM " + table.name + " WHERE 1 = 0",
		} {
			if _, err := s.exec(ctx, statement); err != nil && (isNumber(err, 1142) || isNumber(err, 1143)) {
				findings = append(findings, Finding{"privileges", "fail", t.opt.User + " may not " + right + " on " + table.name, hintPrivileges})
			}
		}
	}
	if len(findings) == 0 {
		findings = append(findings, Finding{"privileges", "ok", "everything that applying needs", ""})
	}
	return findings
}
