package replicator

import (
	"context"

	"sidestream/internal/mysql"
	"sidestream/mapping"
	"sidestream/replicator"
)

const (
	// takeAtMost is how many rows one command takes over; where there are more,
	// the replicator stops again and the command is run again.
	takeAtMost = 100_000
	// lackAtMost is after how many messages in a row that the CRM lacks the search
	// ends: what follows was never applied.
	lackAtMost = 8
)

// taking is what the CRM holds of the changes behind a cursor that is older than
// its table.
type taking struct {
	rows []mysql.Taken
	// lacking are the messages between them that the CRM does not hold.
	lacking []mysql.DeadLetter
}

// takeOver walks forward from a position and looks for each message's row above
// the id of the one before.
func (d *desk) takeOver(ctx context.Context, mapper *mapping.Mapper, from, id int64) (taking, error) {
	var found taking
	if id == 0 {
		return found, nil
	}
	var lacking []mysql.DeadLetter
	for len(found.rows) < takeAtMost {
		chunk, err := d.source.Read(ctx, replicator.Cursor{Position: from}, 500)
		if err != nil {
			return found, err
		}
		for _, c := range chunk.Changes {
			if c.Kind != mapping.KindMessage {
				continue
			}
			history := chunk.Histories[replicator.MessageKey{AccountID: c.AccountID, MessageID: c.MessageID}]
			if history == nil {
				history = []mapping.Change{c}
			}
			item := replicator.Plan(mapper, d.now.Cursor, c, history, nil)
			if item.Op == replicator.OpPass {
				continue
			}
			row, err := d.written(ctx, id, item, len(history) > 1)
			if err != nil {
				return found, err
			}
			if row.ID == 0 {
				if lacking = append(lacking, letterOf(item)); len(lacking) == lackAtMost {
					return found, nil
				}
				continue
			}
			id = row.ID
			found.rows = append(found.rows, mysql.Taken{Position: c.Position, ID: row.ID, Fallback: row.Fallback})
			found.lacking, lacking = append(found.lacking, lacking...), nil
		}
		if chunk.Until <= from || chunk.Until >= chunk.Head {
			return found, nil
		}
		from = chunk.Until
	}
	return found, nil
}

// written looks for the row of a message above an id. The text has to be the
// same, or anybody's row of that second would do, unless the message has changed
// since: then the CRM may hold what it was before.
func (d *desk) written(ctx context.Context, id int64, item replicator.Item, changed bool) (mysql.Found, error) {
	if item.Op != replicator.OpInsert {
		return mysql.Found{}, nil
	}
	row, err := d.target.FindAbove(ctx, id, item.Record, true)
	if err == nil && row.ID == 0 && changed {
		row, err = d.target.FindAbove(ctx, id, item.Record, false)
	}
	return row, err
}

// letterOf is the dead letter of a message that the CRM does not hold.
func letterOf(item replicator.Item) mysql.DeadLetter {
	l := mysql.DeadLetter{Position: item.Position, MessageID: item.MessageID, Code: item.Code, Reason: item.Reason}
	if item.Op != replicator.OpPark {
		l.Reason = mysql.ReasonRowGone
	}
	return l
}

// lostRetries are the messages up to a position that a retry had delivered behind
// their turn and that the CRM does not hold any more: a restored table has lost
// them together with what came after it.
func (d *desk) lostRetries(ctx context.Context, mapper *mapping.Mapper, upTo int64) ([]mysql.DeadLetter, error) {
	now := d.now.Cursor
	positions, err := d.target.RetriedUpTo(ctx, now.Generation, upTo)
	if err != nil {
		return nil, err
	}
	var lost []mysql.DeadLetter
	for _, position := range positions {
		change, _, err := d.source.Message(ctx, now, position)
		if err != nil {
			return nil, err
		}
		held, err := d.target.Holds(ctx, now.Generation, position, mapper.Was(change))
		if err != nil {
			return nil, err
		}
		if !held {
			lost = append(lost, mysql.DeadLetter{Position: position, MessageID: change.MessageID, Reason: mysql.ReasonRowGone})
		}
	}
	return lost, nil
}
