package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSecret_shows_itself_to_nobody(t *testing.T) {
	const value = "hunter2"
	one, list := value, []*string{new(value)}
	secret, secrets := Secret{value: &one}, Secrets{values: list}
	// Unexported fields: fmt does not ask their methods.
	hidden := struct {
		secret  Secret
		secrets Secrets
		pointer *Secret
	}{secret, secrets, &secret}
	c := load(t, strings.ReplaceAll(minimal, `"secret"`, `"hunter2"`))

	shown := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t"} {
		for name, value := range map[string]any{"secret": secret, "pointer": &secret, "secrets": secrets, "hidden": hidden, "config": c, "section": c.CRM} {
			shown[name+verb] = fmt.Sprintf(verb, value)
		}
	}
	for name, value := range map[string]any{"secret": secret, "secrets": secrets, "config": c, "map": map[string]any{"a": secret}} {
		marshalled, err := json.Marshal(value)
		if err != nil {
			t.Errorf("marshal %s: %v", name, err)
		}
		shown["json of "+name] = string(marshalled)
		for kind, handler := range map[string]func(*strings.Builder) slog.Handler{
			"text": func(b *strings.Builder) slog.Handler { return slog.NewTextHandler(b, nil) },
			"json": func(b *strings.Builder) slog.Handler { return slog.NewJSONHandler(b, nil) },
		} {
			var b strings.Builder
			slog.New(handler(&b)).Info("x", "value", value)
			shown["log as "+kind+" of "+name] = b.String()
		}
	}
	text, _ := secret.MarshalText()
	texts, _ := secrets.MarshalText()
	shown["text"], shown["texts"] = string(text), string(texts)
	shown["strings"] = secret.String() + secret.GoString() + secrets.String() + secrets.GoString()
	for _, o := range c.Origins() {
		shown["origin of "+o.Key] = o.String()
	}
	for name, text := range shown {
		if strings.Contains(text, value) || strings.Contains(strings.ToLower(text), fmt.Sprintf("%x", value)) {
			t.Errorf("%s shows the secret: %s", name, text)
		}
	}
	if shown["secret%v"] != "[redacted]" || shown["secrets%#v"] != "[redacted]" || shown["json of secret"] != `"[redacted]"` {
		t.Errorf("redacted as %q, %q, %q", shown["secret%v"], shown["secrets%#v"], shown["json of secret"])
	}
}

