package simulate_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sidestream/internal/simulate"
)

// rows makes a row of each letter.
func rows(letters string) []simulate.Row {
	var all []simulate.Row
	for _, letter := range letters {
		all = append(all, simulate.Row{UserID: "u", Direction: "in", Message: string(letter), CreatedAt: 1})
	}
	return all
}

func TestCompare(t *testing.T) {
	for name, c := range map[string]struct {
		expected, got                             string
		missing, doubled, unexpected, outOfPlaces int
	}{
		"the_same_rows":                       {"abcd", "abcd", 0, 0, 0, 0},
		"no_rows":                             {"", "", 0, 0, 0, 0},
		"nothing_arrived":                     {"abc", "", 3, 0, 0, 0},
		"one_is_missing":                      {"abcd", "acd", 1, 0, 0, 0},
		"one_is_there_twice":                  {"abcd", "abbcd", 0, 1, 0, 0},
		"twice_and_late_is_not_reordered":     {"abcd", "abcdb", 0, 1, 0, 0},
		"a_stranger":                          {"abc", "abxc", 0, 0, 1, 0},
		"neighbours_changed_places":           {"abcd", "acbd", 0, 0, 0, 1},
		"one_came_late":                       {"abcd", "bcda", 0, 0, 0, 1},
		"one_came_early":                      {"abcd", "dabc", 0, 0, 0, 1},
		"all_the_other_way_round":             {"abcd", "dcba", 0, 0, 0, 3},
		"equal_rows_are_fine":                 {"aab", "aab", 0, 0, 0, 0},
		"one_of_two_equal_rows_is_missing":    {"aab", "ab", 1, 0, 0, 0},
		"a_third_equal_row_is_one_too_many":   {"aab", "aaab", 0, 1, 0, 0},
		"everything_at_once":                  {"abcde", "bxaadd", 2, 2, 1, 1},
		"two_equal_rows_with_one_out_of_turn": {"abab", "aabb", 0, 0, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := simulate.Compare(rows(c.expected), rows(c.got))
			if s.Expected != len(c.expected) || s.Got != len(c.got) || s.Missing != c.missing || s.Doubled != c.doubled ||
				s.Unexpected != c.unexpected || s.Reordered != c.outOfPlaces {
				t.Errorf("%s", s)
			}
			if s.Clean() != (c.missing+c.doubled+c.unexpected+c.outOfPlaces == 0) {
				t.Errorf("clean is %v", s.Clean())
			}
		})
	}

	t.Run("the_first_rows_of_each_kind_are_named", func(t *testing.T) {
		s := simulate.Compare(rows("abcdefgh"), rows("hhx"))
		if diff := cmp.Diff([][]simulate.Row{rows("abcde"), rows("h"), rows("x")},
			[][]simulate.Row{s.MissingRows, s.DoubledRows, s.UnexpectedRows}); diff != "" {
			t.Error(diff)
		}
	})

	t.Run("each_column_tells_rows_apart", func(t *testing.T) {
		row := simulate.Row{UserID: "u", Direction: "in", Message: "m", CreatedAt: 1}
		for _, other := range []simulate.Row{
			{UserID: "v", Direction: "in", Message: "m", CreatedAt: 1},
			{UserID: "u", Direction: "out", Message: "m", CreatedAt: 1},
			{UserID: "u", Direction: "in", Message: "n", CreatedAt: 1},
			{UserID: "u", Direction: "in", Message: "m", CreatedAt: 2},
		} {
			s := simulate.Compare([]simulate.Row{row}, []simulate.Row{other})
			if s.Missing != 1 || s.Unexpected != 1 || strings.Contains(s.String(), "m\"") {
				t.Errorf("%+v: %s", other, s)
			}
		}
	})

	t.Run("losing_doubling_and_moving_rows_is_counted", func(t *testing.T) {
		all := simulate.NewExpected(simulate.Rules{})
		for _, d := range generate(500, simulate.GeneratorOptions{Seed: 3}) {
			all.Acknowledged(d)
		}
		expected := all.Rows()
		rng := rand.New(rand.NewPCG(1, 2))
		var got []simulate.Row
		lost, twice := 0, 0
		for _, row := range expected {
			switch rng.IntN(10) {
			case 0:
				lost++
			case 1:
				twice++
				got = append(got, row, row)
			default:
				got = append(got, row)
			}
		}
		if s := simulate.Compare(expected, got); s.Missing != lost || s.Doubled != twice || s.Unexpected != 0 || s.Reordered != 0 {
			t.Errorf("%s, want %d missing and %d doubled", s, lost, twice)
		}
	})
}
