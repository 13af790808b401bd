package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestLoad_checks_values(t *testing.T) {
	long := strings.Repeat("x", 65)
	for _, test := range []struct{ section, key, want string }{
		{"writer", `webhook_path = "webhook"`, `writer.webhook_path: "webhook" is not a path (write "/webhook": a slash first, none last, no ? # % { } or space)`},
		{"writer", `webhook_path = "/a/../b"`, `writer.webhook_path: "/a/../b" is not a path (write "/webhook": a slash first, none last, no ? # % { } or space)`},
		{"writer", `metrics_listen = "9464"`, `writer.metrics_listen: "9464" is not an address to listen on (write "127.0.0.1:8080", or ":8080" for every interface)`},
		{"writer", `metrics_listen = ""`, `writer.metrics_listen: is empty (leave the key out for its default, "127.0.0.1:9464")`},
		{"writer", `metrics_listen = "127.0.0.1:8080"`, `writer.metrics_listen: is writer.listen too (metrics need a port of their own)`},
		{"writer", `max_pending = 0`, `writer.max_pending: 0 is out of range (1 to 100000)`},
		{"writer", `max_body_bytes = 9223372036854775807`, `writer.max_body_bytes: 9223372036854775807 is out of range (1024 to 268435456)`},
		{"writer", `undecoded_max_bytes = 1048576`, `writer.undecoded_max_bytes: is less than writer.max_body_bytes (one delivery must fit)`},
		{"writer", `retention = "400ms"`, `writer.retention: 400ms is out of range (1h to 36500d)`},
		{"writer", `deletion_callback = "yes"`, `writer.deletion_callback: must be a boolean, not a string (write true or false, without quotes)`},
		{"source", `name = ""`, `source.name: is empty (leave the key out for its default, "main")`},
		{"source", `name = "` + long + `"`, `source.name: this value cannot name a source (1 to 64 of the characters A-Z a-z 0-9 _ . -)`},
		{"source", `table = "` + long + `"`, `source.table: has 65 characters (a name has at most 64)`},
		{"source", `poll_interval = "1.5"`, `source.poll_interval: has no unit (write "1.5s" for seconds, or ms, m, h, d)`},
		{"source", `poll_interval = "soon"`, `source.poll_interval: is not a duration (write a number and a unit, such as "500ms", "30s", "5m", "24h" or "400d")`},
		{"source.columns", `id = " id"`, `source.columns.id: is not a name (no control characters, no space at either end)`},
		{"mapping", `directions = "BOTH"`, `mapping.directions: "BOTH" is not one of its values (one of "both", "inbound", "outbound")`},
		{"mapping", `unsend_text = "` + strings.Repeat("é", 1001) + `"`, `mapping.unsend_text: has 1001 characters (at most 1000)`},
		{"replicator", `batch_rows = 1979-05-27`, `replicator.batch_rows: must be an integer, not a date or time (write a number, without quotes)`},
		{"crm", `table = "crm.messages"`, `crm.table: has a dot (write the table's name only; crm.database names its database)`},
		{"crm", `tls_ca_file = "/nowhere/ca.pem"` + "\n" + `tls = "verify-ca"`, `crm.tls_ca_file: cannot be read: no such file or directory (relative paths are relative to the working directory)`},
		{"crm", `tls_ca_file = "/"`, `crm.tls_ca_file: has no effect with crm.tls = "preferred" (set crm.tls to "verify-ca" or "verify-full")`},
		{"crm", `tls_server_name = "db"`, `crm.tls_server_name: has no effect with crm.tls = "preferred" (set crm.tls to "verify-full")`},
		{"crm", `datetime_zone = "Europe/Berlin"`, `crm.datetime_zone: "Europe/Berlin" is not a fixed zone ("UTC", or an offset such as "+02:00")`},
		{"crm", `datetime_zone = "+14:30"`, `crm.datetime_zone: "+14:30" is not a fixed zone ("UTC", or an offset such as "+02:00")`},
		{"crm.columns", `username = "USER_ID"`, `crm.columns.username: names the same column as crm.columns.user_id (every column has one meaning)`},
		{"crm.extra_columns", `status = "direction"`, `crm.extra_columns.status: names the same column as crm.columns.direction (every column has one meaning)`},
		{"instagram", `base_url = "graph.instagram.com"`, `instagram.base_url: is not a web address (write "https://host/path")`},
		{"instagram", `base_url = "https://hunter2:x@graph.instagram.com"`, `instagram.base_url: holds a user or password (leave them out)`},
		{"instagram", `cache_ttl = "-1h"`, `instagram.cache_ttl: is not a duration (write a number and a unit, such as "500ms", "30s", "5m", "24h" or "400d")`},
		{"ops", `web_config_file = "/nowhere/web.yml"`, `ops.web_config_file: cannot be read: no such file or directory (relative paths are relative to the working directory)`},
		{"log", `level = ["info"]`, `log.level: must be a string, not an array (put it in quotes: "…")`},
	} {
		content := with(t, test.section, test.key)
		got := problems(t, Options{Path: write(t, "config.toml", content), Program: Replicator})
		if len(got) != 1 || !strings.HasPrefix(got[0], "config.toml:") {
			t.Errorf("%s: problems %q", test.key, got)
			continue
		}
		if _, after, _ := strings.Cut(got[0], ": "); after != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.key, after, test.want)
		}
	}
}

