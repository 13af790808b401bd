package config

import (
	"errors"
	"strings"

	"github.com/BurntSushi/toml"
)

// syntaxProblem translates the library's first error. Its own text may quote a
// value, and the value may be a password without quotes.
func (r *reader) syntaxProblem(err error) Problem {
	syntax, ok := errors.AsType[toml.ParseError](err)
	if !ok {
		return Problem{Where: r.file, Text: "is not valid TOML"}
	}
	key := syntax.LastKey
	if !r.known[key] {
		key = ""
	}
	wrong := translate(syntax.Message)
	if key == "" && wrong.text == duplicate {
		key = r.quotedKey(syntax.Message)
	}
	return Problem{Where: r.file, Line: syntax.Position.Line, Key: key, Text: wrong.text, Hint: wrong.hint}
}

const duplicate = "is there twice"

// quotedKey returns the key that the message quotes, where the schema has it.
func (r *reader) quotedKey(message string) string {
	_, after, _ := strings.Cut(message, "'")
	key, _, _ := strings.Cut(after, "'")
	if r.known[key] || r.sections[key] {
		return key
	}
	return ""
}

// translate puts the library's messages (v1.6.0: lex.go, parse.go) into words
// that quote nothing.
func translate(message string) complaint {
	known := []struct {
		part string
		complaint
	}{
		{"has already been defined", complaint{duplicate, "keep one of them; a section, too, stands in the file once"}},
		{"was already created", complaint{duplicate, "keep one of them"}},
		{"strings cannot contain newlines", complaint{"the text is not closed on its line", "end it with the quote that it began with"}},
		{"unexpected EOF", complaint{"the file ends in the middle", "a quote, bracket or value is missing"}},
		{"expected value but found", complaint{"is not a value", `texts stand in quotes: "…"`}},
		{"invalid escape", complaint{`has a \ that escapes nothing`, `write \\, or put the text in single quotes`}},
		{"hexadecimal digits after", complaint{`has a \ that escapes nothing`, `write \\, or put the text in single quotes`}},
		{"control characters", complaint{"has a control character", "remove it"}},
		{"UTF-8", complaint{"is not UTF-8", "save the file as UTF-8"}},
		{"NULL bytes", complaint{"is not UTF-8", "save the file as UTF-8"}},
		{"out of range for", complaint{"has a number that is too large", ""}},
		{"nvalid integer", complaint{"is not a number", `texts stand in quotes: "…"`}},
		{"nvalid float", complaint{"is not a number", `texts stand in quotes: "…"`}},
		{"floats must", complaint{"is not a number", `texts stand in quotes: "…"`}},
		{"expected a digit", complaint{"is not a number", `texts stand in quotes: "…"`}},
		{"number", complaint{"is not a number", `texts stand in quotes: "…"`}},
		{"invalid datetime", complaint{"is not a date", `texts stand in quotes: "…"`}},
		{"table name", complaint{"the section's name is not closed", "write [section] alone on its line"}},
		{"array terminator", complaint{"the array is not closed, or lacks a comma", `write ["…", "…"]`}},
		{"end with a newline", complaint{"something follows the value", "one key and one value on a line"}},
		{"'='", complaint{"is not a key and a value", "write key = value"}},
	}
	for _, k := range known {
		if strings.Contains(message, k.part) {
			return k.complaint
		}
	}
	return complaint{"is not valid TOML", ""}
}
