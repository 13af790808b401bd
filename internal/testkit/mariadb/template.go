package mariadb

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"sidestream/internal/testkit"
)

const (
	adminUser     = "sidestream"
	adminPassword = "for-tests-only"
)

// adminSQL makes the user that tests work as. A server in bootstrap mode knows
// no privileges before it is told to load them.
const adminSQL = `FLUSH PRIVILEGES;
CREATE USER '` + adminUser + `'@'%' IDENTIFIED BY '` + adminPassword + `';
GRANT ALL PRIVILEGES ON *.* TO '` + adminUser + `'@'%' WITH GRANT OPTION;
`

// dataTemplate is an initialised data directory that every server starts from
// a copy of: making one takes many times as long as copying it.
type dataTemplate struct {
	path string
	// guard is kept: the directory is removed when its pipe is collected.
	guard *testkit.Guard
}

//nolint:gochecknoglobals // made once per test process, removed with it by its guard
var template = sync.OnceValues(func() (dataTemplate, error) {
	in, err := locate()
	if err != nil {
		return dataTemplate{}, err
	}
	dir, err := os.MkdirTemp("", "sidestream-tpl-")
	if err != nil {
		return dataTemplate{}, fmt.Errorf("template: %w", err)
	}
	guard, err := testkit.NewGuard(dir)
	if err != nil {
		return dataTemplate{}, err
	}
	t := dataTemplate{path: filepath.Join(dir, "data"), guard: guard}
	return t, t.initialise(in, dir)
})

func (t dataTemplate) initialise(in installation, dir string) error {
	id := identityFor(os.TempDir())
	if err := id.own(dir); err != nil {
		return err
	}
	common := append([]string{"--no-defaults", "--datadir=" + t.path, logFileSize, "--skip-name-resolve"}, id.args()...)
	install := exec.Command(in.install, append(common, //nolint:noctx // ends by itself
		"--auth-root-authentication-method=normal", "--skip-test-db")...)
	bootstrap := exec.Command(in.server, append(common, "--bootstrap")...) //nolint:noctx // ends by itself
	bootstrap.Stdin = strings.NewReader(adminSQL)
	for _, cmd := range []*exec.Cmd{install, bootstrap} {
		cmd.Dir, cmd.SysProcAttr = dir, id.attributes()
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", cmd.Path, err, lastLines(string(out)))
		}
	}
	return nil
}

// copyTo makes dir, which must not exist, a data directory that belongs to id.
func (t dataTemplate) copyTo(dir string, id identity) error {
	if err := os.CopyFS(dir, os.DirFS(t.path)); err != nil {
		return fmt.Errorf("copy data directory: %w", err)
	}
	return id.own(dir)
}
