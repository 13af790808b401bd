package console

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// Duration is a time span on the command line, above zero. It may be in days, as
// in the configuration.
type Duration time.Duration

var wholeDays = regexp.MustCompile(`^([0-9]{1,5})d$`)

// String returns the span as time.Duration has it.
func (d Duration) String() string { return time.Duration(d).String() }

// UnmarshalText reads "400d" or what time.ParseDuration does.
func (d *Duration) UnmarshalText(text []byte) error {
	if m := wholeDays.FindSubmatch(text); m != nil {
		days, err := strconv.Atoi(string(m[1]))
		*d = Duration(time.Duration(days) * 24 * time.Hour)
		if err == nil && days > 0 {
			return nil
		}
	}
	span, err := time.ParseDuration(string(text))
	if err != nil || span <= 0 {
		return fmt.Errorf(`%q is not a duration; write a number and a unit, such as "400d" or "36h"`, text)
	}
	*d = Duration(span)
	return nil
}
