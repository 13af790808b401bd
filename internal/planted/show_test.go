//go:build planted

package planted_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestShowPlanted plants each bug and runs the suite that must notice it.
func TestShowPlanted(t *testing.T) {
	caught := 0
	all := bugs()
	for _, b := range all {
		t.Run(b.name, func(t *testing.T) {
			by := b.notice(t)
			if by == "" {
				t.Errorf("%s goes unnoticed", b.name)
				return
			}
			caught++
			t.Logf("%-40s caught by %s", b.name, by)
		})
	}
	t.Logf("%d of %d planted bugs caught", caught, len(all))
}

var failed = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)`)

// notice returns the deepest test that failed, or nothing.
func (b bug) notice(t *testing.T) string {
	t.Helper()
	path := b.overlay(t)
	args := []string{"test", "-overlay", path, "-count=1", "-failfast", "-timeout=5m"}
	if b.run != "" {
		args = append(args, "-run", b.run)
	}
	output, err := command(t, "go", append(args, b.suite)...).CombinedOutput()
	if err == nil {
		return ""
	}
	found := failed.FindAllStringSubmatch(string(output), -1)
	if len(found) == 0 {
		t.Fatalf("no test failed, but go test did:\n%s", output)
	}
	return found[len(found)-1][1]
}

// overlay writes the file with the bug in it, and the overlay that puts it in
// the place of the file in the tree.
func (b bug) overlay(t *testing.T) string {
	t.Helper()
	module, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	changed := filepath.Join(dir, filepath.Base(b.file))
	if err := os.WriteFile(changed, []byte(b.planted(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(module, b.file): changed}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(path, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
