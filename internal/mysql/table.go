package mysql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strings"

	"sidestream/replicator"
)

// table is what the server says about the CRM's table.
type table struct {
	columns map[string]column
	// statementBytes is the limit for one INSERT: half of max_allowed_packet,
	// and never so large that a statement takes seconds.
	statementBytes int
	maxID          float64
	// signedID is set where the id column takes negative numbers.
	signedID bool
	// created is when the server made the table, empty where it does not say: a
	// restore, a TRUNCATE and a rebuild change it.
	created string
}

// column is one column of the CRM's table.
type column struct {
	dataType string
	charset  string
	// limit is the length that fits: characters for VARCHAR and CHAR, bytes for
	// the TEXT types, 0 for others.
	limit   int64
	inBytes bool
	extra   string
	// required is set where an INSERT must name the column.
	required bool
}

const maxStatementBytes = 4 << 20

// inspect reads the table's definition and blocks where applying could not be
// correct. It runs at every Load, because the table is not ours.
func (t *Target) inspect(ctx context.Context, s *session) (*table, error) {
	if err := t.checkEngines(ctx, s); err != nil {
		return nil, err
	}
	found := &table{columns: map[string]column{}, statementBytes: min(s.maxPacket/2, maxStatementBytes)}
	found.created = s.variable(ctx, "SELECT COALESCE(CREATE_TIME, '') FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?", t.opt.Database, t.opt.Table)
	rows, err := s.conn.QueryContext(ctx, "SELECT COLUMN_NAME, DATA_TYPE, COALESCE(CHARACTER_SET_NAME,''), COALESCE(CHARACTER_MAXIMUM_LENGTH,0), COLUMN_TYPE, COALESCE(EXTRA,''), IS_NULLABLE = 'NO' AND COLUMN_DEFAULT IS NULL "+
		"FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?", t.opt.Database, t.opt.Table)
	if err != nil {
		return nil, classify(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var name, columnType string
		var c column
		if err := rows.Scan(&name, &c.dataType, &c.charset, &c.limit, &columnType, &c.extra, &c.required); err != nil {
			return nil, classify(err)
		}
		c.dataType = strings.ToLower(c.dataType)
		// What fills itself, and an ENUM, whose first value stands in.
		c.required = c.required && c.extra == "" && c.dataType != "enum"
		c.inBytes = strings.Contains(c.dataType, "text") || strings.Contains(c.dataType, "blob")
		found.columns[strings.ToLower(name)] = c
		if strings.EqualFold(name, t.opt.Columns.ID) {
			found.maxID = maxOf(strings.ToLower(columnType))
			found.signedID = found.maxID > 0 && !strings.Contains(strings.ToLower(columnType), "unsigned")
		}
	}
	if err := rows.Err(); err != nil {
		return nil, classify(err)
	}
	return found, t.checkColumns(found)
}

func (t *Target) checkEngines(ctx context.Context, s *session) error {
	check := func(hint, database string, tables ...string) error {
		for _, name := range tables {
			var engine string
			err := s.conn.QueryRowContext(ctx, "SELECT COALESCE(ENGINE,'') FROM information_schema.TABLES WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?", database, name).Scan(&engine)
			switch {
			case errors.Is(err, sql.ErrNoRows):
				return &replicator.Failure{Class: replicator.Blocked, Reason: reasonNoTable, Detail: "no table " + database + "." + name, Hint: hint}
			case err != nil:
				return classify(err)
			case engine == "":
				return &replicator.Failure{
					Class: replicator.Blocked, Reason: "target_engine", Detail: database + "." + name + " is a view, or its engine is not there",
					Hint: "name the table itself in crm.table",
				}
			case !strings.EqualFold(engine, "InnoDB"):
				return &replicator.Failure{
					Class: replicator.Blocked, Reason: "target_engine",
					Detail: fmt.Sprintf("%s.%s uses the engine %q, which has no transactions: exactly once is not possible", database, name, engine),
					Hint:   fmt.Sprintf("ALTER TABLE %s.%s ENGINE=InnoDB", quote(database), quote(name)),
				}
			}
		}
		return nil
	}
	if err := check("create it, or correct crm.table", t.opt.Database, t.opt.Table); err != nil {
		return err
	}
	return check(hintState, t.opt.StateDatabase, tableCursor, tableLedger, tableDeadLetters)
}

func (t *Target) checkColumns(found *table) error {
	c := t.opt.Columns
	wanted := []string{c.ID, c.UserID, c.Username, c.Direction, c.Message, c.CreatedAt}
	for _, e := range extraColumns(t.opt.ExtraColumns) {
		wanted = append(wanted, e.name)
	}
	for _, name := range wanted {
		if _, ok := found.columns[strings.ToLower(name)]; !ok {
			return &replicator.Failure{
				Class: replicator.Blocked, Reason: reasonSchema,
				Detail: fmt.Sprintf("%s.%s has no column %q", t.opt.Database, t.opt.Table, name),
				Hint:   "add the column, or correct its name in [crm.columns]",
			}
		}
	}
	if found.columns[strings.ToLower(c.CreatedAt)].dataType == "datetime" && t.opt.DatetimeZone == nil {
		return &replicator.Failure{
			Class: replicator.Blocked, Reason: "datetime_zone",
			Detail: fmt.Sprintf("column %q is a DATETIME, which does not say in which zone its times are", c.CreatedAt),
			Hint:   `set crm.datetime_zone, for example "UTC" or "+02:00"`,
		}
	}
	return nil
}

// maxOf returns the highest id that an integer column holds; 0 for other types.
func maxOf(columnType string) float64 {
	bits := map[string]float64{"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}
	name, _, _ := strings.Cut(columnType, "(")
	name, _, _ = strings.Cut(name, " ")
	n, ok := bits[name]
	if !ok {
		return 0
	}
	if !strings.Contains(columnType, "unsigned") {
		n--
	}
	return math.Pow(2, n) - 1
}
