package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// minimal is the file that the documentation promises to accept.
const minimal = `[database]
path = "data/messages.db"
[writer]
listen = "127.0.0.1:8080"
verify_token = "choose-one"
app_secrets = ["from the App Dashboard"]
[crm]
addresses = ["127.0.0.1:3306"]
user = "crm"
password = "secret"
database = "crm"
[instagram]
access_token = "token"
`

// write puts content into a file that only its owner reads.
func write(tb testing.TB, name, content string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// load loads content as the replicator's file; it must be right.
func load(tb testing.TB, content string, environ ...string) *Config {
	tb.Helper()
	c, err := Load(Options{Path: write(tb, "config.toml", content), Environ: environ, Program: Replicator})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// problems loads and returns the lines of the problems with the file's folder
// cut off.
func problems(tb testing.TB, options Options) []string {
	tb.Helper()
	_, err := Load(options)
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*Problems](err); !ok {
		tb.Fatalf("Load returned a %T", err)
	}
	text := err.Error()
	if options.Path != "" {
		text = strings.ReplaceAll(text, filepath.Dir(options.Path)+string(filepath.Separator), "")
	}
	return strings.Split(text, "\n")
}

// with returns the minimal file with more keys in a section.
func with(tb testing.TB, section, keys string) string {
	tb.Helper()
	header := "[" + section + "]\n"
	if !strings.Contains(minimal, header) {
		return minimal + header + keys + "\n"
	}
	return strings.Replace(minimal, header, header+keys+"\n", 1)
}
