package mysql

import "strings"

// quote makes an identifier safe for a statement.
func quote(identifier string) string {
	return "`" + strings.ReplaceAll(identifier, "`", "``") + "`"
}

// names are the quoted identifiers of one target.
type names struct {
	target                                   string
	meta, cursor, ledger, deadLetters, audit string
	id, userID, username, direction, message string
	createdAt                                string
	extra                                    []extraColumn
}

func newNames(o Options) names {
	state := func(table string) string { return quote(o.StateDatabase) + "." + quote(table) }
	n := names{
		target: quote(o.Database) + "." + quote(o.Table),
		meta:   state(tableMeta), cursor: state(tableCursor), ledger: state(tableLedger),
		deadLetters: state(tableDeadLetters), audit: state(tableAudit),
		id: quote(o.Columns.ID), userID: quote(o.Columns.UserID), username: quote(o.Columns.Username),
		direction: quote(o.Columns.Direction), message: quote(o.Columns.Message), createdAt: quote(o.Columns.CreatedAt),
	}
	n.extra = extraColumns(o.ExtraColumns)
	return n
}