func TestLoad_checks_addresses(t *testing.T) {
	for address, want := range map[string]string{
		`"db.example:3306", "[::1]:3306", "10.0.0.1:1"`: "",
		`"/run/mysqld/mysqld.sock"`:                     "",
		`"db"`:                                          `element 1 is not host:port (add the port, as in "crm.example:3306")`,
		`"a:1", "crm:hunter2@tcp(db:3306)/crm"`:         `element 2 is not host:port (user, password and database have keys of their own)`,
		`"db:0"`:                                        `element 1 has no valid port (1 to 65535)`,
		`":3306"`:                                       `element 1 is not host:port (the host is missing or has characters that no host has)`,
		`"db:1", "db:1"`:                                `element 2 is there twice (leave one out)`,
		`"db:1", ""`:                                    `element 2 is empty (leave it out)`,
		`[{hunter2 = 1}]`:                               `element 1 must be a string, not an array (write ["…", "…"])`,
	} {
		content := strings.Replace(minimal, `"127.0.0.1:3306"`, address, 1)
		got := strings.Join(problems(t, Options{Path: write(t, "config.toml", content), Program: Replicator}), "\n")
		if want != "" {
			want = "config.toml:8: crm.addresses: " + want
		}
		if got != want {
			t.Errorf("%s:\n got %s\nwant %s", address, got, want)
		}
	}
}

func TestLoad_warns_of_a_token_over_plain_http(t *testing.T) {
	for url, warned := range map[string]bool{"http://graph.example": true, "https://graph.example": false, "http://127.0.0.1:8": false, "http://localhost:1": false, "http://[::1]:1/v26.0": false} {
		if got := load(t, with(t, "instagram", `base_url = "`+url+`"`)).Warnings; (len(got) == 1) != warned {
			t.Errorf("%s: warnings %q", url, got)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"500ms": 500 * time.Millisecond, "1m30s": 90 * time.Second, "24h": 24 * time.Hour, "400d": 9600 * time.Hour,
		"1d12h": 36 * time.Hour, "0s": 0, "0d": 0, "1.5h": 90 * time.Minute, "106751d": 106751 * 24 * time.Hour,
	} {
		got, wrong := parseDuration(text)
		if wrong != nil || got != want {
			t.Errorf("%s: %s, %v", text, got, wrong)
		}
		if again, wrong := parseDuration(formatDuration(got)); wrong != nil || again != got {
			t.Errorf("%s is written as %s, which is %s, %v", text, formatDuration(got), again, wrong)
		}
	}
	for _, text := range []string{"", "0", "5", "1.5", "d", "1.5d", "-1s", "+1s", "1d-1h", "1h1d", "106752d", "999999d", "9999999d", "106751d24h", "5 s", "5S", "1d1d", "1d5"} {
		if got, wrong := parseDuration(text); wrong == nil {
			t.Errorf("%q is taken for %s", text, got)
		}
	}
	for d, want := range map[time.Duration]string{24 * time.Hour: "24h", 48 * time.Hour: "2d", 90 * time.Second: "1m30s", time.Minute: "1m", time.Hour + time.Second: "1h0m1s", 10 * time.Minute: "10m", 20 * time.Hour: "20h"} {
		if got := formatDuration(d); got != want {
			t.Errorf("%s is written as %s", d, got)
		}
	}
}

func TestNearest(t *testing.T) {
	known := []string{"crm", "crm.user", "crm.users_table", "crm.timeout", "instagram.timeout", "instagram.access_token", "log.level"}
	for name, want := range map[string]string{
		"crm.usr": "crm.user", "CRM.User": "crm.user", "crm.suer": "crm.user", "access_token": "instagram.access_token",
		"timeout": "", "crm.access_token": "instagram.access_token", "qwertyuiop": "", "cmr": "crm", strings.Repeat("a", 200): "",
	} {
		if got := nearest(name, known); got != want {
			t.Errorf("%s: did you mean %q, want %q", name, got, want)
		}
	}
}

func TestProblems_sorts_and_prints(t *testing.T) {
	all := &Problems{All: []Problem{
		{Where: "flag --b", Key: "b", Text: "wrong"},
		{Where: "env A", Key: "a", Text: "wrong"},
		{Where: "f.toml", Key: "c", Text: "is required", Hint: "set it"},
		{Where: "f.toml", Line: 10, Key: "z", Text: "wrong"},
		{Where: "f.toml", Line: 9, Text: "wrong"},
		{Where: "f.toml", Line: 10, Key: "y", Text: "wrong"},
	}}
	all.sort()
	want := "f.toml:9: wrong\nf.toml:10: y: wrong\nf.toml:10: z: wrong\nf.toml: c: is required (set it)\nenv A: a: wrong\nflag --b: b: wrong"
	if diff := cmp.Diff(want, all.Error()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
