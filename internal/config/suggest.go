package config

import "strings"

// nearest returns the candidate that the name was probably meant to be, or "".
// Paths that differ in case only come first, then near misses, then the same
// last word in another section.
func nearest(name string, candidates []string) string {
	if len(name) > 100 {
		return ""
	}
	lower := strings.ToLower(name)
	best, bestDistance := "", len(lower)/4+2
	for _, candidate := range candidates {
		against := strings.ToLower(candidate)
		if against == lower {
			return candidate
		}
		if d := distance(lower, against); d < bestDistance {
			best, bestDistance = candidate, d
		}
	}
	if best != "" && bestDistance <= 2 {
		return best
	}
	var twins []string
	for _, candidate := range candidates {
		if lastWord(candidate) == lastWord(lower) {
			twins = append(twins, candidate)
		}
	}
	if len(twins) == 1 {
		return twins[0]
	}
	return best
}

func lastWord(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

// distance counts the letters to insert, drop, replace or swap with their
// neighbour to make a of b.
func distance(a, b string) int {
	before, previous, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range previous {
		previous[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(previous[j]+1, row[j-1]+1, previous[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, previous, row = previous, row, before
	}
	return previous[len(b)]
}
