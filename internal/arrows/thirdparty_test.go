package arrows

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// What a room may bring in from outside, and why. A key covers the packages
// below it. Tests may use all of it, and testLibraries.
var thirdParty = map[string]map[string]string{
	"github.com/BurntSushi/toml": {
		"internal/config": "the configuration file",
	},
	"github.com/alecthomas/kong": {
		"internal/app": "the command line",
	},
	"github.com/dolthub/go-mysql-server": {
		"cmd/demo": "a newcomer has no MySQL at hand",
	},
	"github.com/dolthub/vitess": {
		"cmd/demo": "the types that go-mysql-server's listener takes",
	},
	"github.com/fsnotify/fsnotify": {
		"watcher": "file events",
	},
	"github.com/go-sql-driver/mysql": {
		"cmd/demo":         "reads the embedded CRM for the sums",
		"internal/mysql":   "the CRM",
		"internal/testkit": "asks the servers that it starts",
	},
	"github.com/google/go-cmp/cmp": {
		"internal/testkit": "the conformance suite compares",
	},
	"github.com/hashicorp/golang-lru/v2": {
		"internal/usernames": "the cache of names",
	},
	"github.com/mattn/go-sqlite3": {
		"internal/sqlite": "reads the source",
		"internal/store":  "writes it",
	},
	"github.com/prometheus/client_golang/prometheus": {
		"internal/app":       "hands the registry round; free space and what only wiring knows",
		"internal/instagram": "its metrics",
		"internal/mysql":     "its metrics",
		"internal/ops":       "the registry and its page",
		"internal/sqlite":    "its metrics",
		"internal/store":     "its metrics",
		"internal/usernames": "its metrics",
		"internal/webhook":   "its metrics",
		"replicator":         "its metrics",
		"watcher":            "its metrics",
	},
	"github.com/prometheus/exporter-toolkit/web": {
		"internal/ops": "TLS and basic auth on the metrics listener",
	},
	"github.com/schollz/progressbar/v3": {
		"internal/app": "long work on a terminal",
	},
	"go.uber.org/goleak": {
		"internal/testkit": "helpers of its tests",
	},
	"github.com/sirupsen/logrus": {
		"cmd/demo": "go-mysql-server logs through it and has to be kept quiet",
	},
	"golang.org/x/sync/errgroup": {
		"internal/app":       "wiring",
		"internal/simulate":  "many senders at once",
		"internal/store":     "its Run has goroutines",
		"internal/testkit":   "starts several servers at once",
		"internal/usernames": "its Run has goroutines",
		"replicator":         "its Run has goroutines",
		"watcher":            "its Run has goroutines",
	},
	"golang.org/x/sync/singleflight": {
		"internal/usernames": "one lookup per user at a time",
	},
	"golang.org/x/sys/unix": {
		"internal/sqlite": "kind and owner of a file and its filesystem",
		"internal/store":  "free space of the disk",
	},
	"golang.org/x/term": {
		"internal/app": "is it a terminal",
		"cmd/demo":     "is it a terminal",
	},
	"golang.org/x/time/rate": {
		"internal/usernames": "the pace of lookups",
	},
}

// Libraries for tests, on top of those above.
var testLibraries = map[string]string{
	"github.com/chromedp/chromedp": "looks at the pages with a real browser",
	"github.com/google/go-cmp":     "differences that a person can read",
	"go.uber.org/goleak":           "goroutines have an owner that waits for them",
	"pgregory.net/rapid":           "properties",
}

// Parts of the standard library that some rooms have no reason for: a room
// that does not name one is free to use it.
var standard = map[string]map[string]string{
	"mapping": {
		"database/sql": "mapping is pure", "log/slog": "mapping is pure",
		"net": "mapping is pure", "net/http": "mapping is pure", "os": "mapping is pure",
	},
	"replicator": {
		"database/sql": "the loop knows no database", "net/http": "the loop knows no network",
		"os": "the loop reads no files and no environment",
	},
	"watcher": {
		"database/sql": "a file path in, wake-ups out", "net/http": "a file path in, wake-ups out",
	},
}

// Never, anywhere outside of tests.
var nowhere = map[string]string{
	"expvar":         "metrics have one home, the registry",
	"log":            "log/slog, handed in",
	"net/http/pprof": "it adds itself to the default mux",
}

