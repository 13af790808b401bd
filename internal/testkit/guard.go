package testkit

import (
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
)

// guardScript reads pids from its standard input, which stays open for as long
// as the test binary lives. At its end, however that came, the last pid and its
// process group are killed and the directory is removed.
const guardScript = `dir=$1; pid=0
while read -r line; do pid=$line; done
if [ "$pid" -gt 1 ]; then kill -s KILL -- "-$pid" || kill -s KILL "$pid"; fi 2>/dev/null
if [ -n "$dir" ]; then rm -rf -- "$dir" || { sleep 1; rm -rf -- "$dir"; }; fi
exit 0`

// Guard ends a process and removes a directory when the test binary ends, also
// where no cleanup runs: at a test timeout, a SIGKILL, a panic in another goroutine
// than the test's. It is a small shell process that waits for a pipe to close and
// has no goroutine here.
type Guard struct {
	mu    sync.Mutex
	cmd   *exec.Cmd
	stdin io.WriteCloser
}

// NewGuard guards dir, which may be empty.
func NewGuard(dir string) (*Guard, error) {
	// The guard has to outlive every context of the test.
	cmd := exec.Command("/bin/sh", "-c", guardScript, "guard", dir) //nolint:noctx // see above
	// Its own group, so that a Ctrl-C for the tests does not end the guard first.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	return &Guard{cmd: cmd, stdin: stdin}, nil
}

// Watch makes pid the process that is killed, together with its process group,
// if it leads one; 0 means none. The one before is forgotten.
func (g *Guard) Watch(pid int) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, err := io.WriteString(g.stdin, strconv.Itoa(pid)+"\n"); err != nil {
		return fmt.Errorf("guard: %w", err)
	}
	return nil
}

// Close does at once what the guard is there for, and waits until it is done.
func (g *Guard) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.cmd == nil {
		return nil
	}
	err := g.stdin.Close()
	if werr := g.cmd.Wait(); err == nil {
		err = werr
	}
	g.cmd = nil
	if err != nil {
		return fmt.Errorf("guard: %w", err)
	}
	return nil
}
