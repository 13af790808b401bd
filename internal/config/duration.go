package config

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

var (
	days       = regexp.MustCompile(`^([0-9]{1,6})d`)
	bareNumber = regexp.MustCompile(`^[0-9]+([.][0-9]+)?$`)
)

// longest is the most days that a time.Duration can hold.
const longest = 106751

// parseDuration accepts what time.ParseDuration does, with days in front
// ("400d", "1d12h"); but no sign, and no number without a unit, not even 0.
func parseDuration(s string) (time.Duration, *complaint) {
	notOne := &complaint{"is not a duration", `write a number and a unit, such as "500ms", "30s", "5m", "24h" or "400d"`}
	if bareNumber.MatchString(s) {
		return 0, &complaint{"has no unit", `write "` + s + `s" for seconds, or ms, m, h, d`}
	}
	if s == "" || s[0] == '-' || s[0] == '+' {
		return 0, notOne
	}
	var whole time.Duration
	if m := days.FindStringSubmatch(s); m != nil {
		n, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil || n > longest {
			return 0, &complaint{"is too long", "at most " + strconv.Itoa(longest) + "d"}
		}
		whole = time.Duration(n) * 24 * time.Hour
		if s = s[len(m[0]):]; s == "" {
			return whole, nil
		}
	}
	rest, err := time.ParseDuration(s)
	if err != nil || rest < 0 || whole+rest < whole {
		return 0, notOne
	}
	return whole + rest, nil
}

// formatDuration writes d as parseDuration reads it, without the zero parts
// that time.Duration.String adds, and in days from two days on.
func formatDuration(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= 2*day && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
