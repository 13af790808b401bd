package config

import (
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

const (
	envStart = "SIDESTREAM_"
	// legacyHost and legacyPort make one address together.
	legacyHost  = "CRM_MYSQL_HOST"
	legacyPort  = "CRM_MYSQL_PORT"
	defaultPort = "3306"
)

// envName returns the variable of a key: crm.tls_ca_file is
// SIDESTREAM_CRM_TLS_CA_FILE.
func envName(path string) string {
	return envStart + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

// environment is the variables that are set and not empty.
type environment map[string]string

// readEnvironment takes the first of several equal names, as os.Getenv does.
func readEnvironment(environ []string) environment {
	env := environment{}
	seen := map[string]bool{}
	for _, pair := range environ {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" || seen[name] {
			continue
		}
		seen[name] = true
		if value != "" {
			env[name] = value
		}
	}
	return env
}

// legacy returns the value of an older variable; host and port become one
// address.
func (env environment) legacy(name string) (string, bool) {
	value, ok := env[name]
	if !ok || name != legacyHost {
		return value, ok
	}
	// The path of a socket has no port.
	if strings.HasPrefix(value, "/") {
		return value, true
	}
	port, hasPort := env[legacyPort]
	if !hasPort {
		if _, _, err := net.SplitHostPort(value); err == nil {
			return value, true
		}
		port = defaultPort
	}
	// A host with a colon that is no IPv6 address stays as it is, for the
	// check to refuse.
	if bare := strings.Trim(value, "[]"); strings.Contains(value, ":") {
		if _, err := netip.ParseAddr(bare); err != nil {
			return value + ":" + port, true
		}
		value = bare
	}
	return net.JoinHostPort(value, port), true
}

// serviceLink matches what Kubernetes sets for a service that is called
// sidestream-something.
var serviceLink = regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_[0-9]+_.*)?)$`)

// strangers returns a warning for every variable that looks like one of ours
// and is not: unlike an unknown key in the file it may be somebody else's.
func (env environment) strangers(entries []entry) []string {
	var known, sections []string
	for _, e := range entries {
		known = append(known, e.env())
		if e.secret() {
			known = append(known, envName(e.twin()))
		}
		if section := envName(e.section()) + "_"; !slices.Contains(sections, section) {
			sections = append(sections, section)
		}
	}
	var warnings []string
	for name := range env {
		upper := strings.ToUpper(name)
		if !strings.HasPrefix(upper, envStart) || slices.Contains(known, name) || serviceLink.MatchString(upper) {
			continue
		}
		warning := "env " + name + ": unknown variable, ignored"
		if meant := nearest(name, known); meant != "" {
			warning += " (did you mean " + meant + "?)"
		} else if !slices.ContainsFunc(sections, func(s string) bool { return strings.HasPrefix(upper, s) }) {
			continue
		}
		warnings = append(warnings, warning)
	}
	if env[legacyPort] != "" && env[legacyHost] == "" {
		warnings = append(warnings, "env "+legacyPort+": has no effect without "+legacyHost)
	}
	slices.Sort(warnings)
	return warnings
}
