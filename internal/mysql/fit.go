package mysql

import (
	"strings"
	"unicode/utf8"
)

func lower(s string) string { return strings.ToLower(s) }

// fit applies the two policies that the operator chose for values that a
// column cannot hold as they are. What a policy leaves alone goes to the
// server, whose strict mode refuses it: nothing is ever cut silently.
func (t *Target) fit(value, columnName string, found *table) string {
	c, ok := found.columns[lower(columnName)]
	if !ok {
		return value
	}
	if !t.opt.ParkUnsupported {
		if replaced := replaceUnsupported(value, c.charset); replaced != value {
			t.metrics.replaced.Inc()
			value = replaced
		}
	}
	if t.opt.CutTooLong && c.limit > 0 {
		if cut := cutTo(value, c); len(cut) != len(value) {
			t.metrics.cut.Inc()
			value = cut
		}
	}
	return value
}

// replaceUnsupported replaces what a charset has no character for. Charsets
// that are not listed are left to the server.
func replaceUnsupported(value, charset string) string {
	var bad func(rune) bool
	replacement := '?'
	switch charset {
	case "utf8", "utf8mb3":
		bad, replacement = func(r rune) bool { return r > 0xFFFF }, utf8.RuneError
	case "ascii":
		bad = func(r rune) bool { return r > 0x7F }
	case "latin1":
		bad = func(r rune) bool { return r > 0xFF && !strings.ContainsRune(windows1252, r) }
	default:
		return value
	}
	if strings.IndexFunc(value, bad) < 0 {
		return value
	}
	return strings.Map(func(r rune) rune {
		if bad(r) {
			return replacement
		}
		return r
	}, value)
}

// windows1252 holds what MySQL's latin1 has beyond U+00FF: it is cp1252
// (MySQL Reference Manual, "West European Character Sets").
const windows1252 = "€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"

// cutTo cuts a value at a column's limit, never inside a character.
func cutTo(value string, c column) string {
	if !c.inBytes {
		if int64(len(value)) <= c.limit || int64(utf8.RuneCountInString(value)) <= c.limit {
			return value
		}
		n := int64(0)
		for i := range value {
			if n == c.limit {
				return value[:i]
			}
			n++
		}
		return value
	}
	if int64(len(value)) <= c.limit {
		return value
	}
	end := int(c.limit)
	for end > 0 && !utf8.RuneStart(value[end]) {
		end--
	}
	return value[:end]
}
