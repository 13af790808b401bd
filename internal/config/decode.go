package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// set decodes a value of the file (as the TOML library has it) or a text into
// the key's place in c, and checks it. It returns false where the value is
// empty and so counts as not set. Nothing is stored with a complaint.
func (e entry) set(c *Config, value any) (bool, *complaint) {
	if isEmpty(value) {
		if e.def != "" {
			return false, &complaint{"is empty", "leave the key out for its default, " + e.defaultText()}
		}
		return false, nil
	}
	decoded, wrong := decode(e.to(c), value)
	if wrong != nil {
		return false, wrong
	}
	if wrong := e.judge(decoded); wrong != nil {
		return false, wrong
	}
	e.store(c, decoded)
	return true, nil
}

// judge checks a decoded value, every element of a list on its own.
func (e entry) judge(decoded any) *complaint {
	list, ok := decoded.([]string)
	if !ok {
		if e.check == nil {
			return nil
		}
		return e.check(decoded)
	}
	seen := make(map[string]bool, len(list))
	for i, element := range list {
		wrong := &complaint{"is empty", "leave it out"}
		if element != "" {
			if seen[element] {
				wrong = &complaint{"is there twice", "leave one out"}
			} else if wrong = nil; e.check != nil {
				wrong = e.check(element)
			}
		}
		if wrong != nil {
			return &complaint{fmt.Sprintf("element %d %s", i+1, wrong.text), wrong.hint}
		}
		seen[element] = true
	}
	return nil
}

// store puts a decoded value into its place.
func (e entry) store(c *Config, decoded any) {
	switch place := e.to(c).(type) {
	case *string:
		*place, _ = decoded.(string)
	case *bool:
		*place, _ = decoded.(bool)
	case *int:
		n, _ := decoded.(int64)
		*place = int(n)
	case *int64:
		*place, _ = decoded.(int64)
	case *time.Duration:
		*place, _ = decoded.(time.Duration)
	case *[]string:
		*place, _ = decoded.([]string)
	case *Secret:
		s, _ := decoded.(string)
		*place = Secret{value: &s}
	case *Secrets:
		list, _ := decoded.([]string)
		*place = Secrets{}
		for i := range list {
			place.values = append(place.values, &list[i])
		}
	}
}

func isEmpty(value any) bool {
	switch v := value.(type) {
	case string:
		return v == ""
	case []any:
		return len(v) == 0
	case text:
		return v == ""
	}
	return false
}

// text is a value as the environment or a flag spells it.
type text string

// decode turns a value into what a place of this type holds: a string, bool,
// int64, time.Duration or []string. Complaints never quote the value.
func decode(place, value any) (any, *complaint) {
	if s, ok := value.(text); ok {
		return decodeText(place, strings.TrimSpace(string(s)), string(s))
	}
	switch place.(type) {
	case *string, *Secret:
		if s, ok := value.(string); ok {
			return s, nil
		}
		return nil, wrongType("a string", value, `put it in quotes: "…"`)
	case *bool:
		if b, ok := value.(bool); ok {
			return b, nil
		}
		return nil, wrongType("a boolean", value, "write true or false, without quotes")
	case *int, *int64:
		if n, ok := value.(int64); ok {
			return n, nil
		}
		return nil, wrongType("an integer", value, "write a number, without quotes")
	case *time.Duration:
		if s, ok := value.(string); ok {
			return durationOf(s)
		}
		return nil, wrongType("a duration", value, `write a number and its unit in quotes, such as "5s"`)
	default:
		return decodeList(value)
	}
}

func decodeList(value any) (any, *complaint) {
	const hint = `write ["…", "…"]`
	elements, ok := value.([]any)
	if !ok {
		return nil, wrongType("an array of strings", value, hint)
	}
	list := make([]string, len(elements))
	for i, element := range elements {
		if list[i], ok = element.(string); !ok {
			wrong := wrongType("a string", element, hint)
			return nil, &complaint{fmt.Sprintf("element %d %s", i+1, wrong.text), hint}
		}
	}
	return list, nil
}

// decodeText decodes trimmed for the types in which spaces mean nothing.
func decodeText(place any, trimmed, whole string) (any, *complaint) {
	switch place.(type) {
	case *string, *Secret:
		return whole, nil
	case *bool:
		switch strings.ToLower(trimmed) {
		case "true", "1", "yes", "on":
			return true, nil
		case "false", "0", "no", "off":
			return false, nil
		}
		return nil, &complaint{"is not a boolean", "write true or false"}
	case *int, *int64:
		n, err := strconv.ParseInt(trimmed, 10, 64)
		if err != nil {
			return nil, &complaint{"is not an integer", "digits only"}
		}
		return n, nil
	case *time.Duration:
		return durationOf(trimmed)
	default:
		var list []string
		for element := range strings.SplitSeq(whole, ",") {
			if element = strings.TrimSpace(element); element != "" {
				list = append(list, element)
			}
		}
		if list == nil {
			return nil, &complaint{"names nothing", "separate several by commas"}
		}
		return list, nil
	}
}

// durationOf keeps a failed duration from turning into a 0 in an any.
func durationOf(s string) (any, *complaint) {
	d, wrong := parseDuration(s)
	if wrong != nil {
		return nil, wrong
	}
	return d, nil
}

func wrongType(want string, value any, hint string) *complaint {
	got := "a date or time"
	switch value.(type) {
	case string:
		got = "a string"
	case int64:
		got = "an integer"
	case float64:
		got = "a float"
	case bool:
		got = "a boolean"
	case []any:
		got = "an array"
	case map[string]any:
		got = "a table"
	case []map[string]any:
		got = "an array of tables"
	}
	return &complaint{"must be " + want + ", not " + got, hint}
}
