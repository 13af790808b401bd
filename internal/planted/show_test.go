//go:build planted

package planted_test

import (
	"encoding/json"
	"os"
	"os/exec"
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
	args := []string{"test", "-overlay", path, "-count=1", "-failfast", "-timeout=5m"}
	if b.run != "" {
		args = append(args, "-run", b.run)
	}
	command := exec.CommandContext(t.Context(), "go", append(args, b.suite)...)
	command.Dir = module
	output, err := command.CombinedOutput()
	if err == nil {
		return ""
	}
	found := failed.FindAllStringSubmatch(string(output), -1)
	if len(found) == 0 {
		t.Fatalf("no test failed, but go test did:\n%s", output)
	}
	return found[len(found)-1][1]
}
