package docstest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sidestream/internal/app/console"
	"sidestream/internal/config"
)

// byHand is the section whose commands TestReadme_section_by_hand_works runs.
const byHand = "Run it by hand"

// The two commands that a newcomer meets first. CI reads them from the page.
const (
	demoCommand = "go run ./cmd/demo"
	testCommand = "go test ./..."
)

func TestReadme_every_command_is_run(t *testing.T) {
	readme, ci := readPage(t, "README.md"), readFile(t, ".ci/run")
	var alone []string
	for _, f := range readme.fences {
		command := strings.TrimSpace(f.text)
		switch {
		case command == demoCommand || command == testCommand:
			alone = append(alone, command)
			if f.line > 60 {
				t.Errorf("README.md:%d: %s is not on the first screen", f.line, command)
			}
		case f.language == "sh" && f.under != byHand:
			t.Errorf("README.md:%d: nothing runs this block: move it to %q, or make it prose", f.line, byHand)
		case f.language == "":
			t.Errorf("README.md:%d: the block does not say its language", f.line)
		}
	}
	if !slices.Equal(alone, []string{demoCommand, testCommand}) {
		t.Errorf("alone in a block stand %q, want the demo and then the tests", alone)
	}
	for _, start := range []string{"go run ./cmd/demo", "go test"} {
		if !strings.Contains(ci, "from_readme '"+start+"'") {
			t.Errorf(".ci/run does not run what README.md has for %q", start)
		}
	}
	for _, m := range regexp.MustCompile(`\./(cmd/\w+)`).FindAllStringSubmatch(readFile(t, "README.md"), -1) {
		if _, err := os.Stat(filepath.Join(top, m[1], "main.go")); err != nil {
			t.Errorf("README.md names %s, which is no command", m[1])
		}
	}
}

func TestPages_name_only_make_targets_that_exist(t *testing.T) {
	makefile := readFile(t, "Makefile")
	for _, p := range pages(t) {
		for _, span := range spans(p.prose) {
			if target, ok := strings.CutPrefix(span, "make "); ok && !regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(target)+`:`).MatchString(makefile) {
				t.Errorf("%s names %s, which is no target", p.path, span)
			}
		}
	}
}

func TestReadme_configuration_is_all_that_is_needed(t *testing.T) {
	found := 0
	for _, f := range readPage(t, "README.md").fences {
		if f.language != "toml" {
			continue
		}
		found++
		file := filepath.Join(t.TempDir(), "config.toml")
		if err := os.WriteFile(file, []byte(f.text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, program := range []config.Program{config.Writer, config.Replicator} {
			if _, err := config.Load(config.Options{Path: file, Program: program}); err != nil {
				t.Errorf("README.md:%d does not configure the %v: %v", f.line, program, err)
			}
		}
	}
	if found != 1 {
		t.Errorf("README.md has %d configurations, want one", found)
	}
}

func TestPages_have_the_exit_codes_of_the_programs(t *testing.T) {
	want := []int{console.OK, console.Failed, console.Drift, console.Usage, console.BadConf}
	for _, name := range []string{"README.md", "docs/OPERATIONS.md"} {
		var got []int
		for _, row := range rows(readPage(t, name).section(t, "Exit codes")[0].body) {
			code, err := strconv.Atoi(strings.Trim(row[0], "`"))
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			got = append(got, code)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s has the exit codes %v, want %v", name, got, want)
		}
	}
}
