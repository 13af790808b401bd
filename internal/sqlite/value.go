package sqlite

import (
	"database/sql/driver"
	"math"
	"strconv"
	"strings"
	"time"

	"sidestream/mapping"
)

// SQLite stores any class of value in any column (https://www.sqlite.org/flextypegood.html),
// so each value is converted by the class that it has, not by its column's type.

// toText returns a value as text. NULL is empty.
func toText(v driver.Value) string {
	switch v := v.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		if n, ok := wholeNumber(v); ok && float64(n) == v {
			// An id that went through a floating point number keeps its digits.
			return strconv.FormatInt(n, 10)
		}
		return strconv.FormatFloat(v, 'g', -1, 64)
	default:
		return ""
	}
}

// toOptional returns a value as text, and nil for NULL.
func toOptional(v driver.Value) *string {
	if v == nil {
		return nil
	}
	s := toText(v)
	return &s
}

// toInt returns a value as a number, and 0 where it is none.
func toInt(v driver.Value) int64 {
	n, _ := number(v)
	return n
}

// toMillis returns a time as milliseconds since 1970 UTC, and 0 where it cannot
// be read. A number is taken for milliseconds already: guessing units would
// move messages by decades in silence.
func toMillis(v driver.Value) int64 {
	if n, ok := number(v); ok {
		return n
	}
	text := strings.TrimSpace(toText(v))
	for _, form := range [...]string{
		time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02T15:04:05.999999999",
		"2006-01-02 15:04:05.999999999", "2006-01-02 15:04", "2006-01-02",
	} {
		if t, err := time.Parse(form, text); err == nil {
			return t.UnixMilli()
		}
	}
	return 0
}

// number reads a number of any storage class.
func number(v driver.Value) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case float64:
		return wholeNumber(v)
	case string, []byte:
		text := strings.TrimSpace(toText(v))
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n, true
		}
		if f, err := strconv.ParseFloat(text, 64); err == nil {
			return wholeNumber(f)
		}
	}
	return 0, false
}

// wholeNumber cuts the fraction off.
func wholeNumber(f float64) (int64, bool) {
	if math.IsNaN(f) || f < -(1<<63) || f >= 1<<63 {
		return 0, false
	}
	return int64(f), true
}

// decode makes a change of a row in the order of Columns.list.
func decode(row []driver.Value) mapping.Change {
	return mapping.Change{
		Position:    toInt(row[0]),
		MessageID:   toText(row[1]),
		Kind:        mapping.Kind(toText(row[2])),
		Version:     toInt(row[3]),
		AccountID:   toText(row[4]),
		SenderID:    toText(row[5]),
		RecipientID: toText(row[6]),
		Direction:   mapping.Direction(toText(row[7])),
		Text:        toOptional(row[8]),
		Attachments: toOptional(row[9]),
		Timestamp:   toMillis(row[10]),
		CommittedAt: toMillis(row[11]),
	}
}

// size is what a change counts against the byte limit.
func size(c mapping.Change) int {
	n := 0
	for _, s := range [...]*string{c.Text, c.Attachments} {
		if s != nil {
			n += len(*s)
		}
	}
	return n
}
