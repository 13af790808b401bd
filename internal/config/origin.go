package config

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	fromDefault = "default"
	envPrefix   = "env "
	flagPrefix  = "flag "
)

// Origin is one key's effective value and where it came from.
type Origin struct {
	// Key is the key's path.
	Key string
	// Value is the value as TOML would have it; "[redacted]" for a secret that
	// is set.
	Value string
	// From is "default", "file:line", "env NAME" or "flag --name"; for a secret
	// that is kept in a file, that file follows.
	From string
}

// String returns a line of TOML: key = value, with the origin as its comment.
func (o Origin) String() string { return o.Key + " = " + o.Value + "  # " + o.From }

// value returns the key's effective value as TOML, redacted.
func (e entry) value(c *Config) string {
	switch place := e.to(c).(type) {
	case *string:
		if e.private {
			return strconv.Quote(hostOnly(*place))
		}
		return quoteTOML(*place)
	case *bool:
		return strconv.FormatBool(*place)
	case *int:
		return strconv.Itoa(*place)
	case *int64:
		return strconv.FormatInt(*place, 10)
	case *time.Duration:
		if *place == 0 && e.def == "" {
			return `""`
		}
		return strconv.Quote(formatDuration(*place))
	case *[]string:
		quoted := make([]string, len(*place))
		for i, s := range *place {
			quoted[i] = quoteTOML(s)
		}
		return "[" + strings.Join(quoted, ", ") + "]"
	case *Secret:
		if place.IsSet() {
			return strconv.Quote(redacted)
		}
		return `""`
	case *Secrets:
		if place.IsSet() {
			return `["` + redacted + `"]`
		}
	}
	return "[]"
}

// quoteTOML quotes s as a TOML basic string.
func quoteTOML(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteString(`\` + string(r))
		case r < ' ' || r == 0x7f:
			b.WriteString(`\u00` + hex.EncodeToString([]byte{byte(r)}))
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// hostOnly cuts a URL down to what does not open a door.
func hostOnly(address string) string {
	u, err := url.Parse(address)
	if address == "" || err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host + "/" + redacted
}

// hash digests the effective values of the keys that are neither secret nor
// private.
func hash(c *Config, entries []entry) string {
	digest := sha256.New()
	for _, e := range entries {
		if !e.secret() && !e.private {
			_, _ = digest.Write([]byte(e.path + " = " + e.value(c) + "\n"))
		}
	}
	return hex.EncodeToString(digest.Sum(nil))[:12]
}
