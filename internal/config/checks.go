package config

import (
	"fmt"
	"net"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// check judges one decoded value: a string (each element of a list), an int64
// or a time.Duration. Secrets pass through here too: a complaint quotes a value
// only through quote, and printable and oneLine, which secrets use,
// never do.
type check func(value any) *complaint

// onText makes a check of strings. Values of other types cannot reach it, the
// schema's test sees to that.
func onText(judge func(string) *complaint) check {
	return func(value any) *complaint {
		s, _ := value.(string)
		return judge(s)
	}
}

// quote shows a wrong value where that is short and harmless: an unclosed
// string may have swallowed the lines after it, secrets included.
func quote(s string) string {
	if utf8.RuneCountInString(s) > 40 || strings.ContainsFunc(s, unicode.IsControl) || !utf8.ValidString(s) {
		return "this value"
	}
	return strconv.Quote(s)
}

func between(low, high int64) check {
	return func(value any) *complaint {
		if n, _ := value.(int64); n < low || n > high {
			return &complaint{fmt.Sprintf("%d is out of range", n), fmt.Sprintf("%d to %d", low, high)}
		}
		return nil
	}
}

// lasting bounds a duration; the bounds are spelled as in the file.
func lasting(low, high string) check {
	return func(value any) *complaint {
		least, _ := parseDuration(low)
		most, _ := parseDuration(high)
		if d, _ := value.(time.Duration); d < least || d > most {
			return &complaint{formatDuration(d) + " is out of range", low + " to " + high}
		}
		return nil
	}
}

func oneOf(words ...string) check {
	choice := make([]string, len(words))
	for i, word := range words {
		choice[i] = strconv.Quote(word)
	}
	hint := "one of " + strings.Join(choice, ", ")
	return onText(func(s string) *complaint {
		if slices.Contains(words, s) {
			return nil
		}
		return &complaint{quote(s) + " is not one of its values", hint}
	})
}

func atMost(characters int) check {
	return onText(func(s string) *complaint {
		if n := utf8.RuneCountInString(s); n > characters {
			return &complaint{fmt.Sprintf("has %d characters", n), fmt.Sprintf("at most %d", characters)}
		}
		return nil
	})
}

// printable accepts every text without control characters. It never quotes.
func printable(value any) *complaint {
	if s, _ := value.(string); strings.ContainsFunc(s, unicode.IsControl) {
		return &complaint{"holds a line end or another control character", "write it on one line"}
	}
	return nil
}

// oneLine accepts what a header can carry. It never quotes.
func oneLine(value any) *complaint {
	if s, _ := value.(string); s != strings.TrimSpace(s) {
		return &complaint{"begins or ends with a space", "remove it"}
	}
	return printable(value)
}

// identifier accepts a table's or a column's name. MySQL's limit is 64
// characters and no space at the end; SQLite has no limit of its own.
func identifier(value any) *complaint {
	s, _ := value.(string)
	if n := utf8.RuneCountInString(s); n > 64 {
		return &complaint{fmt.Sprintf("has %d characters", n), "a name has at most 64"}
	}
	if strings.ContainsFunc(s, unicode.IsControl) || s != strings.TrimSpace(s) {
		return &complaint{"is not a name", "no control characters, no space at either end"}
	}
	return nil
}

// tableName is identifier without dots: "db.table" would be taken for a table
// of that name.
func tableName(value any) *complaint {
	if s, _ := value.(string); strings.Contains(s, ".") {
		return &complaint{"has a dot", "write the table's name only; crm.database names its database"}
	}
	return identifier(value)
}

var sourceNames = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

func sourceName(value any) *complaint {
	if s, _ := value.(string); !sourceNames.MatchString(s) {
		return &complaint{quote(s) + " cannot name a source", "1 to 64 of the characters A-Z a-z 0-9 _ . -"}
	}
	return nil
}

// listenAddress accepts host:port; an empty host listens everywhere, and port 0
// takes any free one.
func listenAddress(value any) *complaint {
	s, _ := value.(string)
	host, port, err := net.SplitHostPort(s)
	if err != nil || !portNumber(port, 0) || strings.ContainsFunc(host, unwelcomeInHost) {
		return &complaint{quote(s) + " is not an address to listen on", `write "127.0.0.1:8080", or ":8080" for every interface`}
	}
	return nil
}

// serverAddress accepts host:port and the absolute path of a socket. It never
// quotes: people paste whole connection strings here.
func serverAddress(value any) *complaint {
	s, _ := value.(string)
	if strings.HasPrefix(s, "/") && !strings.ContainsFunc(s, unicode.IsControl) {
		return nil
	}
	if strings.ContainsAny(s, "@/()") {
		return &complaint{"is not host:port", "user, password and database have keys of their own"}
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return &complaint{"is not host:port", `add the port, as in "crm.example:3306"`}
	}
	if host == "" || strings.ContainsFunc(host, unwelcomeInHost) {
		return &complaint{"is not host:port", "the host is missing or has characters that no host has"}
	}
	if !portNumber(port, 1) {
		return &complaint{"has no valid port", "1 to 65535"}
	}
	return nil
}

func portNumber(s string, least uint64) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n >= least
}

func unwelcomeInHost(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == '/' }

func urlPath(value any) *complaint {
	s, _ := value.(string)
	if !strings.HasPrefix(s, "/") || path.Clean(s) != s || strings.ContainsAny(s, "?#{}% ") || strings.ContainsFunc(s, unicode.IsControl) {
		return &complaint{quote(s) + " is not a path", `write "/webhook": a slash first, none last, no ? # % { } or space`}
	}
	return nil
}

// webURL accepts an http or https address. It never quotes: such URLs carry
// tokens.
func webURL(value any) *complaint {
	s, _ := value.(string)
	u, err := url.Parse(s)
	switch {
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "":
		return &complaint{"is not a web address", `write "https://host/path"`}
	case u.User != nil:
		return &complaint{"holds a user or password", "leave them out"}
	}
	return nil
}

// zones are the offsets that MySQL knows. Names of zones are refused: they
// would need the server's zone tables, and days that are 23 hours long.
var zones = regexp.MustCompile(`^(UTC|[+-](0[0-9]|1[0-3]):[0-5][0-9]|\+14:00)$`)

func zone(value any) *complaint {
	if s, _ := value.(string); !zones.MatchString(s) {
		return &complaint{quote(s) + " is not a fixed zone", `"UTC", or an offset such as "+02:00"`}
	}
	return nil
}
