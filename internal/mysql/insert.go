package mysql

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"sidestream/replicator"
)

// insertRecords sends the INSERT statements and returns which id each record
// got. The ids are verified in the own snapshot, not trusted: triggers,
// auto_increment_increment, Galera and TiDB all have their own ideas.
func (t *Target) insertRecords(ctx context.Context, s *session, p *prepared) ([]placed, error) {
	var places []placed
	before := 0
	for _, statement := range p.inserts {
		ids, step, err := t.insertVerified(ctx, s, statement)
		if err != nil {
			f := classify(err)
			if f.Row > 0 {
				f.Row += before
			}
			return nil, f
		}
		for k, index := range statement.rows {
			item := &p.batch.Items[index]
			places = append(places, placed{position: item.Position, id: ids(k), step: step, fallback: item.Record.Fallback})
		}
		before += len(statement.rows)
	}
	return places, t.checkRewound(ctx, s, places)
}

// insertVerified runs one INSERT and returns its rows' ids as a function of the
// row's index.
func (t *Target) insertVerified(ctx context.Context, s *session, statement insert) (func(int) int64, int64, error) {
	if t.readBack {
		return t.insertReadBack(ctx, s, statement)
	}
	result, err := s.exec(ctx, statement.statement)
	if err != nil {
		return nil, 0, err
	}
	first, err := result.LastInsertId()
	if err != nil {
		return nil, 0, err
	}
	n := int64(len(statement.rows))
	var step, count int64
	err = s.conn.QueryRowContext(ctx, fmt.Sprintf("SELECT @@auto_increment_increment, COUNT(*) FROM %s WHERE %s BETWEEN %d AND %d + @@auto_increment_increment * %d AND (%s - %d) %% @@auto_increment_increment = 0",
		t.names.target, t.names.id, first, first, n-1, t.names.id, first)).Scan(&step, &count)
	if err != nil {
		return nil, 0, err
	}
	if first <= 0 || count != n {
		t.readBack = true
		return nil, 0, &replicator.Failure{Class: replicator.Transient, Reason: "ids_moved", Detail: "the new rows do not have the ids that the server reported; they are read back from now on"}
	}
	return func(k int) int64 { return first + step*int64(k) }, step, nil
}

// insertReadBack finds the ids of the new rows as those above the highest one
// that the snapshot held before.
func (t *Target) insertReadBack(ctx context.Context, s *session, statement insert) (func(int) int64, int64, error) {
	var highest sql.NullInt64
	if err := s.conn.QueryRowContext(ctx, "SELECT MAX("+t.names.id+") FROM "+t.names.target).Scan(&highest); err != nil {
		return nil, 0, err
	}
	if _, err := s.exec(ctx, statement.statement); err != nil {
		return nil, 0, err
	}
	rows, err := s.conn.QueryContext(ctx, fmt.Sprintf("SELECT %s FROM %s WHERE %s > %d ORDER BY %s", t.names.id, t.names.target, t.names.id, highest.Int64, t.names.id))
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = rows.Close() }()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, 0, err
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		return nil, 0, err
	}
	if len(ids) != len(statement.rows) {
		return nil, 0, &replicator.Failure{
			Class: replicator.Blocked, Reason: "target_ids",
			Detail: fmt.Sprintf("%d rows were inserted, but %d appeared above id %d", len(statement.rows), len(ids), highest.Int64),
			Hint:   "a trigger on the CRM's table gives rows ids below the highest one; Sidestream could not find them again for an edit or unsend",
		}
	}
	return func(k int) int64 { return ids[k] }, 1, nil
}

// checkRewound blocks where new ids come out at or below the last ledgered one
// while that row is gone: the table was emptied or restored, and the ledger's
// ids mean other rows now.
func (t *Target) checkRewound(ctx context.Context, s *session, places []placed) error {
	last := t.tail.lastID()
	if t.tail.length == 0 || len(places) == 0 || places[0].id > last {
		return nil
	}
	reused := slices.ContainsFunc(places, func(p placed) bool { return p.id == last })
	if !reused {
		var count int
		if err := s.conn.QueryRowContext(ctx, fmt.Sprintf("SELECT COUNT(*) FROM %s WHERE %s = %d", t.names.target, t.names.id, last)).Scan(&count); err != nil {
			return err
		}
		if count > 0 {
			// Lower ids beside an intact table: another node's share of the range.
			return nil
		}
	}
	return &replicator.Failure{
		Class: replicator.Blocked, Reason: "target_rewound",
		Detail: fmt.Sprintf("the CRM's table gave out id %d, but this source's last row had id %d: the table was emptied or restored", places[0].id, last),
		Hint:   "run: replicator cursor resume",
	}
}