func TestSecret_file_is_read_again_at_each_call(t *testing.T) {
	password := write(t, "password", "first\r\n\n")
	secrets := write(t, "secrets", "\n one\n\ntwo\r\n")
	c := load(t, strings.Replace(minimal, `password = "secret"`, "", 1), "SIDESTREAM_CRM_PASSWORD_FILE="+password)
	if c.CRM.Password.File() != password || !c.CRM.Password.IsSet() {
		t.Errorf("file %q", c.CRM.Password.File())
	}
	for _, want := range []string{"first", "second"} {
		if got, err := c.CRM.Password.Reveal(); err != nil || got != want {
			t.Errorf("password %q, %v; want %q", got, err, want)
		}
		if err := os.WriteFile(password, []byte("second\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(password); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CRM.Password.Reveal(); err == nil || !strings.Contains(err.Error(), password+": no such file") {
		t.Errorf("a file that is gone: %v", err)
	}

	path := write(t, "config.toml", strings.Replace(minimal, `app_secrets = ["from the App Dashboard"]`, "app_secrets_file = \""+secrets+"\"", 1))
	c, err := Load(Options{Path: path, Program: Writer})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Writer.AppSecrets.Reveal(); err != nil || !slices.Equal(got, []string{"one", "two"}) || c.Writer.AppSecrets.File() != secrets {
		t.Errorf("app secrets %q, %v", got, err)
	}
	for _, o := range c.Origins() {
		if want := path + ":6, in " + secrets; o.Key == "writer.app_secrets" && o.From != want {
			t.Errorf("origin %q, want %q", o.From, want)
		}
	}
}

func TestSecret_unset(t *testing.T) {
	c := load(t, strings.Replace(minimal, `access_token = "token"`, `access_token = ""`, 1), "INSTAGRAM_PAGE_ACCESS_TOKEN=", "SIDESTREAM_INSTAGRAM_ACCESS_TOKEN_FILE=")
	got, err := c.Instagram.AccessToken.Reveal()
	if got != "" || err != nil || c.Instagram.AccessToken.IsSet() || c.Instagram.AccessToken.File() != "" {
		t.Errorf("an unset token: %q, %v", got, err)
	}
	if got, err := (Secrets{}).Reveal(); got != nil || err != nil || (Secrets{}).IsSet() {
		t.Errorf("unset secrets: %q, %v", got, err)
	}
}

func TestLoad_two_sources_for_one_secret(t *testing.T) {
	file := write(t, "secret", "x\n")
	path := write(t, "config.toml", minimal)
	twin := write(t, "config.toml", strings.Replace(minimal, "password = ", "password_file = \""+file+"\"\npassword = ", 1))
	blank := write(t, "config.toml", strings.Replace(minimal, `password = "secret"`, `password = ""`, 1))
	for name, test := range map[string]struct {
		options Options
		want    []string
	}{
		"key_and_variable":           {Options{Path: path, Environ: []string{"SIDESTREAM_CRM_PASSWORD=y"}}, []string{"config.toml:10: crm.password: has two sources: config.toml:10 and env SIDESTREAM_CRM_PASSWORD (keep one of them)"}},
		"key_and_its_twin":           {Options{Path: twin}, []string{"config.toml:11: crm.password: has two sources: config.toml:11 and config.toml:10 (keep one of them)"}},
		"key_and_older_variable":     {Options{Path: path, Environ: []string{"INSTAGRAM_APP_SECRET=y"}}, []string{"config.toml:6: writer.app_secrets: has two sources: config.toml:6 and env INSTAGRAM_APP_SECRET (keep one of them)"}},
		"variable_and_its_twin":      {Options{Path: blank, Environ: []string{"SIDESTREAM_CRM_PASSWORD=y", "SIDESTREAM_CRM_PASSWORD_FILE=" + file}}, []string{"env SIDESTREAM_CRM_PASSWORD_FILE: crm.password: has two sources: env SIDESTREAM_CRM_PASSWORD_FILE and env SIDESTREAM_CRM_PASSWORD (keep one of them)"}},
		"variable_and_older_one":     {Options{Path: blank, Environ: []string{"SIDESTREAM_CRM_PASSWORD=y", "CRM_MYSQL_PASSWORD=y"}}, []string{"env SIDESTREAM_CRM_PASSWORD: crm.password: has two sources: env SIDESTREAM_CRM_PASSWORD and env CRM_MYSQL_PASSWORD (keep one of them)"}},
		"older_one_and_its_twin":     {Options{Path: blank, Environ: []string{"CRM_MYSQL_PASSWORD=y", "CRM_MYSQL_PASSWORD_FILE=" + file}}, []string{"env CRM_MYSQL_PASSWORD_FILE: crm.password: has two sources: env CRM_MYSQL_PASSWORD_FILE and env CRM_MYSQL_PASSWORD (keep one of them)"}},
		"both_twins":                 {Options{Path: blank, Environ: []string{"SIDESTREAM_CRM_PASSWORD_FILE=" + file, "CRM_MYSQL_PASSWORD_FILE=" + file}}, []string{"env SIDESTREAM_CRM_PASSWORD_FILE: crm.password: has two sources: env SIDESTREAM_CRM_PASSWORD_FILE and env CRM_MYSQL_PASSWORD_FILE (keep one of them)"}},
		"an_empty_variable_is_none":  {Options{Path: path, Environ: []string{"SIDESTREAM_CRM_PASSWORD="}}, nil},
		"an_empty_key_is_none":       {Options{Path: blank, Environ: []string{"SIDESTREAM_CRM_PASSWORD=y"}}, nil},
		"the_older_variable_is_fine": {Options{Path: blank, Environ: []string{"CRM_MYSQL_PASSWORD=y"}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			test.options.Program = Replicator
			got := problems(t, test.options)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLoad_older_variables_may_name_files(t *testing.T) {
	var environ []string
	for i, name := range []string{"CRM_MYSQL_PASSWORD", "FACEBOOK_VERIFY_TOKEN", "INSTAGRAM_APP_SECRET", "INSTAGRAM_PAGE_ACCESS_TOKEN"} {
		environ = append(environ, name+"_FILE="+write(t, "secret", "secret "+strconv.Itoa(i)+"\n"))
	}
	c := load(t, "[database]\npath = \"x\"\n[crm]\naddresses = [\"a:1\"]\nuser = \"u\"\ndatabase = \"d\"\n", environ...)
	var got []string
	for _, s := range []Secret{c.CRM.Password, c.Writer.VerifyToken, c.Instagram.AccessToken} {
		value, err := s.Reveal()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, value)
	}
	secrets, err := c.Writer.AppSecrets.Reveal()
	if diff := cmp.Diff([]string{"secret 0", "secret 1", "secret 3", "secret 2"}, append(got, secrets...)); err != nil || diff != "" {
		t.Errorf("%v, secrets (-want +got):\n%s", err, diff)
	}
	for _, o := range c.Origins() {
		if want := "env CRM_MYSQL_PASSWORD_FILE, in " + c.CRM.Password.File(); o.Key == "crm.password" && o.From != want {
			t.Errorf("from %q, want %q", o.From, want)
		}
	}
}

func TestLoad_secret_files_that_are_wrong(t *testing.T) {
	folder := t.TempDir()
	for name, content := range map[string]string{"empty": "\n", "control": "hunter2\x01", "space": " hunter2", "large": strings.Repeat("hunter2", 10000), "twolines": "hunter2\nhunter3"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"missing":  "no such file or directory",
		"empty":    "empty",
		"control":  "holds a line end or another control character (write it on one line)",
		"space":    "begins or ends with a space (remove it)",
		"large":    "larger than 65536 bytes",
		"twolines": "holds a line end or another control character (write it on one line)",
		".":        "not a regular file",
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(folder, name)
			content := strings.Replace(minimal, `access_token = "token"`, `access_token_file = "`+file+`"`, 1)
			path := write(t, "config.toml", content)
			got := problems(t, Options{Path: path, Program: Replicator})
			if line := "config.toml:13: instagram.access_token: secret file " + file + ": " + want; len(got) != 1 || got[0] != line {
				t.Errorf("problems %q\nwant %q", got, line)
			}
			if got := problems(t, Options{Path: path, Program: Writer}); got != nil {
				t.Errorf("the writer, which has no use for it: %q", got)
			}
		})
	}
}

func TestLoad_warns_of_secrets_that_everybody_may_read(t *testing.T) {
	file := write(t, "token", "x\n")
	path := write(t, "config.toml", strings.Replace(minimal, `access_token = "token"`, `access_token_file = "`+file+`"`, 1))
	for _, p := range []string{file, path} {
		if err := os.Chmod(p, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c, err := Load(Options{Path: path, Program: Replicator})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		file + ": holds instagram.access_token and is readable by everyone (mode 0644): chmod o-r",
		path + ": holds writer.verify_token, writer.app_secrets, crm.password and is readable by everyone (mode 0644): chmod o-r",
	}
	if diff := cmp.Diff(want, c.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}
