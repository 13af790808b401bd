package config

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Problem is one mistake and where it stands.
type Problem struct {
	// Where is the file, the environment variable ("env NAME"), the flag
	// ("flag --name"), or "configuration" where a key is in none of them.
	Where string
	// Line is the line in the file, from 1; 0 where it does not apply.
	Line int
	// Key is the key's path; empty where the problem is not about one key.
	Key string
	// Text says what is wrong. It never holds a secret.
	Text string
	// Hint says what to do, or is empty.
	Hint string
}

// String returns "file:line: key: problem (hint)" without the parts that do not
// apply.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.Where)
	if p.Line > 0 {
		b.WriteString(":" + strconv.Itoa(p.Line))
	}
	b.WriteString(": ")
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	b.WriteString(p.Text)
	if p.Hint != "" {
		b.WriteString(" (" + p.Hint + ")")
	}
	return b.String()
}

// Problems is every mistake in a configuration, as the error of Load.
//
//nolint:errname // The plural says that it is all of them.
type Problems struct {
	// All is sorted: by line in the file, then what concerns the file as a
	// whole, then the environment, then the flags.
	All []Problem
}

// Error returns one line for each problem, without a line end after the last.
func (p *Problems) Error() string {
	lines := make([]string, len(p.All))
	for i, problem := range p.All {
		lines[i] = problem.String()
	}
	return strings.Join(lines, "\n")
}

// sort puts the problems into the order that All promises.
func (p *Problems) sort() {
	rank := func(p Problem) int {
		switch {
		case p.Line > 0:
			return 0
		case strings.HasPrefix(p.Where, envPrefix):
			return 2
		case strings.HasPrefix(p.Where, flagPrefix):
			return 3
		}
		return 1
	}
	slices.SortStableFunc(p.All, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Line, b.Line),
			cmp.Compare(a.Where, b.Where), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Text, b.Text))
	})
}

// complaint is what is wrong with a value, without where it stands.
type complaint struct{ text, hint string }
