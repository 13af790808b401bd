package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLoad_minimal_file(t *testing.T) {
	path := write(t, "config.toml", minimal)
	for _, program := range []Program{Writer, Replicator} {
		c, err := Load(Options{Path: path, Program: program})
		if err != nil {
			t.Fatalf("%s: %v", program, err)
		}
		if len(c.Warnings) > 0 {
			t.Errorf("%s: warnings %q", program, c.Warnings)
		}
		if c.Database.Path != "data/messages.db" || c.Writer.WebhookPath != "/webhook" || c.CRM.StateDatabase != "crm" ||
			c.Instagram.MaxWait != 500*time.Millisecond || c.Replicator.BatchRows != 1000 || !c.CRM.Enabled ||
			c.CRM.Columns.CreatedAt != "created_at" || c.CRM.ExtraColumns.Status != "" || c.Source.Columns.Position != "seq" {
			t.Errorf("%s: not the file's values and the defaults: %+v", program, c)
		}
		if got, err := c.Writer.AppSecrets.Reveal(); err != nil || !slices.Equal(got, []string{"from the App Dashboard"}) {
			t.Errorf("app secrets: %q, %v", got, err)
		}
		if got, err := c.CRM.Password.Reveal(); err != nil || got != "secret" {
			t.Errorf("password: %q, %v", got, err)
		}
	}
}

func TestLoad_reports_every_mistake_with_its_line(t *testing.T) {
	const wrong = `[databse]
path = "x"
[writer]
Listen = ":1"
verify_token = 12345678
app_secrets = ["a", 7]
[source]
poll_interval = 5
name = "no spaces"
[crm]
addresses = "db:3306"
user = "crm"
database = "crm"
tls = "maybe"
max_connections = 1.5
[crm.columns]
usr_id = "x"
[instagram]
timeout = "5"
`
	want := []string{
		`config.toml:1: databse: unknown key (did you mean database?)`,
		`config.toml:4: writer.Listen: unknown key (keys are lower case: write listen)`,
		`config.toml:5: writer.verify_token: must be a string, not an integer (put it in quotes: "…")`,
		`config.toml:6: writer.app_secrets: element 2 must be a string, not an integer (write ["…", "…"])`,
		`config.toml:8: source.poll_interval: must be a duration, not an integer (write a number and its unit in quotes, such as "5s")`,
		`config.toml:9: source.name: "no spaces" cannot name a source (1 to 64 of the characters A-Z a-z 0-9 _ . -)`,
		`config.toml:11: crm.addresses: must be an array of strings, not a string (write ["…", "…"])`,
		`config.toml:14: crm.tls: "maybe" is not one of its values (one of "preferred", "required", "verify-ca", "verify-full", "disabled")`,
		`config.toml:15: crm.max_connections: must be an integer, not a float (write a number, without quotes)`,
		`config.toml:17: crm.columns.usr_id: unknown key (did you mean crm.columns.user_id?)`,
		`config.toml:19: instagram.timeout: has no unit (write "5s" for seconds, or ms, m, h, d)`,
	}
	path := write(t, "config.toml", wrong)
	for range 20 {
		if diff := cmp.Diff(want, problems(t, Options{Path: path, Program: Writer})); diff != "" {
			t.Fatalf("problems (-want +got):\n%s", diff)
		}
	}
}

