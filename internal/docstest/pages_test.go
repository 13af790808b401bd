// Package docstest holds the pages and the code together: every link leads
// somewhere, every command runs, every test, key, metric and reason that a page
// names exists, and every one that exists has its line.
package docstest

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
)

// top is the top of the repository, seen from here.
const top = "../.."

// page is one Markdown file.
type page struct {
	// path is the file's, with slashes, seen from the top.
	path     string
	headings []heading
	fences   []fence
	// prose is the text without its fenced blocks; lines keep their numbers.
	prose string
}

type heading struct {
	line  int
	level int
	text  string
	slug  string
	// body is what follows, up to the next heading of any level.
	body string
}

// fence is a fenced block.
type fence struct {
	line     int
	language string
	text     string
	// under is the text of the heading above.
	under string
}

// readPage reads one page.
func readPage(tb testing.TB, name string) page {
	tb.Helper()
	return parsePage(name, readFile(tb, name))
}

func readFile(tb testing.TB, name string) string {
	tb.Helper()
	content, err := os.ReadFile(filepath.Join(top, filepath.FromSlash(name)))
	if err != nil {
		tb.Fatal(err)
	}
	return string(content)
}

// pages reads every Markdown file outside of hidden directories and testdata.
func pages(tb testing.TB) []page {
	tb.Helper()
	var all []page
	err := filepath.WalkDir(top, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := entry.Name()
		if entry.IsDir() && name != top && (strings.HasPrefix(base, ".") || base == "testdata" || base == "bin" || base == "data") {
			return filepath.SkipDir
		}
		if entry.IsDir() || path.Ext(base) != ".md" {
			return nil
		}
		relative, err := filepath.Rel(top, name)
		if err != nil {
			return err
		}
		all = append(all, readPage(tb, filepath.ToSlash(relative)))
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	if len(all) == 0 {
		tb.Fatal("no page was found")
	}
	return all
}

var headingLine = regexp.MustCompile(`^(#{1,6}) +(.+?) *$`)

func parsePage(name, text string) page {
	p := page{path: name}
	var prose strings.Builder
	var open *fence
	slugs := map[string]int{}
	for i, line := range strings.Split(text, "\n") {
		marker, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case open != nil && isFence && marker == "":
			p.fences = append(p.fences, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		case isFence:
			open = &fence{line: i + 1, language: marker}
			if n := len(p.headings); n > 0 {
				open.under = p.headings[n-1].text
			}
		default:
			if m := headingLine.FindStringSubmatch(line); m != nil {
				p.headings = append(p.headings, heading{line: i + 1, level: len(m[1]), text: m[2], slug: slug(m[2], slugs)})
			} else if n := len(p.headings); n > 0 {
				p.headings[n-1].body += line + "\n"
			}
			prose.WriteString(line)
		}
		prose.WriteString("\n")
	}
	p.prose = prose.String()
	return p
}

// slug is the anchor that GitHub gives a heading.
func slug(text string, taken map[string]int) string {
	var b strings.Builder
	for _, r := range strings.ToLower(linkText.ReplaceAllString(text, "$1")) {
		switch {
		case unicode.IsLetter(r), unicode.IsNumber(r), r == '_', r == '-':
			b.WriteRune(r)
		case r == ' ':
			b.WriteByte('-')
		}
	}
	s := b.String()
	n := taken[s]
	taken[s]++
	if n > 0 {
		s += "-" + string(rune('0'+n))
	}
	return s
}

// section returns what stands below a heading, up to the next of its level.
func (p page) section(tb testing.TB, title string) []heading {
	tb.Helper()
	for i, h := range p.headings {
		if h.text != title {
			continue
		}
		end := i + 1
		for end < len(p.headings) && p.headings[end].level > h.level {
			end++
		}
		return p.headings[i:end]
	}
	tb.Fatalf("%s has no heading %q", p.path, title)
	return nil
}

var (
	linkText = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	linkTo   = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	codeSpan = regexp.MustCompile("`[^`\n]+`")
)

// spans returns the code spans of a text, without their marks.
func spans(text string) []string {
	var all []string
	for _, s := range codeSpan.FindAllString(text, -1) {
		all = append(all, strings.Trim(s, "`"))
	}
	return all
}

func TestPages_links_lead_somewhere(t *testing.T) {
	known := map[string]page{}
	for _, p := range pages(t) {
		known[p.path] = p
	}
	links := 0
	for _, p := range known {
		for _, m := range linkTo.FindAllStringSubmatch(codeSpan.ReplaceAllString(p.prose, ""), -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			links++
			if why := broken(known, p, m[1]); why != "" {
				t.Errorf("%s links to %s: %s", p.path, m[1], why)
			}
		}
	}
	if links < 50 {
		t.Errorf("only %d links were found: does the test still read them?", links)
	}
	for _, bad := range []string{"nowhere.md", "README.md#nowhere", "#nowhere", "../README.md"} {
		if broken(known, known["README.md"], bad) == "" {
			t.Errorf("a link to %s passes", bad)
		}
	}
}

// broken says why a link of a page leads nowhere, or nothing.
func broken(known map[string]page, from page, link string) string {
	file, anchor, _ := strings.Cut(link, "#")
	to := from.path
	if file != "" {
		to = path.Join(path.Dir(from.path), file)
	}
	if to == ".." || strings.HasPrefix(to, "../") {
		return "it leaves the repository"
	}
	if _, err := os.Stat(filepath.Join(top, filepath.FromSlash(to))); errors.Is(err, fs.ErrNotExist) {
		return "there is no such file"
	} else if err != nil {
		return err.Error()
	}
	if anchor == "" {
		return ""
	}
	for _, h := range known[to].headings {
		if h.slug == anchor {
			return ""
		}
	}
	return "no heading has this anchor"
}
