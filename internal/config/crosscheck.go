package config

import (
	"net/netip"
	"net/url"
	"os"
	"strings"
)

// crossCheck looks for values that are fine alone and wrong together.
func (l *loader) crossCheck() {
	c := l.config
	l.crmColumns()
	verified := c.CRM.TLS == "verify-ca" || c.CRM.TLS == "verify-full"
	if c.CRM.TLSCAFile != "" && !verified {
		l.together(`has no effect with crm.tls = "`+c.CRM.TLS+`"`, `set crm.tls to "verify-ca" or "verify-full"`, "crm.tls_ca_file", "crm.tls")
	}
	if c.CRM.TLSServerName != "" && c.CRM.TLS != "verify-full" {
		l.together(`has no effect with crm.tls = "`+c.CRM.TLS+`"`, `set crm.tls to "verify-full"`, "crm.tls_server_name", "crm.tls")
	}
	if c.Writer.Listen == c.Writer.MetricsListen && !strings.HasSuffix(c.Writer.Listen, ":0") {
		l.together("is writer.listen too", "metrics need a port of their own", "writer.metrics_listen", "writer.listen")
	}
	if c.Writer.UndecodedMaxBytes < c.Writer.MaxBodyBytes {
		l.together("is less than writer.max_body_bytes", "one delivery must fit", "writer.undecoded_max_bytes", "writer.max_body_bytes")
	}
	l.readable("crm.tls_ca_file", c.CRM.TLSCAFile)
	l.readable("ops.web_config_file", c.Ops.WebConfigFile)
	if c.Instagram.AccessToken.IsSet() && plainOverNetwork(c.Instagram.BaseURL) {
		c.Warnings = append(c.Warnings, "instagram.base_url: sends the access token unencrypted: use https")
	}
}

// together reports a problem at the first of the paths that is no default,
// unless one of them has a problem of its own.
func (l *loader) together(text, hint string, paths ...string) {
	at := source{}
	for _, path := range paths {
		if l.failed[path] {
			return
		}
		if s, ok := l.from[path]; ok && at.where == "" {
			at = s
		}
	}
	l.problems = append(l.problems, Problem{Where: at.where, Line: at.line, Key: paths[0], Text: text, Hint: hint})
}

// crmColumns reports a CRM column with two meanings: an INSERT cannot name it
// twice. MySQL compares the names of columns without case.
func (l *loader) crmColumns() {
	users := map[string]string{}
	for _, e := range l.entries {
		if !strings.HasPrefix(e.path, "crm.columns.") && !strings.HasPrefix(e.path, "crm.extra_columns.") {
			continue
		}
		name, _ := e.to(l.config).(*string)
		if *name == "" {
			continue
		}
		lower := strings.ToLower(*name)
		if other, taken := users[lower]; taken {
			l.together("names the same column as "+other, "every column has one meaning", e.path, other)
		}
		users[lower] = e.path
	}
}

// readable reports a file that a program of ours must read and cannot.
func (l *loader) readable(path, name string) {
	if name == "" || l.failed[path] {
		return
	}
	for _, e := range l.entries {
		if e.path != path || !e.usedBy(l.options.Program) {
			continue
		}
		file, err := os.Open(name)
		if err != nil {
			l.fail(path, l.from[path], complaint{"cannot be read: " + withoutPath(err).Error(), "relative paths are relative to the working directory"})
			continue
		}
		_ = file.Close()
	}
}

// plainOverNetwork tells whether the URL is http to another host.
func plainOverNetwork(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" || u.Hostname() == "localhost" {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return err != nil || !ip.IsLoopback()
}