func TestLoad_shapes_of_files(t *testing.T) {
	for name, test := range map[string]struct {
		file string
		want []string
	}{
		"a_key_that_is_there_twice":         {"[crm]\nuser = \"a\"\nuser = \"b\"\n", []string{`config.toml:3: crm.user: is there twice (keep one of them; a section, too, stands in the file once)`}},
		"a_section_that_is_there_twice":     {"[crm]\n[log]\n[crm]\n", []string{`config.toml:3: crm: is there twice (keep one of them; a section, too, stands in the file once)`}},
		"a_text_without_quotes":             {"[crm]\npassword = hunter2\n", []string{`config.toml:2: crm.password: is not a value (texts stand in quotes: "…")`}},
		"a_text_that_is_not_closed":         {"[crm]\npassword = \"hunter2\n", []string{`config.toml:2: crm.password: the text is not closed on its line (end it with the quote that it began with)`}},
		"a_bad_escape":                      {"[crm]\npassword = \"hunter\\2\"\n", []string{`config.toml:2: crm.password: has a \ that escapes nothing (write \\, or put the text in single quotes)`}},
		"a_number_beyond_64_bits":           {"[crm]\npassword = 99999999999999999999\n", []string{`config.toml:2: crm.password: has a number that is too large`}},
		"a_number_with_letters":             {"[crm]\npassword = 12hunter\n", []string{`config.toml:2: something follows the value (one key and one value on a line)`}},
		"a_date_that_is_none":               {"[crm]\npassword = 2020-13-45\n", []string{`config.toml:2: crm.password: is not a date (texts stand in quotes: "…")`}},
		"a_line_without_equals":             {"[crm]\nuser \"a\"\n", []string{`config.toml:2: is not a key and a value (write key = value)`}},
		"a_section_that_is_not_closed":      {"[crm\n", []string{`config.toml:2: the section's name is not closed (write [section] alone on its line)`}},
		"an_array_that_is_no_list":          {"[crm]\naddresses = [,]\n", []string{`config.toml:2: crm.addresses: is not valid TOML`}},
		"an_array_of_tables":                {"[database]\npath = \"x\"\n[[crm]]\n", []string{`config.toml:3: crm: must be one table (write [crm] once, and its keys below it)`}},
		"a_value_for_a_section":             {"crm = 5\n[database]\npath = \"x\"\n", []string{`config.toml:1: crm: must be one table (write [crm] once, and its keys below it)`}},
		"a_key_in_another_section":          {minimal + "verify_token = \"x\"\n", []string{`config.toml:14: instagram.verify_token: unknown key (did you mean writer.verify_token?)`}},
		"a_key_in_no_section":               {"webhook_path = \"/x\"\n" + minimal, []string{`config.toml:1: webhook_path: unknown key (did you mean writer.webhook_path?)`}},
		"a_name_with_a_dot_is_no_path":      {"\"crm.user\" = \"x\"\n" + minimal, []string{`config.toml:1: "crm.user": unknown key (did you mean crm.user?)`}},
		"nothing_like_it":                   {minimal + "[zzzzzzzzzz]\nq = 1\n", []string{`config.toml:14: zzzzzzzzzz: unknown key (the known ones are in config.example.toml)`}},
		"a_text_over_lines_has_its_first":   {minimal + "[log]\nlevel = \"\"\"\na\nb\n\"\"\"\n", []string{`config.toml:15: log.level: this value is not one of its values (one of "debug", "info", "warn", "error")`}},
		"an_implied_section_has_its_first":  {minimal + "[zzz.y]\nq = 1\n", []string{`config.toml:14: zzz: unknown key (the known ones are in config.example.toml)`}},
		"a_secret_that_is_a_table":          {minimal + "[writer.verify_token_file]\nq = 1\n", []string{`config.toml:14: writer.verify_token_file: must be a string, not a table (write the file's path in quotes)`}},
		"dotted_keys_and_inline_tables_fit": {"database.path = \"x\"\ncrm = {addresses = [\"a:1\"], user = \"u\", database = \"d\", columns = {id = \"x\"}}\n", nil},
		"a_byte_order_mark_fits":            {"\ufeff" + minimal, nil},
		"windows_line_ends_fit":             {strings.ReplaceAll(minimal, "\n", "\r\n"), nil},
		"an_empty_file":                     {"", []string{`config.toml: crm.addresses: is required (set it here, or SIDESTREAM_CRM_ADDRESSES)`, `config.toml: crm.database: is required (set it here, or SIDESTREAM_CRM_DATABASE)`, `config.toml: crm.user: is required (set it here, or SIDESTREAM_CRM_USER)`, `config.toml: database.path: is required (set it here, or SIDESTREAM_DATABASE_PATH)`}},
	} {
		t.Run(name, func(t *testing.T) {
			got := problems(t, Options{Path: write(t, "config.toml", test.file), Program: Replicator})
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoad_required_keys(t *testing.T) {
	const only = "[database]\npath = \"x\"\n[writer]\napp_secrets = []\n[crm]\nuser = \"\"\n"
	path := write(t, "config.toml", only)
	for name, test := range map[string]struct {
		options Options
		want    []string
	}{
		"the_writer_needs_its_two_secrets": {Options{Path: path, Program: Writer}, []string{
			`config.toml:3: writer.verify_token: is required (set it here, or name a file that holds it by verify_token_file, or set SIDESTREAM_WRITER_VERIFY_TOKEN)`,
			`config.toml:4: writer.app_secrets: is required (set it here, or name a file that holds it by app_secrets_file, or set SIDESTREAM_WRITER_APP_SECRETS)`,
		}},
		"the_replicator_needs_the_crm": {Options{Path: path, Program: Replicator}, []string{
			`config.toml:5: crm.addresses: is required (set it here, or SIDESTREAM_CRM_ADDRESSES)`,
			`config.toml:5: crm.database: is required (set it here, or SIDESTREAM_CRM_DATABASE)`,
			`config.toml:6: crm.user: is required (set it here, or SIDESTREAM_CRM_USER)`,
		}},
		"an_idle_replicator_needs_no_crm": {Options{Path: path, Program: Replicator, Environ: []string{"CRM_MYSQL_ENABLED=false"}}, nil},
		"without_a_file_nothing_has_a_line": {Options{Program: Writer, Environ: []string{"SIDESTREAM_WRITER_VERIFY_TOKEN=x", "INSTAGRAM_APP_SECRET=y"}}, []string{
			`configuration: database.path: is required (name the configuration with -c FILE, or set SIDESTREAM_DATABASE_PATH)`,
		}},
		"without_a_file_a_secret_has_two_variables": {Options{Program: Writer, Environ: []string{"SIDESTREAM_WRITER_VERIFY_TOKEN=x", "SIDESTREAM_DATABASE_PATH=y"}}, []string{
			`configuration: writer.app_secrets: is required (name the configuration with -c FILE, or set SIDESTREAM_WRITER_APP_SECRETS, or SIDESTREAM_WRITER_APP_SECRETS_FILE to the path of a file that holds it)`,
		}},
		"a_misspelt_key_is_not_missing_too": {Options{Program: Writer, Path: write(t, "config.toml", "[database]\npath=\"x\"\n[writer]\nverify_tokn_file=\"x\"\napp_secret=[\"x\"]\n")}, []string{
			`config.toml:4: writer.verify_tokn_file: unknown key (did you mean writer.verify_token_file?)`,
			`config.toml:5: writer.app_secret: unknown key (did you mean writer.app_secrets?)`,
		}},
		"a_wrong_key_is_not_missing_too": {Options{Program: Writer, Path: write(t, "config.toml", strings.Replace(minimal, `"choose-one"`, "1", 1))}, []string{
			`config.toml:5: writer.verify_token: must be a string, not an integer (put it in quotes: "…")`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, problems(t, test.options)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoad_file_that_cannot_be_read(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "config.toml")
	got := problems(t, Options{Path: missing, Program: Writer, Environ: []string{"SIDESTREAM_LOG_LEVEL=loud"}})
	want := []string{
		`config.toml: cannot be read: no such file or directory (name the file with --config; config.example.toml is one to start from)`,
		`env SIDESTREAM_LOG_LEVEL: log.level: "loud" is not one of its values (one of "debug", "info", "warn", "error")`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	large := write(t, "config.toml", strings.Repeat("#", maxFile+1))
	if got := problems(t, Options{Path: large}); len(got) != 1 || !strings.Contains(got[0], "larger than 256 KiB") {
		t.Errorf("a huge file: %q", got)
	}
	if got := problems(t, Options{Path: t.TempDir()}); len(got) != 1 || !strings.Contains(got[0], "is a directory") {
		t.Errorf("a directory: %q", got)
	}
}

func TestLoad_precedence(t *testing.T) {
	path := write(t, "config.toml", with(t, "log", `level = "error"`))
	environ := []string{
		"SIDESTREAM_LOG_LEVEL=warn", "SIDESTREAM_LOG_LEVEL=info", "SIDESTREAM_LOG_FORMAT=", "CRM_MYSQL_USER=old", "CRM_MYSQL_DATABASE=old",
		"SIDESTREAM_CRM_DATABASE=new", "SIDESTREAM_CRM_ADDRESSES= a:1 ,b:2,", "SIDESTREAM_CRM_EXTRA_COLUMNS_STATUS=state",
		"SIDESTREAM_WRITER_DELETION_CALLBACK=Yes", "SIDESTREAM_WRITER_RETENTION=400d", "SIDESTREAM_CRM_MAX_CONNECTIONS= 7",
	}
	c, err := Load(Options{Path: path, Environ: environ, Flags: map[string]string{"log.format": "json"}, Program: Writer})
	if err != nil {
		t.Fatal(err)
	}
	origins := map[string]string{}
	for _, o := range c.Origins() {
		origins[o.Key] = o.String()
	}
	for key, want := range map[string]string{
		"log.level":                `log.level = "warn"  # env SIDESTREAM_LOG_LEVEL`,
		"log.format":               `log.format = "json"  # flag --log-format`,
		"crm.user":                 `crm.user = "old"  # env CRM_MYSQL_USER`,
		"crm.database":             `crm.database = "new"  # env SIDESTREAM_CRM_DATABASE`,
		"crm.state_database":       `crm.state_database = "new"  # default`,
		"crm.addresses":            `crm.addresses = ["a:1", "b:2"]  # env SIDESTREAM_CRM_ADDRESSES`,
		"crm.extra_columns.status": `crm.extra_columns.status = "state"  # env SIDESTREAM_CRM_EXTRA_COLUMNS_STATUS`,
		"crm.max_connections":      `crm.max_connections = 7  # env SIDESTREAM_CRM_MAX_CONNECTIONS`,
		"crm.password":             `crm.password = "[redacted]"  # ` + path + `:10`,
		"crm.table":                `crm.table = "messages"  # default`,
		"writer.app_secrets":       `writer.app_secrets = ["[redacted]"]  # ` + path + `:6`,
		"writer.deletion_callback": `writer.deletion_callback = true  # env SIDESTREAM_WRITER_DELETION_CALLBACK`,
		"writer.retention":         `writer.retention = "400d"  # env SIDESTREAM_WRITER_RETENTION`,
		"writer.listen":            `writer.listen = "127.0.0.1:8080"  # ` + path + `:4`,
		"instagram.cache_ttl":      `instagram.cache_ttl = "24h"  # default`,
		"ops.heartbeat_url":        `ops.heartbeat_url = ""  # default`,
	} {
		if origins[key] != want {
			t.Errorf("origin %s\nwant %s", origins[key], want)
		}
	}
	if c.Writer.Retention != 400*24*time.Hour || c.CRM.MaxConnections != 7 || !slices.Equal(c.CRM.Addresses, []string{"a:1", "b:2"}) {
		t.Errorf("values: %+v", c)
	}
}

func TestLoad_wrong_environment_and_flags(t *testing.T) {
	got := problems(t, Options{
		Path: write(t, "config.toml", minimal), Program: Replicator,
		Environ: []string{"CRM_MYSQL_ENABLED=maybe", "CRM_MYSQL_HOST=a b", "SIDESTREAM_CRM_MAX_CONNECTIONS=many", "SIDESTREAM_SOURCE_POLL_INTERVAL=5", "SIDESTREAM_CRM_ADDRESSES=,"},
		Flags:   map[string]string{"crm.password": "hunter2", "log.level": "loud", "log.colour": "red", "log.format": ""},
	})
	want := []string{
		`env CRM_MYSQL_ENABLED: crm.enabled: is not a boolean (write true or false)`,
		`env CRM_MYSQL_HOST: crm.addresses: element 1 is not host:port (the host is missing or has characters that no host has)`,
		`env SIDESTREAM_CRM_ADDRESSES: crm.addresses: names nothing (separate several by commas)`,
		`env SIDESTREAM_CRM_MAX_CONNECTIONS: crm.max_connections: is not an integer (digits only)`,
		`env SIDESTREAM_SOURCE_POLL_INTERVAL: source.poll_interval: has no unit (write "5s" for seconds, or ms, m, h, d)`,
		`flag --crm-password: crm.password: is a secret and not taken from a flag (every user of the host can read flags; use SIDESTREAM_CRM_PASSWORD or crm.password_file)`,
		`flag --log-colour: log.colour: unknown key`,
		`flag --log-level: log.level: "loud" is not one of its values (one of "debug", "info", "warn", "error")`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func TestLoad_older_host_and_port(t *testing.T) {
	for name, test := range map[string]struct {
		environ []string
		want    string
	}{
		"host_alone":                   {[]string{"CRM_MYSQL_HOST=db"}, "db:3306"},
		"host_and_port":                {[]string{"CRM_MYSQL_HOST=db", "CRM_MYSQL_PORT=3307"}, "db:3307"},
		"host_with_a_port":             {[]string{"CRM_MYSQL_HOST=db:3308"}, "db:3308"},
		"the_path_of_a_socket":         {[]string{"CRM_MYSQL_HOST=/run/my.sock", "CRM_MYSQL_PORT=1"}, "/run/my.sock"},
		"ipv6":                         {[]string{"CRM_MYSQL_HOST=::1"}, "[::1]:3306"},
		"ipv6_in_brackets":             {[]string{"CRM_MYSQL_HOST=[::1]", "CRM_MYSQL_PORT=1"}, "[::1]:1"},
		"port_alone_changes_nothing":   {[]string{"CRM_MYSQL_PORT=3307"}, "127.0.0.1:3306"},
		"the_newer_name_ranks_higher":  {[]string{"CRM_MYSQL_HOST=db", "SIDESTREAM_CRM_ADDRESSES=new:1"}, "new:1"},
		"an_empty_one_is_not_set":      {[]string{"CRM_MYSQL_HOST="}, "127.0.0.1:3306"},
		"an_empty_port_is_the_default": {[]string{"CRM_MYSQL_HOST=db", "CRM_MYSQL_PORT="}, "db:3306"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := load(t, minimal, test.environ...).CRM.Addresses; !slices.Equal(got, []string{test.want}) {
				t.Errorf("addresses %q, want %s", got, test.want)
			}
		})
	}
	two := problems(t, Options{Path: write(t, "c.toml", minimal), Program: Replicator, Environ: []string{"CRM_MYSQL_HOST=db:1", "CRM_MYSQL_PORT=2"}})
	if len(two) != 1 || !strings.HasPrefix(two[0], "env CRM_MYSQL_HOST: crm.addresses: element 1 is not host:port") {
		t.Errorf("two ports: %q", two)
	}
}

func TestLoad_unknown_variables_are_warned_of(t *testing.T) {
	c := load(t, minimal, "SIDESTREAM_CRM_PASWORD=hunter2", "SIDESTREAM_WRITER_SERVICE_HOST=10.0.0.1", "SIDESTREAM_WRITER_PORT_8080_TCP=tcp://10.0.0.1:8080",
		"SIDESTREAM_SOMETHING_ELSE=1", "sidestream_crm_user=x", "SIDESTREAM_WRITER_PORT=tcp://1", "CRM_MYSQL_PORT=1", "PATH=/bin", "SIDESTREAM_OPS_ZZZZZZZZZZZZZ=1", "=x", "noequals")
	want := []string{
		"env CRM_MYSQL_PORT: has no effect without CRM_MYSQL_HOST",
		"env SIDESTREAM_CRM_PASWORD: unknown variable, ignored (did you mean SIDESTREAM_CRM_PASSWORD?)",
		"env SIDESTREAM_OPS_ZZZZZZZZZZZZZ: unknown variable, ignored",
		"env sidestream_crm_user: unknown variable, ignored (did you mean SIDESTREAM_CRM_USER?)",
	}
	if diff := cmp.Diff(want, c.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

func TestHash(t *testing.T) {
	base := load(t, minimal)
	if len(base.Hash()) != 12 {
		t.Errorf("hash %q", base.Hash())
	}
	same := load(t, strings.Replace(strings.Replace(minimal, `"secret"`, `"rotated"`, 1), "[crm]\n", "[crm]\ntable = \"messages\"\nconnect_timeout = \"5000ms\"\n", 1), "SIDESTREAM_CRM_USER=crm")
	if same.Hash() != base.Hash() {
		t.Error("another secret, another origin or a default that is spelled out changed the hash")
	}
	less := load(t, strings.Replace(minimal, `access_token = "token"`, "", 1), "SIDESTREAM_OPS_HEARTBEAT_URL=https://hc.example/x")
	if less.Hash() != base.Hash() {
		t.Error("a secret that is not set, or a private value, changed the hash")
	}
	if other := load(t, minimal, "SIDESTREAM_CRM_USER=other"); other.Hash() == base.Hash() {
		t.Error("another value kept the hash")
	}
}

func TestOrigins_shows_the_host_only_of_a_heartbeat_url(t *testing.T) {
	c := load(t, minimal, "SIDESTREAM_OPS_HEARTBEAT_URL=https://hc.example/ping/0123?token=abc")
	for _, o := range c.Origins() {
		if o.Key == "ops.heartbeat_url" && o.Value != `"https://hc.example/[redacted]"` {
			t.Errorf("heartbeat shown as %s", o.Value)
		}
	}
	if c.Ops.HeartbeatURL != "https://hc.example/ping/0123?token=abc" {
		t.Errorf("heartbeat %q", c.Ops.HeartbeatURL)
	}
}

func TestLoad_deep_nesting_is_an_error_not_a_crash(t *testing.T) {
	deep := write(t, "config.toml", "a = "+strings.Repeat("[", maxFile-10))
	if got := problems(t, Options{Path: deep}); len(got) != 1 {
		t.Errorf("%d problems", len(got))
	}
	if err := os.WriteFile(deep, []byte("a."+strings.Repeat("a.", 500)+"a = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, line := range problems(t, Options{Path: deep}) {
		if len(line) > 300 {
			t.Errorf("a problem of %d characters", len(line))
		}
	}
}
