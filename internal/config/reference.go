package config

import "time"

// Key describes one key, for documentation and tests.
type Key struct {
	// Path is the key as the file has it.
	Path string
	// Type is "string", "boolean", "integer", "duration", "list", "secret" or
	// "secrets".
	Type string
	// Default is what the file would say; empty where the key is required.
	Default string
	// Required keys must be set for the programs in UsedBy.
	Required bool
	UsedBy   []Program
	// Env is the environment variable; Legacy is an older one, or empty.
	Env    string
	Legacy string
	// File and FileEnv name the twins of a secret that say in which file it is;
	// empty for other keys.
	File    string
	FileEnv string
	// Doc is one line that says what the key is.
	Doc string
}

// Reference lists every key, in the order of the documentation.
func Reference() []Key {
	entries := schema()
	keys := make([]Key, len(entries))
	for i, e := range entries {
		k := Key{Path: e.path, Type: e.typeName(), Required: e.required, Env: e.env(), Legacy: e.legacy, Doc: e.doc}
		if e.legacy == legacyHost {
			k.Legacy += ", " + legacyPort
		}
		for _, p := range []Program{Writer, Replicator} {
			if e.usedBy(p) {
				k.UsedBy = append(k.UsedBy, p)
			}
		}
		if !e.required {
			k.Default = e.defaultText()
		}
		if e.secret() {
			k.File, k.FileEnv = e.twin(), envName(e.twin())
		}
		keys[i] = k
	}
	return keys
}

// defaultText is the default as the file would have it.
func (e entry) defaultText() string {
	c := new(Config)
	if e.def != "" {
		_, _ = e.set(c, text(e.def))
	}
	return e.value(c)
}

func (e entry) typeName() string {
	switch e.to(new(Config)).(type) {
	case *bool:
		return "boolean"
	case *int, *int64:
		return "integer"
	case *time.Duration:
		return "duration"
	case *[]string:
		return "list"
	case *Secret:
		return "secret"
	case *Secrets:
		return "secrets"
	}
	return "string"
}
