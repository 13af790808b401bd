package config

import (
	"slices"
	"strconv"
	"strings"
)

// Program is one of the two programs that share the file.
type Program string

// The programs.
const (
	Writer     Program = "writer"
	Replicator Program = "replicator"
)

// Options say where the configuration comes from.
type Options struct {
	// Path is the TOML file; empty means that there is none.
	Path string
	// Environ holds NAME=value pairs, as os.Environ returns them.
	Environ []string
	// Flags holds the values of flags that were given, by key: "log.level".
	Flags map[string]string
	// Program decides which keys are required, and whose secret files must be
	// readable. Mistakes in the other program's keys are reported all the same.
	Program Program
}

// Load returns the effective configuration, or every mistake that it found as
// a *Problems.
func Load(options Options) (*Config, error) {
	l := loader{
		options: options,
		entries: schema(),
		env:     readEnvironment(options.Environ),
		config:  &Config{File: options.Path},
		from:    map[string]source{},
		failed:  map[string]bool{},
		blank:   map[string]source{},
	}
	// Without a readable file nobody knows what is missing.
	readable := true
	if options.Path != "" {
		l.doc, l.problems = readDocument(options.Path, l.entries)
		readable = l.doc != nil
	}
	if l.doc == nil {
		l.doc = new(document)
	}
	for _, e := range l.entries {
		l.resolve(e)
	}
	l.unknownFlags()
	if readable {
		l.missing()
	}
	l.crossCheck()
	if len(l.problems) > 0 {
		problems := &Problems{All: l.problems}
		problems.sort()
		return nil, problems
	}
	l.finish()
	return l.config, nil
}

// loader collects one Load's findings.
type loader struct {
	options Options
	entries []entry
	doc     *document
	env     environment
	config  *Config
	// from holds where each value that is no default came from, by path.
	from map[string]source
	// failed holds the paths that have a problem of their own already.
	failed map[string]bool
	// blank holds where a key stands in the file with an empty value.
	blank map[string]source
	// inline are the secrets that the file itself holds.
	inline   []string
	problems []Problem
}

// source is a place that a value came from.
type source struct {
	where string
	line  int
	// secretFile is the file that the place names for a secret.
	secretFile string
}

// String returns the source as Origin.From has it.
func (s source) String() string {
	text := s.where
	if s.line > 0 {
		text += ":" + strconv.Itoa(s.line)
	}
	if s.secretFile != "" {
		text += ", in " + s.secretFile
	}
	return text
}

// resolve gives one key its value.
func (l *loader) resolve(e entry) {
	if e.def != "" {
		_, _ = e.set(l.config, text(e.def))
	}
	if e.secret() {
		l.resolveSecret(e)
		return
	}
	// From the weakest to the strongest; a mistake is reported even where a
	// stronger source hides it.
	if found, ok := l.doc.values[e.path]; ok {
		l.apply(e, found.value, l.inFile(found.line))
	}
	if value, ok := l.env.legacy(e.legacy); ok {
		l.apply(e, text(value), source{where: envPrefix + e.legacy})
	}
	if value, ok := l.env[e.env()]; ok {
		l.apply(e, text(value), source{where: envPrefix + e.env()})
	}
	if value := l.options.Flags[e.path]; value != "" {
		l.apply(e, text(value), source{where: flagName(e.path)})
	}
}

func (l *loader) apply(e entry, value any, s source) {
	set, wrong := e.set(l.config, value)
	switch {
	case wrong != nil:
		l.fail(e.path, s, *wrong)
	case set:
		l.from[e.path] = s
	default:
		l.blank[e.path] = s
	}
}

// fail records a problem with a key.
func (l *loader) fail(path string, s source, wrong complaint) {
	l.failed[path] = true
	l.problems = append(l.problems, Problem{Where: s.where, Line: s.line, Key: path, Text: wrong.text, Hint: wrong.hint})
}

func (l *loader) inFile(line int) source { return source{where: l.options.Path, line: line} }

// flagName returns the flag that stands for a key: log.level is --log-level.
func flagName(path string) string {
	return flagPrefix + "--" + strings.NewReplacer(".", "-", "_", "-").Replace(path)
}

// unknownFlags reports flags that stand for no key; the caller's mistake.
func (l *loader) unknownFlags() {
	for path := range l.options.Flags {
		if !slices.ContainsFunc(l.entries, func(e entry) bool { return e.path == path }) {
			l.fail(path, source{where: flagName(path)}, complaint{"unknown key", ""})
		}
	}
}

// missing reports the required keys that nothing sets.
func (l *loader) missing() {
	for _, e := range l.entries {
		_, set := l.from[e.path]
		idle := e.section() == "crm" && !l.config.CRM.Enabled
		if !e.required || !e.usedBy(l.options.Program) || set || l.failed[e.path] || l.excused(e) || idle {
			continue
		}
		l.fail(e.path, l.place(e), complaint{"is required", l.howToSet(e)})
	}
}

// howToSet names the ways in which a key that is missing can be given.
func (l *loader) howToSet(e entry) string {
	switch {
	case l.options.Path == "" && e.secret():
		return "name the configuration with -c FILE, or set " + e.env() + ", or " + envName(e.twin()) + " to the path of a file that holds it"
	case l.options.Path == "":
		return "name the configuration with -c FILE, or set " + e.env()
	case e.secret():
		return "set it here, or name a file that holds it by " + lastWord(e.twin()) + ", or set " + e.env()
	}
	return "set it here, or " + e.env()
}

// place returns where a key that is not set would stand: where it is empty, its
// section, the file, or nowhere.
func (l *loader) place(e entry) source {
	if s, ok := l.blank[e.path]; ok {
		return s
	}
	if l.options.Path == "" {
		return source{where: "configuration"}
	}
	return l.inFile(l.doc.sections[e.section()])
}

// excused tells whether a misspelt key was probably meant to be this one.
func (l *loader) excused(e entry) bool {
	return slices.ContainsFunc(l.doc.excused, func(meant string) bool {
		return meant == e.path || meant == e.twin() || strings.HasPrefix(e.path, meant+".")
	})
}

// finish fills in what follows from other values and records the origins.
func (l *loader) finish() {
	c := l.config
	if c.CRM.StateDatabase == "" {
		c.CRM.StateDatabase = c.CRM.Database
	}
	for _, e := range l.entries {
		origin := Origin{Key: e.path, Value: e.value(c), From: fromDefault}
		if s, ok := l.from[e.path]; ok {
			origin.From = s.String()
		}
		c.origins = append(c.origins, origin)
	}
	c.hash = hash(c, l.entries)
	if len(l.inline) > 0 {
		l.warnMode(l.options.Path, strings.Join(l.inline, ", "))
	}
	c.Warnings = append(c.Warnings, l.env.strangers(l.entries)...)
}
