package mysql

import (
	"encoding/hex"
	"strings"
	"time"

	"sidestream/mapping"
	"sidestream/replicator"
)

// prepared is a batch whose records are statements already.
type prepared struct {
	batch   replicator.Batch
	inserts []insert
}

// Batch implements replicator.Prepared.
func (p *prepared) Batch() replicator.Batch { return p.batch }

// insert is one multi-row INSERT.
type insert struct {
	statement string
	// rows are the items of the batch, by index, in the order of the rows.
	rows []int
}

type extraColumn struct {
	name  string
	value func(*mapping.Record) string
}

func extraColumns(e ExtraColumns) []extraColumn {
	all := []extraColumn{
		{e.MessageID, func(r *mapping.Record) string { return r.MessageID }},
		{e.AccountID, func(r *mapping.Record) string { return r.AccountID }},
		{e.SenderID, func(r *mapping.Record) string { return r.SenderID }},
		{e.RecipientID, func(r *mapping.Record) string { return r.RecipientID }},
		{e.Status, func(r *mapping.Record) string { return r.Status }},
	}
	var named []extraColumn
	for _, c := range all {
		if c.name != "" {
			named = append(named, c)
		}
	}
	return named
}

// Prepare implements replicator.Target: it encodes the records of a batch as
// INSERT statements, each below the server's packet limit.
func (t *Target) Prepare(batch replicator.Batch) (replicator.Prepared, error) {
	limit := 512 << 10
	found := t.table.Load()
	if found != nil {
		limit = found.statementBytes
	}
	p := &prepared{batch: batch}
	var text []byte
	var rows []int
	flush := func() {
		if len(rows) > 0 {
			p.inserts = append(p.inserts, insert{statement: string(text), rows: rows})
			text, rows = text[:0], nil
		}
	}
	var row []byte
	for i := range batch.Items {
		if batch.Items[i].Op != replicator.OpInsert {
			continue
		}
		row = t.appendRow(row[:0], &batch.Items[i].Record, found)
		if len(rows) > 0 && len(text)+len(row)+1 > limit {
			flush()
		}
		if len(rows) == 0 {
			text = append(text, t.insertHead()...)
		} else {
			text = append(text, ',')
		}
		text = append(text, row...)
		rows = append(rows, i)
	}
	flush()
	return p, nil
}

func (t *Target) insertHead() string {
	return "INSERT INTO " + t.names.target + " (" + t.insertColumns() + ") VALUES "
}

func (t *Target) insertColumns() string {
	n := t.names
	var columns strings.Builder
	columns.WriteString(n.userID + "," + n.username + "," + n.direction + "," + n.message + "," + n.createdAt)
	for _, e := range n.extra {
		columns.WriteString("," + quote(e.name))
	}
	return columns.String()
}

func (t *Target) appendRow(b []byte, r *mapping.Record, found *table) []byte {
	c := t.opt.Columns
	b = append(b, '(')
	b = t.appendText(b, r.UserID, c.UserID, found)
	b = append(b, ',')
	b = t.appendText(b, r.Username, c.Username, found)
	b = append(b, ',')
	b = t.appendText(b, r.Direction, c.Direction, nil)
	b = append(b, ',')
	b = t.appendText(b, r.Message, c.Message, found)
	b = append(b, ',')
	b = t.appendTime(b, r.CreatedAt, found)
	for _, e := range t.names.extra {
		b = append(b, ',')
		b = t.appendText(b, e.value(r), e.name, found)
	}
	return append(b, ')')
}

// appendText writes a string as a hexadecimal literal: no text of a stranger
// is ever parsed as SQL, whatever the server's escaping rules are.
func (t *Target) appendText(b []byte, value, columnName string, found *table) []byte {
	if found != nil {
		value = t.fit(value, columnName, found)
	}
	b = append(b, "_utf8mb4 X'"...)
	b = hex.AppendEncode(b, []byte(value))
	return append(b, '\'')
}

func (t *Target) appendTime(b []byte, at time.Time, found *table) []byte {
	b = append(b, '\'')
	b = append(b, t.timeText(at, found)...)
	return append(b, '\'')
}

// timeText is created_at as the column holds it: UTC, because the session's
// time_zone is, or the zone that the operator named for a DATETIME.
func (t *Target) timeText(at time.Time, found *table) string {
	at = at.UTC()
	if found != nil && t.opt.DatetimeZone != nil && found.columns[lower(t.opt.Columns.CreatedAt)].dataType == "datetime" {
		at = at.In(t.opt.DatetimeZone)
	}
	return at.Format(time.DateTime)
}
