package config

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const example = "../../config.example.toml"

func TestSchema_holds_together(t *testing.T) {
	places, names := map[any]string{}, map[string]string{}
	c := new(Config)
	lower := regexp.MustCompile(`^[a-z]+(\.[a-z_]+){1,2}$`)
	for _, e := range schema() {
		if !lower.MatchString(e.path) {
			t.Errorf("%s: not a path of snake_case words", e.path)
		}
		if e.doc == "" || !strings.HasSuffix(e.doc, ".") || strings.Contains(e.doc, "\n") {
			t.Errorf("%s: its documentation is not one sentence: %q", e.path, e.doc)
		}
		place := e.to(c)
		if other := places[place]; other != "" {
			t.Errorf("%s goes where %s does", e.path, other)
		}
		places[place] = e.path
		keys := []string{e.path}
		if e.secret() {
			keys = append(keys, e.twin())
		}
		for _, key := range keys {
			for _, name := range []string{key, envName(key)} {
				if other := names[name]; other != "" {
					t.Errorf("%s and %s are both %s", key, other, name)
				}
				names[name] = key
			}
		}
		if e.required && e.def != "" {
			t.Errorf("%s is required and has a default", e.path)
		}
		if e.def == "" {
			continue
		}
		if set, wrong := e.set(c, text(e.def)); !set || wrong != nil {
			t.Errorf("%s: its default is refused: %v", e.path, wrong)
		}
	}
}

// TestReference_covers_the_contract holds the keys that documentation and
// users rely on.
func TestReference_covers_the_contract(t *testing.T) {
	want := map[string]string{
		"database.path": `""`, "writer.listen": `"127.0.0.1:8080"`, "writer.webhook_path": `"/webhook"`, "writer.verify_token": `""`, "writer.app_secrets": `[]`,
		"writer.max_body_bytes": `8388608`, "writer.metrics_listen": `"127.0.0.1:9464"`, "source.name": `"main"`, "source.poll_interval": `"1s"`,
		"mapping.directions": `"both"`, "mapping.on_unsend": `"redact"`, "mapping.unsend_text": `"[message unsent]"`, "replicator.batch_rows": `1000`,
		"replicator.listen": `"127.0.0.1:9465"`, "replicator.shutdown_timeout": `"10s"`, "replicator.max_backoff": `"30s"`, "crm.enabled": `true`,
		"crm.addresses": `[]`, "crm.user": `""`, "crm.password": `""`, "crm.database": `""`, "crm.table": `"messages"`, "crm.state_database": `""`,
		"crm.tls": `"preferred"`, "crm.connect_timeout": `"5s"`, "crm.read_timeout": `"1m"`, "crm.write_timeout": `"1m"`, "crm.max_connections": `5`,
		"crm.too_long": `"park"`, "crm.unsupported_characters": `"replace"`, "instagram.base_url": `"https://graph.instagram.com/v26.0"`,
		"instagram.access_token": `""`, "instagram.max_wait": `"500ms"`, "instagram.timeout": `"5s"`, "instagram.cache_ttl": `"24h"`,
		"instagram.cache_size": `100000`, "log.level": `"info"`, "log.format": `""`, "ops.web_config_file": `""`, "ops.heartbeat_url": `""`,
		"writer.undecoded_max_bytes": `268435456`, "writer.retention": `""`, "writer.deletion_callback": `false`, "source.allow_shared_filesystem": `false`,
	}
	var required []string
	for _, k := range Reference() {
		if k.Required {
			required = append(required, k.Path)
			k.Default = map[string]string{"list": "[]", "secrets": "[]"}[k.Type]
			if k.Default == "" {
				k.Default = `""`
			}
		}
		if def, ok := want[k.Path]; ok && def != k.Default {
			t.Errorf("%s: default %s, want %s", k.Path, k.Default, def)
		}
		delete(want, k.Path)
		if secret := strings.HasPrefix(k.Type, "secret"); secret != (k.File != "") || secret != (k.FileEnv != "") {
			t.Errorf("%s, a %s, has the twins %q and %q", k.Path, k.Type, k.File, k.FileEnv)
		}
	}
	if len(want) > 0 {
		t.Errorf("not in the reference: %v", want)
	}
	if diff := cmp.Diff([]string{"database.path", "writer.verify_token", "writer.app_secrets", "crm.addresses", "crm.user", "crm.database"}, required); diff != "" {
		t.Errorf("required keys (-want +got):\n%s", diff)
	}
}

func TestExample_loads(t *testing.T) {
	content := readExample(t)
	for _, program := range []Program{Writer, Replicator} {
		if got := problems(t, Options{Path: write(t, "config.toml", content), Program: program}); got != nil {
			t.Errorf("%s: %q", program, got)
		}
	}
}

// TestExample_covers_every_key also keeps the comments in shape: what the key
// is, when to change it, and its variable, directly above it.
func TestExample_covers_every_key(t *testing.T) {
	keys := map[string]Key{}
	for _, k := range Reference() {
		keys[k.Path] = k
	}
	assignment := regexp.MustCompile(`^(# )?([a-z_]+) = `)
	section, comment, active := "", []string(nil), true
	for line := range strings.Lines(readExample(t)) {
		line = strings.TrimSuffix(line, "\n")
		switch match := assignment.FindStringSubmatch(line); {
		case match != nil:
			path := section + "." + match[2]
			k, ok := keys[path]
			if !ok {
				t.Errorf("%s is there twice, or is no key", path)
				continue
			}
			delete(keys, path)
			if len(comment) < 2 || !strings.HasSuffix(strings.Join(comment, " "), " "+k.Env) {
				t.Errorf("%s: above it stands %q", path, comment)
			}
			if k.File != "" && !strings.Contains(strings.Join(comment, " "), lastWord(k.File)) {
				t.Errorf("%s: its twin is not named", path)
			}
			isActive := match[1] == ""
			if k.Required && !isActive {
				t.Errorf("%s is required and commented out", path)
			}
			if k.Required && !active {
				t.Errorf("%s is required and stands below optional keys", path)
			}
			active, comment = isActive, nil
		case strings.HasPrefix(line, "["):
			section, comment, active = strings.Trim(line, "[]"), nil, true
		case strings.HasPrefix(line, "# "):
			comment = append(comment, line)
		default:
			comment = nil
		}
	}
	for path := range keys {
		t.Errorf("%s is not in the example", path)
	}
}

func TestExample_optional_keys_show_the_defaults(t *testing.T) {
	content := readExample(t)
	uncommented := regexp.MustCompile(`(?m)^# ([a-z_]+ = )`).ReplaceAllString(content, "$1")
	if strings.Count(content, "\n# ") == strings.Count(uncommented, "\n# ") {
		t.Fatal("nothing was uncommented")
	}
	plain, full := load(t, content), load(t, uncommented)
	for i, o := range full.Origins() {
		if p := plain.Origins()[i]; p.Value != o.Value {
			t.Errorf("%s is %s in the example; the default is %s", o.Key, o.Value, p.Value)
		}
		if empty := slices.Contains([]string{`""`, `[]`}, o.Value); o.From == "default" && !empty && o.Key != "crm.state_database" {
			t.Errorf("%s still has its default", o.Key)
		}
	}
	if plain.Hash() != full.Hash() {
		t.Error("the two have different hashes")
	}
}

func readExample(tb testing.TB) string {
	tb.Helper()
	content, err := os.ReadFile(filepath.FromSlash(example))
	if err != nil {
		tb.Fatal(err)
	}
	return string(content)
}
