package webhook

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
)

// The types here read what Meta has been seen to send, or may send, in more
// than one JSON type. A null leaves each of them at its zero value.

var (
	errLongID = errors.New("id is too long")
	errType   = errors.New("value has the wrong type")
)

// maxID is above every message id ever seen (164 bytes; about 180 reported).
const maxID = 512

// id is a string, or a whole number that is kept digit by digit: 17 digits do
// not fit a float64.
type id string

// UnmarshalJSON reads an id.
func (v *id) UnmarshalJSON(raw []byte) error {
	var s string
	switch {
	case isNull(raw):
		return nil
	case raw[0] == '"':
		if err := json.Unmarshal(raw, &s); err != nil {
			return err
		}
	default:
		s = string(raw)
		if strings.Trim(s, "0123456789") != "" {
			return errType
		}
	}
	if len(s) > maxID {
		return errLongID
	}
	*v = id(s)
	return nil
}

// flag is a boolean, or one written as a string or a number. Anything else is
// an error: a wrong guess would turn a direction round or keep what was unsent.
type flag bool

// UnmarshalJSON reads a flag.
func (v *flag) UnmarshalJSON(raw []byte) error {
	switch strings.Trim(string(raw), `"`) {
	case "true", "1":
		*v = true
	case "false", "0", "null", "":
		*v = false
	default:
		return errType
	}
	return nil
}

// count is a whole number, or one written as a string.
type count struct {
	n   int64
	set bool
}

// UnmarshalJSON reads a count.
func (v *count) UnmarshalJSON(raw []byte) error {
	if isNull(raw) {
		return nil
	}
	n, err := strconv.ParseInt(strings.Trim(string(raw), `"`), 10, 64)
	if err != nil {
		return errType
	}
	*v = count{n: n, set: true}
	return nil
}

// millis is a time in milliseconds since 1970 UTC, 0 where there is none that
// can be used. It never fails: a message is worth more than its time, and the
// entry has another one.
type millis int64

// Below leastMillis a number must be seconds: as milliseconds it would be a day
// before September 2001. maxMillis is the end of year 9999.
const (
	leastMillis = 1_000_000_000_000
	maxMillis   = 253_402_300_799_999
	// maxTime bounds the JSON of a time, which every envelope repeats.
	maxTime = 64
)

// UnmarshalJSON reads a time in milliseconds or seconds, a number or a string.
func (v *millis) UnmarshalJSON(raw []byte) error {
	*v = 0
	if len(raw) > maxTime {
		return nil
	}
	s := strings.Trim(string(raw), `"`)
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		f, err := strconv.ParseFloat(s, 64)
		// Written so that a NaN is refused too.
		if err != nil || !(f > 0 && f <= maxMillis) {
			return nil //nolint:nilerr // a time that cannot be read is no time, see the type
		}
		if f < leastMillis {
			// Multiplied here already: cutting to whole seconds would lose the rest.
			f *= 1000
		}
		n = int64(f)
	} else if n > 0 && n < leastMillis {
		n *= 1000
	}
	if n > 0 && n <= maxMillis {
		*v = millis(n)
	}
	return nil
}
