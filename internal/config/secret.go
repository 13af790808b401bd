package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
)

const (
	redacted = "[redacted]"
	// maxSecretFile is far above any token's length; a larger file is a mistake.
	maxSecretFile = 64 << 10
)

// Secret is a value that shows itself to nobody who does not ask for it with
// Reveal: printing, logging and marshalling it give "[redacted]". The zero
// value is a secret that is not set.
type Secret struct {
	// A pointer, because fmt prints an unexported field without asking its
	// methods, and of a nested pointer it prints the address only.
	value *string
	file  string
}

// Reveal returns the secret, or "" where it is not set. A secret that comes
// from a file is read again at each call, so that a rotated one takes effect;
// line ends at its end are cut off. Errors name the file, never its content.
func (s Secret) Reveal() (string, error) {
	if s.file != "" {
		return readSecret(s.file)
	}
	if s.value == nil {
		return "", nil
	}
	return *s.value, nil
}

// File returns the path that Reveal reads, so that callers can watch it; empty
// where the secret does not come from a file.
func (s Secret) File() string { return s.file }

// IsSet tells whether the configuration has the secret at all.
func (s Secret) IsSet() bool { return s.value != nil || s.file != "" }

// String returns "[redacted]".
func (Secret) String() string { return redacted }

// GoString returns "[redacted]".
func (Secret) GoString() string { return redacted }

// Format writes "[redacted]", whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns "[redacted]".
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]".
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON returns "[redacted]" as a JSON string.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// Secrets is a list of secrets that are all valid at once, as while one is
// being replaced. It redacts itself as Secret does.
type Secrets struct {
	// Pointers for the same reason as in Secret; fmt follows one to a slice.
	values []*string
	file   string
}

// Reveal returns the secrets, or nil where none is set. Those that come from a
// file, one a line, are read again at each call; empty lines are skipped.
// Errors name the file, never its content.
func (s Secrets) Reveal() ([]string, error) {
	if s.file != "" {
		text, err := readSecret(s.file)
		if err != nil {
			return nil, err
		}
		var lines []string
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line != "" {
				lines = append(lines, line)
			}
		}
		return lines, nil
	}
	var values []string
	for _, value := range s.values {
		values = append(values, *value)
	}
	return values, nil
}

// File returns the path that Reveal reads; empty where there is none.
func (s Secrets) File() string { return s.file }

// IsSet tells whether the configuration has any.
func (s Secrets) IsSet() bool { return len(s.values) > 0 || s.file != "" }

// String returns "[redacted]".
func (Secrets) String() string { return redacted }

// GoString returns "[redacted]".
func (Secrets) GoString() string { return redacted }

// Format writes "[redacted]", whatever the verb.
func (Secrets) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns "[redacted]".
func (Secrets) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]".
func (Secrets) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON returns "[redacted]" as a JSON string.
func (Secrets) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// readSecret returns the file's content without the line ends at its end.
func readSecret(path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("secret file %s: %w", path, withoutPath(err))
	}
	// A pipe would block, and could be read only once.
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("secret file %s: not a regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("secret file %s: %w", path, withoutPath(err))
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, maxSecretFile+1))
	if err != nil {
		return "", fmt.Errorf("secret file %s: %w", path, withoutPath(err))
	}
	if len(content) > maxSecretFile {
		return "", fmt.Errorf("secret file %s: larger than %d bytes", path, maxSecretFile)
	}
	text := strings.TrimRight(string(content), "\r\n")
	if strings.TrimSpace(text) == "" {
		return "", fmt.Errorf("secret file %s: empty", path)
	}
	return text, nil
}

// withoutPath drops the path from a file error that names it a second time.
func withoutPath(err error) error {
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		return pathErr.Err
	}
	return err
}
