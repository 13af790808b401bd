package writer

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// age is a duration on the command line, which may be in days.
type age time.Duration

var wholeDays = regexp.MustCompile(`^([0-9]{1,5})d$`)

// UnmarshalText reads "400d" or what time.ParseDuration does.
func (a *age) UnmarshalText(text []byte) error {
	if m := wholeDays.FindSubmatch(text); m != nil {
		days, err := strconv.Atoi(string(m[1]))
		if err != nil {
			return err
		}
		*a = age(time.Duration(days) * 24 * time.Hour)
		return nil
	}
	d, err := time.ParseDuration(string(text))
	if err != nil || d <= 0 {
		return fmt.Errorf(`%q is not a duration; write a number and a unit, such as "400d" or "36h"`, text)
	}
	*a = age(d)
	return nil
}
