package sqlite

import (
	"fmt"

	"sidestream/replicator"
)

// maxJump is how far the next position may be away. Numbers that SQLite gives
// out follow each other; one row with an enormous explicit number would carry
// the cursor beyond everything that follows.
const maxJump = 1 << 40

// sighting is what a read transaction saw of the file's identity.
type sighting struct {
	sourceID string
	// head is the highest position; floor is that below which no new row can
	// appear: head, or the last number that AUTOINCREMENT gave out.
	head, floor int64
	// rows are the anchors whose rows exist, with the hashes of these rows.
	rows []replicator.Anchor
}

// comparison sorts a cursor's anchors by what was found at their positions.
// Missing rows are in none: someone may prune what has been applied.
type comparison struct {
	matching, differing int
	// lastCommon is the highest position whose row is the one that was applied,
	// firstOther the lowest with another row; 0 where there is none.
	lastCommon, firstOther int64
}

func compare(anchors, rows []replicator.Anchor) comparison {
	var c comparison
	found := make(map[int64]string, len(rows))
	for _, row := range rows {
		found[row.Position] = row.Hash
	}
	for _, anchor := range anchors {
		switch hash, ok := found[anchor.Position]; {
		case !ok:
		case hash == anchor.Hash:
			c.matching++
			c.lastCommon = max(c.lastCommon, anchor.Position)
		default:
			c.differing++
			if c.firstOther == 0 || anchor.Position < c.firstOther {
				c.firstOther = anchor.Position
			}
		}
	}
	return c
}

// judge tells whether the positions of the file still mean the rows that the
// cursor has counted. It returns nil or a blocked failure.
func judge(after replicator.Cursor, seen sighting) *replicator.Failure {
	c := compare(after.Anchors, seen.rows)
	common := "no anchor matches"
	if c.lastCommon > 0 {
		common = fmt.Sprintf("the last anchor that matches is at %d", c.lastCommon)
	}
	switch {
	case after.SourceID != "" && seen.sourceID != "" && after.SourceID != seen.sourceID:
		return blocked(reasonReplaced,
			"put the former database back, or accept this one with `replicator cursor resume`; `replicator cursor show` compares",
			"the file has the source id %s, the cursor at %d belongs to %s; %d anchors match, %d differ",
			shorten(seen.sourceID), after.Position, shorten(after.SourceID), c.matching, c.differing)
	case c.differing > 0 && c.matching == 0:
		return blocked(reasonReplaced,
			"put the former database back, or accept this one with `replicator cursor resume`; `replicator cursor show` compares",
			"all %d anchors of the cursor at %d that the file has rows for differ: it holds other rows up to %d",
			c.differing, after.Position, seen.head)
	case c.differing > 0:
		return blocked(reasonDiverged,
			"find out which copy is the right one (two writers, or a restored backup that was written again); "+
				"`replicator cursor show` compares, `replicator cursor resume` accepts this file from the last anchor that matches",
			"the row at %d is not the one that was applied; %s; the file ends at %d, the cursor is at %d",
			c.firstOther, common, seen.head, after.Position)
	case seen.floor < after.Position:
		return blocked(reasonRewound,
			"put the newer database back, or accept this one with `replicator cursor resume`; `replicator cursor show` compares",
			"the file ends at %d and goes on from %d, but the cursor is at %d, so new rows would come below it; %s",
			seen.head, seen.floor, after.Position, common)
	}
	return nil
}

// checkJump refuses a next position that is absurdly far away.
func checkJump(from, to int64) *replicator.Failure {
	if to-from <= maxJump {
		return nil
	}
	return blocked(reasonJump,
		"look at the row; where it is right, go there with `replicator cursor set`, "+
			"else remove it and set sqlite_sequence back to the highest number that is left",
		"after %d the next row has the number %d", from, to)
}

// shorten keeps enough of a random id to tell two apart.
func shorten(id string) string {
	if len(id) > 8 {
		return id[:8] + "…"
	}
	return id
}
