package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzLoad feeds Load broken files. A secret's value must not show in the
// problems, whatever stands around it on its line and before it in the file.
func FuzzLoad(f *testing.F) {
	const sentinel = "hunter2sentinel"
	f.Add("", ` "`, `"`, "")
	f.Add(minimal, " ", "", "5s")
	f.Add("[log]\nlevel = \"\"\"", ` "`, `"`, "loud")
	f.Add("[crm]\nuser = \"", ` 7 # `, ``, ",")
	f.Add("[source]\nname = '''\n", ` {`, ` = 1}`, "\x00")
	f.Add("[[crm]]\n", ` ["`, `\q"]`, "a,b")
	f.Add("crm.user.x = 1\ncrm.user = 2\n", ` 12`, `-`, "1e9")
	f.Add("[crm.columns]\nid = \"x\"\n", ` 2020-01-01T`, ``, "-1")
	entries := schema()
	f.Fuzz(func(t *testing.T, before, left, right, variable string) {
		if len(before)+len(left)+len(right) > 4<<10 || strings.ContainsAny(left+right, "\r\n") || strings.Contains(before, sentinel) {
			return
		}
		path := filepath.Join(t.TempDir(), "config.toml")
		for _, e := range entries {
			if !e.secret() {
				continue
			}
			key := lastWord(e.path)
			content := before + "\n[" + e.section() + "]\n" + key + " =" + left + sentinel + right + "\n"
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			environ := []string{
				"SIDESTREAM_LOG_LEVEL=" + variable, "CRM_MYSQL_HOST=" + variable, "CRM_MYSQL_PORT=" + variable, "SIDESTREAM_SOURCE_POLL_INTERVAL=" + variable,
				e.env() + "=" + sentinel + "\x01" + variable,
			}
			for _, options := range []Options{{Path: path, Program: Writer}, {Path: path, Program: Replicator, Environ: environ}} {
				c, err := Load(options)
				if err == nil {
					for _, o := range c.Origins() {
						if o.Key == e.path && strings.Contains(o.String(), sentinel) {
							t.Errorf("an origin shows the secret: %s", o)
						}
					}
					continue
				}
				if all, ok := errors.AsType[*Problems](err); !ok || len(all.All) == 0 {
					t.Fatalf("not a list of problems: %v", err)
				}
				if strings.Contains(err.Error(), sentinel) {
					t.Errorf("the problems show the secret:\n%s\nof\n%s", err, content)
				}
			}
		}
	})
}
