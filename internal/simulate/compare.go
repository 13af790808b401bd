package simulate

import (
	"fmt"
	"sort"
)

// examples is how many rows of each kind Sums names.
const examples = 5

// Sums counts how the rows that are there differ from those expected.
type Sums struct {
	Expected, Got int
	// Missing rows are expected and not there.
	Missing int
	// Doubled rows are there more often than expected.
	Doubled int
	// Unexpected rows are there and not expected at all.
	Unexpected int
	// Reordered is the least number of rows that would have to be moved to
	// bring the expected ones into their order.
	Reordered int
	// MissingRows, DoubledRows and UnexpectedRows hold the first few of each.
	MissingRows, DoubledRows, UnexpectedRows []Row
}

// Clean tells whether every row is there once, in order, and no other.
func (s Sums) Clean() bool {
	return s.Missing == 0 && s.Doubled == 0 && s.Unexpected == 0 && s.Reordered == 0
}

// String returns the sums in one line, without any text of a row.
func (s Sums) String() string {
	return fmt.Sprintf("expected %d, got %d: missing %d, doubled %d, unexpected %d, reordered %d",
		s.Expected, s.Got, s.Missing, s.Doubled, s.Unexpected, s.Reordered)
}

// Compare counts how got, in the order of the CRM's ids, differs from
// expected. Rows are told apart by their content: the n-th of several equal
// rows is taken for the n-th expected one.
func Compare(expected, got []Row) Sums {
	sums := Sums{Expected: len(expected), Got: len(got)}
	places := make(map[Row][]int, len(expected))
	for i, row := range expected {
		places[row] = append(places[row], i)
	}
	taken := make(map[Row]int, len(expected))
	found := make([]int, 0, len(got))
	for _, row := range got {
		at, known := places[row]
		switch n := taken[row]; {
		case !known:
			sums.Unexpected++
			sums.UnexpectedRows = some(sums.UnexpectedRows, row)
		case n == len(at):
			sums.Doubled++
			sums.DoubledRows = some(sums.DoubledRows, row)
		default:
			taken[row]++
			found = append(found, at[n])
		}
	}
	for _, row := range expected {
		if taken[row] > 0 {
			taken[row]--
			continue
		}
		sums.Missing++
		sums.MissingRows = some(sums.MissingRows, row)
	}
	sums.Reordered = len(found) - longestRise(found)
	return sums
}

func some(rows []Row, row Row) []Row {
	if len(rows) < examples {
		rows = append(rows, row)
	}
	return rows
}

// longestRise returns the length of the longest subsequence that only rises.
// ends[n] is the lowest end of all rises of length n+1 so far.
func longestRise(places []int) int {
	var ends []int
	for _, place := range places {
		n := sort.SearchInts(ends, place)
		if n == len(ends) {
			ends = append(ends, place)
		} else {
			ends[n] = place
		}
	}
	return len(ends)
}
