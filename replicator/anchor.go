package replicator

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/bits"

	"sidestream/mapping"
)

// newestAnchors is how many anchors directly behind the cursor are kept; behind
// those there is one per power of two of distance.
const newestAnchors = 8

// AnchorHash identifies the row of a change: the first 16 hexadecimal digits of
// a SHA-256 over the fields that are the row's identity in the log. It leaves
// out what an unsend blanks later, so a row keeps its hash for life.
func AnchorHash(c mapping.Change) string {
	// Lengths go first, so that no two rows share their bytes by shifting a
	// character from one field to the next.
	buf := make([]byte, 0, 256)
	for _, part := range [...]string{c.AccountID, c.MessageID, string(c.Kind)} {
		buf = binary.BigEndian.AppendUint64(buf, uint64(len(part)))
		buf = append(buf, part...)
	}
	buf = binary.BigEndian.AppendUint64(buf, uint64(c.Version))
	sum := sha256.Sum256(buf)
	return hex.EncodeToString(sum[:8])
}

// NextAnchors returns the anchors of a cursor that moves to position to by
// applying changes: the newest eight rows, and behind them the oldest row of
// each power of two of distance, so that an older copy of the source shows where
// it diverged. Both old and changes are in ascending position order and so is
// the result; it never holds more than 8+63 anchors. Changes beyond to, and
// those that old covers already, are left out.
func NextAnchors(old []Anchor, changes []mapping.Change, to int64) []Anchor {
	for len(changes) > 0 && changes[len(changes)-1].Position > to {
		changes = changes[:len(changes)-1]
	}
	for len(old) > 0 && len(changes) > 0 && changes[0].Position <= old[len(old)-1].Position {
		changes = changes[1:]
	}
	total := len(old) + len(changes)
	position := func(i int) int64 {
		if i < len(old) {
			return old[i].Position
		}
		return changes[i-len(old)].Position
	}
	next := make([]Anchor, 0, min(total, newestAnchors+63))
	last := -1
	for i := range total {
		// The oldest of a distance is the one that reaches the next distance
		// first: it is kept, so no distance stays empty.
		distance := bits.Len64(uint64(max(0, to-position(i))))
		if i < total-newestAnchors && distance == last {
			continue
		}
		last = distance
		if i < len(old) {
			next = append(next, old[i])
			continue
		}
		c := changes[i-len(old)]
		next = append(next, Anchor{Position: c.Position, Hash: AnchorHash(c)})
	}
	return next
}