// covering returns the keys of a table that cover a package.
func covering[V any](table map[string]V, imported string) (string, bool) {
	for _, key := range slices.Sorted(maps.Keys(table)) {
		if imported == key || strings.HasPrefix(imported, key+"/") {
			return key, true
		}
	}
	return "", false
}

// external tells whether a package is neither ours nor the standard library's.
func external(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return strings.Contains(first, ".")
}

// stranger says why a room's code must not import a package from outside, or
// nothing where it may.
func stranger(from, imported string) string {
	if why, never := nowhere[imported]; never {
		return why
	}
	if why, unwanted := standard[from][imported]; unwanted {
		return why
	}
	if !external(imported) {
		return ""
	}
	library, known := covering(thirdParty, imported)
	if !known {
		return "no room has a reason for it yet; where there is one, it belongs into the table here and into docs/adr"
	}
	// A reason of internal/app holds for the rooms of both programs.
	for r := range thirdParty[library] {
		if from == r || r == "internal/app" && strings.HasPrefix(from, r+"/") {
			return ""
		}
	}
	return "this room has no reason for it; those that do are " +
		strings.Join(slices.Sorted(maps.Keys(thirdParty[library])), ", ")
}

func TestThirdParty(t *testing.T) {
	for _, p := range packages(t) {
		for _, imported := range p.Imports {
			if why := stranger(room(p.path()), imported); why != "" {
				t.Errorf("%s imports %s: %s", p.ImportPath, imported, why)
			}
		}
		for _, imported := range p.testImports() {
			_, known := covering(thirdParty, imported)
			_, forTests := covering(testLibraries, imported)
			if external(imported) && !known && !forTests {
				t.Errorf("a test of %s imports %s: it is in no table here", p.ImportPath, imported)
			}
		}
	}
}

func TestThirdParty_rules(t *testing.T) {
	for _, r := range [][2]string{
		{"internal/store", "github.com/go-sql-driver/mysql"},
		{"internal/mysql", "github.com/mattn/go-sqlite3"},
		{"internal/webhook", "github.com/BurntSushi/toml"},
		{"internal/mysql", "golang.org/x/time/rate"},
		{"internal/app/writer", "github.com/dolthub/go-mysql-server/sql"},
		{"internal/webhook", "github.com/gorilla/mux"},
		{"replicator", "database/sql"},
		{"mapping", "os"},
		{"internal/ops", "net/http/pprof"},
	} {
		if stranger(r[0], r[1]) == "" {
			t.Errorf("%s may import %s", r[0], r[1])
		}
	}
	for _, a := range [][2]string{
		{"internal/app/writer", "github.com/alecthomas/kong"},
		{"internal/usernames", "github.com/hashicorp/golang-lru/v2/simplelru"},
		{"internal/mysql", "database/sql"},
		{"cmd/demo", "github.com/dolthub/go-mysql-server/sql"},
	} {
		if why := stranger(a[0], a[1]); why != "" {
			t.Errorf("%s must not import %s: %s", a[0], a[1], why)
		}
	}
}

// What the installed programs must not link, not even through others.
var unlinked = map[string]string{
	"github.com/dolthub":             "the demo's server",
	"go.uber.org/goleak":             "for tests",
	"pgregory.net/rapid":             "for tests",
	"sidestream/internal/simulate":   "the demo's Instagram",
	"sidestream/internal/testkit":    "for tests",
	"net/http/pprof":                 "it adds itself to the default mux",
	"github.com/chromedp":            "for tests",
	"github.com/google/go-cmp":       "for tests",
	"github.com/stretchr/testify":    "for nobody",
	"github.com/DATA-DOG/go-sqlmock": "for nobody",
}

func TestPrograms_link_nothing_of_tests_and_demo(t *testing.T) {
	for _, program := range []string{"writer", "replicator"} {
		t.Run(program, func(t *testing.T) {
			for _, p := range linked(t, "./cmd/"+program) {
				if key, bad := covering(unlinked, p.ImportPath); bad {
					t.Errorf("%s links %s: %s", program, p.ImportPath, unlinked[key])
				}
			}
		})
	}
}
