package mysql

import (
	"context"
	"database/sql"
	"fmt"

	"sidestream/replicator"
)

// insertRecords sends the INSERT statements and returns which id each record
// got. The ids are verified in the own snapshot, not trusted: triggers,
// auto_increment_increment, Galera and TiDB all have their own ideas.
func (t *Target) insertRecords(ctx context.Context, s *session, p *prepared, tail run) ([]placed, error) {
	insert := t.insertStatements
	if t.readBack {
		insert = t.insertReadBack
	}
	places, err := insert(ctx, s, p)
	if err != nil {
		return nil, err
	}
	return places, t.checkRewound(ctx, s, tail, places)
}

// insertStatements sends many rows at a time.
func (t *Target) insertStatements(ctx context.Context, s *session, p *prepared) ([]placed, error) {
	var places []placed
	for _, statement := range p.inserts {
		result, err := s.exec(ctx, statement.statement)
		if err != nil {
			return nil, atRowOfBatch(err, len(places))
		}
		first, err := result.LastInsertId()
		if err != nil {
			return nil, err
		}
		step, err := t.verifyIDs(ctx, s, first, len(statement.rows))
		if err != nil {
			return nil, err
		}
		if n := len(places); step == 0 || (n > 0 && first <= places[n-1].id) {
			t.readBack = true
			return nil, &replicator.Failure{Class: replicator.Transient, Reason: "ids_moved", Detail: "the new rows do not have the ids that the server reported; they are read back from now on"}
		}
		for k, index := range statement.rows {
			item := &p.batch.Items[index]
			places = append(places, placed{position: item.Position, id: first + step*int64(k), step: step, fallback: item.Record.Fallback})
		}
	}
	return places, nil
}

// verifyIDs reads how many of n new rows stand where they should if the first
// has the given id. It returns the distance between ids, or 0 where they stand
// elsewhere.
func (t *Target) verifyIDs(ctx context.Context, s *session, first int64, n int) (int64, error) {
	if first <= 0 {
		return 0, nil
	}
	var step, count int64
	err := s.conn.QueryRowContext(ctx, fmt.Sprintf("SELECT @@auto_increment_increment, COUNT(*) FROM %s WHERE %s BETWEEN %d AND %d + @@auto_increment_increment * %d AND (%s - %d) %% @@auto_increment_increment = 0",
		t.names.target, t.names.id, first, first, n-1, t.names.id, first)).Scan(&step, &count)
	if err != nil || count != int64(n) {
		return 0, ofNoRow(err)
	}
	return step, nil
}

// insertReadBack sends one row at a time and finds each new id as the one above
// the highest that the snapshot held before. Many rows at a time would tell
// which ids appeared, but not which row got which.
func (t *Target) insertReadBack(ctx context.Context, s *session, p *prepared) ([]placed, error) {
	var highest sql.NullInt64
	if err := s.conn.QueryRowContext(ctx, "SELECT MAX("+t.names.id+") FROM "+t.names.target).Scan(&highest); err != nil {
		return nil, ofNoRow(err)
	}
	head, found := t.insertHead(), t.table.Load()
	var places []placed
	for _, statement := range p.inserts {
		for _, index := range statement.rows {
			item := &p.batch.Items[index]
			if _, err := s.exec(ctx, string(t.appendRow([]byte(head), &item.Record, found))); err != nil {
				f := classify(err)
				if f.Class == replicator.Data {
					f.Row = len(places) + 1
				}
				return nil, f
			}
			var id, count int64
			if err := s.conn.QueryRowContext(ctx, fmt.Sprintf("SELECT COALESCE(MAX(%s), 0), COUNT(*) FROM %s WHERE %s > %d",
				t.names.id, t.names.target, t.names.id, highest.Int64)).Scan(&id, &count); err != nil {
				return nil, ofNoRow(err)
			}
			if count != 1 {
				return nil, &replicator.Failure{
					Class: replicator.Blocked, Reason: "target_ids",
					Detail: fmt.Sprintf("one row was inserted, but %d appeared above id %d: without its id an edit or unsend could not find it again", count, highest.Int64),
					Hint:   "change the trigger on the CRM's table: ids must grow",
				}
			}
			highest.Int64 = id
			places = append(places, placed{position: item.Position, id: id, step: 1, fallback: item.Record.Fallback})
		}
	}
	return places, nil
}

// atRowOfBatch makes the row that an error names one of the batch's inserts.
func atRowOfBatch(err error, before int) error {
	f := classify(err)
	if f.Row > 0 {
		f.Row += before
	}
	return f
}
