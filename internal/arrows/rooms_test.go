// Package arrows holds the tests of the house's shape: which room may know
// which, what each may bring in from outside, and what lies where. Every rule
// stands in a table with its reason; a new arrow is a new line there, for a
// reviewer to see.
package arrows

import (
	"slices"
	"strings"
	"testing"
)

const module = "sidestream"

// The rooms that everything inside may know.
var inner = []string{"replicator", "mapping", "watcher"}

// The rooms of the two programs; what else lies in internal/app they share.
var programs = []string{"internal/app/writer", "internal/app/replicator"}

// Commands that are not installed: they may simulate Instagram.
var workshop = []string{"cmd/demo"}

// Rooms that exist for tests (and, for simulate, the workshop).
var testRooms = []string{"internal/testkit", "internal/simulate", "internal/arrows", "internal/e2e"}

// room returns the room of a package of ours by its path inside the module:
// packages below a room belong to it.
func room(path string) string {
	parts := strings.Split(path, "/")
	depth := 1
	switch {
	case parts[0] == "cmd":
		depth = 2
	case len(parts) > 1 && parts[0] == "internal" && parts[1] == "app":
		depth = 3
	case parts[0] == "internal":
		depth = 2
	}
	return strings.Join(parts[:min(depth, len(parts))], "/")
}

// refusal says why the code of one room must not import another of ours, or
// nothing where it may.
func refusal(from, to string) string {
	isApp := func(r string) bool { return r == "internal/app" || strings.HasPrefix(r, "internal/app/") }
	switch {
	case from == to:
		return ""
	case strings.HasPrefix(to, "cmd/"):
		return "nothing imports a command"
	case to == "internal/simulate" && slices.Contains(workshop, from):
		return ""
	case slices.Contains(testRooms, to):
		return "that room is for tests"
	case strings.HasPrefix(from, "cmd/"):
		if isApp(to) {
			return ""
		}
		return "a command is one call into internal/app"
	case isApp(from):
		if !slices.Contains(programs, to) {
			return ""
		}
		return "the programs do not know each other, and what they share knows neither"
	case strings.HasPrefix(from, "internal/"):
		if slices.Contains(inner, to) {
			return ""
		}
		return "rooms do not know each other, internal/app wires them; they know replicator, mapping, watcher"
	case from == "replicator":
		if to == "mapping" {
			return ""
		}
		return "the loop knows only mapping"
	default:
		return from + " knows nothing of ours"
	}
}

func TestArrows(t *testing.T) {
	for _, p := range packages(t) {
		from := room(p.path())
		for _, imported := range p.Imports {
			to, ours := strings.CutPrefix(imported, module+"/")
			if !ours {
				continue
			}
			if why := refusal(from, room(to)); why != "" {
				t.Errorf("%s imports %s: %s", p.ImportPath, imported, why)
			}
		}
		for _, imported := range p.testImports() {
			if to, ours := strings.CutPrefix(imported, module+"/"); ours && strings.HasPrefix(to, "cmd/") {
				t.Errorf("a test of %s imports %s: build and run a command to test it", p.ImportPath, imported)
			}
		}
	}
}

func TestArrows_rules(t *testing.T) {
	allowed := [][2]string{
		{"cmd/writer", "internal/app/writer"},
		{"cmd/demo", "internal/app/replicator"},
		{"cmd/demo", "internal/simulate"},
		{"internal/app/writer", "internal/store"},
		{"internal/app/writer", "internal/app"},
		{"internal/app/writer", "internal/app/console"},
		{"internal/app/console", "internal/ops"},
		{"internal/app/replicator", "watcher"},
		{"internal/app/replicator", "replicator"},
		{"internal/mysql", "replicator"},
		{"internal/webhook", "mapping"},
		{"internal/testkit", "replicator"},
		{"replicator", "mapping"},
	}
	for _, a := range allowed {
		if why := refusal(a[0], a[1]); why != "" {
			t.Errorf("%s to %s is refused: %s", a[0], a[1], why)
		}
	}
	refused := [][2]string{
		{"cmd/writer", "internal/store"},
		{"cmd/writer", "internal/simulate"},
		{"cmd/replicator", "replicator"},
		{"cmd/demo", "internal/testkit"},
		{"cmd/demo", "cmd/writer"},
		{"internal/app/writer", "internal/app/replicator"},
		{"internal/app/console", "internal/app/writer"},
		{"internal/app/writer", "internal/simulate"},
		{"internal/app/replicator", "internal/testkit"},
		{"internal/app/replicator", "cmd/replicator"},
		{"internal/mysql", "internal/config"},
		{"internal/sqlite", "internal/store"},
		{"internal/usernames", "internal/instagram"},
		{"internal/store", "internal/app"},
		{"internal/testkit", "internal/store"},
		{"internal/testkit", "internal/simulate"},
		{"replicator", "watcher"},
		{"replicator", "internal/mysql"},
		{"mapping", "replicator"},
		{"watcher", "mapping"},
		{"watcher", "internal/ops"},
	}
	for _, r := range refused {
		if refusal(r[0], r[1]) == "" {
			t.Errorf("%s to %s passes", r[0], r[1])
		}
	}
	for path, want := range map[string]string{
		"mapping":                      "mapping",
		"cmd/writer":                   "cmd/writer",
		"internal/app":                 "internal/app",
		"internal/app/writer":          "internal/app/writer",
		"internal/app/writer/commands": "internal/app/writer",
		"internal/testkit/mariadb":     "internal/testkit",
	} {
		if got := room(path); got != want {
			t.Errorf("%s lies in %s, want %s", path, got, want)
		}
	}
}
