package replicator

import (
	"context"

	"sidestream/mapping"
)

// Landmark is a row that the CRM holds, or is about to hold, by what the
// source's log says.
type Landmark struct {
	Position int64
	Record   mapping.Record
}

const (
	// landmarks is how many rows are looked for on either side of the cursor.
	landmarks = 8
	// landmarkReach is how far behind the cursor they are looked for: edits and
	// unsends lie between messages.
	landmarkReach = 64
)

// recognise compares the CRM's rows on both sides of the cursor with what the
// log says of them, once after each reload. The cursor, the ledger and the CRM's
// table can be restored from backups of different times; each alone looks sound
// then. It runs after a read of the source, so the file is known to be the one
// that the cursor belongs to.
func (r *Replicator) recognise(ctx context.Context) error {
	behind, err := r.behind(ctx)
	if err != nil {
		return err
	}
	var ahead []Landmark
	// Rows ahead can be there already only where this process did not write the
	// cursor that it starts from, and no person has just decided upon it.
	if !r.own && !r.cursor.SendsAgain() {
		ahead = r.queue.landmarks()
	}
	if len(behind)+len(ahead) == 0 {
		return nil
	}
	return r.opt.Target.Recognise(ctx, r.cursor, behind, ahead)
}

// behind returns the last messages up to the cursor, newest first, with what
// their CRM rows keep for life.
func (r *Replicator) behind(ctx context.Context) ([]Landmark, error) {
	from := max(r.cursor.StartPosition, r.cursor.Position-landmarkReach)
	if from >= r.cursor.Position {
		return nil, nil
	}
	// Without anchors the read checks nothing: that was done for the cursor.
	chunk, err := r.opt.Source.Read(ctx, Cursor{Position: from}, int(r.cursor.Position-from))
	if err != nil {
		if AsFailure(err).Class == Blocked {
			// Such as a gap in the numbers that an operator has accepted: there is
			// nothing to compare then.
			return nil, nil
		}
		return nil, err
	}
	var found []Landmark
	for i := len(chunk.Changes) - 1; i >= 0 && len(found) < landmarks; i-- {
		c := chunk.Changes[i]
		if c.Kind != mapping.KindMessage || c.Position > r.cursor.Position {
			continue
		}
		if was := r.opt.Mapper.Was(c); was.UserID != "" {
			found = append(found, Landmark{Position: c.Position, Record: was})
		}
	}
	return found, nil
}

// landmarks are the first of the customers' messages that the queue adds.
func (q *queue) landmarks() []Landmark {
	var found []Landmark
	for i := range q.items {
		if len(found) == landmarks {
			break
		}
		if item := &q.items[i]; item.Op == OpInsert && item.Record.Direction == mapping.DirectionIn {
			found = append(found, Landmark{Position: item.Position, Record: item.Record})
		}
	}
	return found
}
