package config

import (
	"fmt"
	"io/fs"
	"os"
)

// resolveSecret finds the one source of a secret. There is no precedence among
// them: with two, one would be forgotten when the secret is replaced.
func (l *loader) resolveSecret(e entry) {
	if l.options.Flags[e.path] != "" {
		l.fail(e.path, source{where: flagName(e.path)}, complaint{"is a secret and not taken from a flag", "every user of the host can read flags; use " + e.env() + " or " + e.twin()})
	}
	type candidate struct {
		value any
		from  source
	}
	var found []candidate
	fromFile := func(path string, isFile bool) {
		v, ok := l.doc.values[path]
		switch {
		case !ok:
		case isEmpty(v.value):
			l.blank[e.path] = l.inFile(v.line)
		case isFile:
			name, ok := v.value.(string)
			if !ok {
				l.fail(path, l.inFile(v.line), *wrongType("a string", v.value, "write the file's path in quotes"))
				l.failed[e.path] = true
				return
			}
			found = append(found, candidate{from: source{where: l.options.Path, line: v.line, secretFile: name}})
		default:
			found = append(found, candidate{v.value, l.inFile(v.line)})
		}
	}
	fromFile(e.path, false)
	fromFile(e.twin(), true)
	for _, name := range e.fileVariables() {
		if l.env[name] != "" {
			found = append(found, candidate{from: source{where: envPrefix + name, secretFile: l.env[name]}})
		}
	}
	for _, name := range []string{e.env(), e.legacy} {
		if value, ok := l.env[name]; ok {
			found = append(found, candidate{text(value), source{where: envPrefix + name}})
		}
	}
	if len(found) > 1 {
		first, second := found[0].from, found[1].from
		first.secretFile, second.secretFile = "", ""
		l.fail(e.path, first, complaint{"has two sources: " + first.String() + " and " + second.String(), "keep one of them"})
		return
	}
	for _, one := range found {
		if one.from.secretFile != "" {
			l.secretFromFile(e, one.from)
			continue
		}
		l.apply(e, one.value, one.from)
		if one.from.line > 0 {
			l.inline = append(l.inline, e.path)
		}
	}
}

// secretFromFile points the secret at its file, and reads it once, so that a
// mistake shows at the start. Only a program that uses the secret must be able
// to read it.
func (l *loader) secretFromFile(e entry, s source) {
	var values []string
	var err error
	used := e.usedBy(l.options.Program)
	switch place := e.to(l.config).(type) {
	case *Secret:
		*place = Secret{file: s.secretFile}
		if used {
			values = make([]string, 1)
			values[0], err = place.Reveal()
		}
	case *Secrets:
		*place = Secrets{file: s.secretFile}
		if used {
			values, err = place.Reveal()
		}
	}
	l.from[e.path] = s
	if err != nil {
		l.fail(e.path, s, complaint{err.Error(), ""})
		return
	}
	for _, value := range values {
		if wrong := e.judge(value); wrong != nil {
			l.fail(e.path, s, complaint{"secret file " + s.secretFile + ": " + wrong.text, wrong.hint})
			return
		}
	}
	if used {
		l.warnMode(s.secretFile, e.path)
	}
}

// warnMode warns of a file that holds secrets and that everybody on the host may
// read.
func (l *loader) warnMode(path, keys string) {
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&0o004 == 0 {
		return
	}
	l.config.Warnings = append(l.config.Warnings, fmt.Sprintf("%s: holds %s and is readable by everyone (mode %s): chmod o-r", path, keys, octal(info.Mode())))
}

func octal(mode fs.FileMode) string { return fmt.Sprintf("%04o", mode.Perm()) }
