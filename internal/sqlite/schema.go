package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"
	"strings"

	"sidestream/replicator"
)

// layout is what of the schema matters.
type layout struct {
	// version is SQLite's counter of schema changes.
	version int64
	// table is spelled as in the schema, which is how sqlite_sequence names it.
	table string
	// autoincrement is set where numbers are never used again.
	autoincrement bool
	// sourceID is the query for the file's id, empty where it has none.
	sourceID string
	// changeIndexes are partial indexes that may hold the few rows that are no
	// plain messages.
	changeIndexes []string
}

const schemaHint = "run `replicator check`; the names of the table and its columns can be configured"

// inspect reads the schema in the current transaction and refuses one whose
// positions could come to mean other rows.
func inspect(ctx context.Context, c *conn, opt Options) (layout, error) {
	var l layout
	value, err := c.one(ctx, "PRAGMA schema_version")
	if err != nil {
		return l, err
	}
	l.version = toInt(value)
	if err := l.findTable(ctx, c, opt); err != nil {
		return l, err
	}
	value, err = c.one(ctx, "PRAGMA journal_mode")
	if err != nil {
		return l, err
	}
	if mode := toText(value); !strings.EqualFold(mode, "wal") {
		return l, blocked(reasonJournal, "start the writer, which switches it to WAL (a restored backup may be without), or run `PRAGMA journal_mode=WAL` once",
			"the database's journal mode is %s: readers and the writer would lock each other out", mode)
	}
	if err := l.checkColumns(ctx, c, opt.Columns); err != nil {
		return l, err
	}
	if err := l.checkIndexes(ctx, c, opt.Columns); err != nil {
		return l, err
	}
	return l, l.findSourceID(ctx, c)
}

// findTable wants an ordinary table: numbers of a view or of a table without
// rowids mean nothing lasting.
func (l *layout) findTable(ctx context.Context, c *conn, opt Options) error {
	var kind string
	var withoutRowid bool
	err := c.each(ctx, `SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main' AND name = ? COLLATE NOCASE`,
		[]any{opt.Table}, func(row []driver.Value) error {
			l.table, kind, withoutRowid = toText(row[0]), toText(row[1]), toInt(row[2]) != 0
			return errStop
		})
	if err != nil {
		return err
	}
	if l.table == "" {
		return transient(reasonNotReady, "start the writer, or correct the table's name", "%s has no table %s yet", opt.Path, opt.Table)
	}
	if kind != "table" || withoutRowid {
		return blocked(reasonSchema, schemaHint, "%s is not an ordinary table with an INTEGER PRIMARY KEY", l.table)
	}
	sql, err := c.one(ctx, `SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?`, l.table)
	// The word may stand in a comment too; nothing but a warning hangs on it,
	// because the highest row counts beside the sequence.
	l.autoincrement = strings.Contains(strings.ToUpper(toText(sql)), "AUTOINCREMENT")
	return err
}

// checkColumns wants every column, and a key that is the rowid by another name:
// VACUUM renumbers rowids that no INTEGER PRIMARY KEY holds on to.
func (l *layout) checkColumns(ctx context.Context, c *conn, names Columns) error {
	types := map[string]string{}
	var keys []string
	err := c.each(ctx, `SELECT name, type, pk FROM pragma_table_xinfo(?)`, []any{l.table}, func(row []driver.Value) error {
		name := strings.ToLower(toText(row[0]))
		types[name] = toText(row[1])
		if toInt(row[2]) != 0 {
			keys = append(keys, name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	var missing []string
	for _, name := range names.list() {
		if _, ok := types[strings.ToLower(name)]; !ok {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return blocked(reasonSchema, schemaHint, "table %s has no column %s", l.table, strings.Join(missing, ", "))
	}
	key := strings.ToLower(names.Position)
	if !slices.Equal(keys, []string{key}) || !strings.EqualFold(types[key], "INTEGER") {
		return l.badKey(names)
	}
	// A key in descending order looks the same but has an index of its own.
	own, err := c.one(ctx, `SELECT count(*) FROM pragma_index_list(?) WHERE origin = 'pk'`, l.table)
	if err != nil {
		return err
	}
	if toInt(own) != 0 {
		return l.badKey(names)
	}
	return nil
}

func (l *layout) badKey(names Columns) *replicator.Failure {
	return blocked(reasonSchema, "declare it INTEGER PRIMARY KEY AUTOINCREMENT, so that no number is ever used twice",
		"column %s of table %s is not an INTEGER PRIMARY KEY", names.Position, l.table)
}

// checkIndexes wants a way to the rows of one message that is no scan.
func (l *layout) checkIndexes(ctx context.Context, c *conn, names Columns) error {
	type index struct {
		name    string
		partial bool
		columns []string
	}
	var indexes []index
	err := c.each(ctx, `SELECT l.name, l.partial, x.name FROM pragma_index_list(?) l JOIN pragma_index_info(l.name) x
		ORDER BY l.seq, x.seqno`, []any{l.table}, func(row []driver.Value) error {
		name := toText(row[0])
		if len(indexes) == 0 || indexes[len(indexes)-1].name != name {
			indexes = append(indexes, index{name: name, partial: toInt(row[1]) != 0})
		}
		last := &indexes[len(indexes)-1]
		last.columns = append(last.columns, strings.ToLower(toText(row[2])))
		return nil
	})
	if err != nil {
		return err
	}
	account, id := strings.ToLower(names.AccountID), strings.ToLower(names.MessageID)
	found := false
	for _, x := range indexes {
		switch leads := x.columns[0] == id || (len(x.columns) > 1 && x.columns[0] == account && x.columns[1] == id); {
		case leads && x.partial:
			l.changeIndexes = append(l.changeIndexes, x.name)
		case leads:
			found = true
		}
	}
	if !found {
		return blocked(reasonSchema, fmt.Sprintf("CREATE INDEX ... ON %s (%s, %s)", l.table, names.AccountID, names.MessageID),
			"table %s has no index on (%s, %s): each edit would scan it", l.table, names.AccountID, names.MessageID)
	}
	return nil
}

// findSourceID looks for the id that our writer gives its files, as a column of
// the table meta or as a value under its key.
func (l *layout) findSourceID(ctx context.Context, c *conn) error {
	columns := map[string]bool{}
	err := c.each(ctx, `SELECT name FROM pragma_table_info('meta')`, nil, func(row []driver.Value) error {
		columns[strings.ToLower(toText(row[0]))] = true
		return nil
	})
	switch {
	case columns["source_id"]:
		l.sourceID = `SELECT m.source_id FROM meta m LIMIT 1`
	case columns["key"] && columns["value"]:
		l.sourceID = `SELECT m.value FROM meta m WHERE m."key" = 'source_id'`
	}
	return err
}

// quote makes an identifier of a name.
func quote(name string) string {
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}
