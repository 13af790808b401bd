package testkit

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// tailLines is how much of a failed test's process output is shown.
const tailLines = 40

// ProcessOptions says what StartProcess starts.
type ProcessOptions struct {
	// Path is the binary, as BuildBinary returns it.
	Path string
	Args []string
	// Env is added to PATH, HOME and TMPDIR; nothing else is inherited, so that
	// the settings of the machine's user do not reach the program under test.
	Env []string
	// Dir is the working directory. Defaults to the test's.
	Dir string
	// Credential is the user that the program runs as. It takes root. Defaults
	// to the test's.
	Credential *syscall.Credential
	// Quiet keeps the output out of a failed test's log: for tests that start
	// hundreds of programs and know which one matters.
	Quiet bool
}

// Process is a program under test. Its methods are safe for concurrent use.
type Process struct {
	cmd    *exec.Cmd
	guard  *Guard
	quiet  bool
	stdout buffer
	stderr buffer
	done   chan struct{}
}

// StartProcess starts a program in a process group of its own. It is killed at
// the test's end if it still runs then, and its last lines of output are shown
// if the test has failed.
func StartProcess(tb testing.TB, opts ProcessOptions) *Process {
	tb.Helper()
	guard, err := NewGuard("")
	if err != nil {
		tb.Fatalf("%v", err)
	}
	// The process ends by signals that the test sends, not by a context.
	cmd := exec.Command(opts.Path, opts.Args...) //nolint:noctx // see above
	p := &Process{cmd: cmd, guard: guard, quiet: opts.Quiet, done: make(chan struct{})}
	cmd.Dir = opts.Dir
	cmd.Env = append(inheritedEnv(), opts.Env...)
	cmd.Stdout, cmd.Stderr = &p.stdout, &p.stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: opts.Credential}
	// A grandchild that keeps the pipes open must not keep Wait waiting.
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		_ = guard.Close()
		tb.Fatalf("start %s: %v", opts.Path, err)
	}
	tb.Cleanup(func() { p.end(tb) })
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // ExitCode tells what came of it.
	}()
	if err := guard.Watch(cmd.Process.Pid); err != nil {
		tb.Fatalf("%v", err)
	}
	return p
}

func inheritedEnv() []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

func (p *Process) end(tb testing.TB) {
	tb.Helper()
	_ = p.cmd.Process.Kill()
	<-p.done
	_ = p.guard.Watch(0)
	if err := p.guard.Close(); err != nil {
		tb.Errorf("%v", err)
	}
	if tb.Failed() && !p.quiet {
		tb.Logf("%s: exit code %d, last lines of stderr:\n%s", p.cmd.Path, p.cmd.ProcessState.ExitCode(), tail(p.stderr.String()))
	}
}

func tail(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-tailLines):], "\n")
}

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended and its output is complete.
func (p *Process) Done() <-chan struct{} { return p.done }

// Stdout returns what the process has written to standard output so far.
func (p *Process) Stdout() string { return p.stdout.String() }

// Stderr returns what the process has written to standard error so far.
func (p *Process) Stderr() string { return p.stderr.String() }

// Kill sends SIGKILL.
func (p *Process) Kill(tb testing.TB) { tb.Helper(); p.Signal(tb, syscall.SIGKILL) }

// Term sends SIGTERM.
func (p *Process) Term(tb testing.TB) { tb.Helper(); p.Signal(tb, syscall.SIGTERM) }

// Stop freezes the process (SIGSTOP) and returns when it stands still. One that
// has ended already is left alone.
func (p *Process) Stop(tb testing.TB) {
	tb.Helper()
	if err := Freeze(p.cmd.Process); err != nil && !errors.Is(err, os.ErrProcessDone) {
		tb.Errorf("stop %s: %v", p.cmd.Path, err)
	}
}

// Cont lets a frozen process go on (SIGCONT).
func (p *Process) Cont(tb testing.TB) { tb.Helper(); p.Signal(tb, syscall.SIGCONT) }

// Signal sends a signal. A process that has ended already is left alone.
func (p *Process) Signal(tb testing.TB, sig syscall.Signal) {
	tb.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		tb.Errorf("signal %v to %s: %v", sig, p.cmd.Path, err)
	}
}

// Wait waits for the end and returns the exit code, -1 where a signal ended
// the process. The test fails where that takes longer than timeout.
func (p *Process) Wait(tb testing.TB, timeout time.Duration) int {
	tb.Helper()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-timer.C:
		tb.Fatalf("%s still runs after %v", p.cmd.Path, timeout)
		return -1
	}
}

// KilledBy returns the signal that ended the process, or 0 where it still runs
// or ended by itself.
func (p *Process) KilledBy() syscall.Signal {
	select {
	case <-p.done:
	default:
		return 0
	}
	if status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return status.Signal()
	}
	return 0
}

// WantExit waits for the end and fails the test unless the exit code is code.
func (p *Process) WantExit(tb testing.TB, timeout time.Duration, code int) {
	tb.Helper()
	if got := p.Wait(tb, timeout); got != code {
		tb.Fatalf("%s: exit code %d, want %d; stderr:\n%s", p.cmd.Path, got, code, tail(p.Stderr()))
	}
}

// WaitOutput waits until standard output or standard error contains text. The
// test fails where that takes longer than timeout or the process ends without it.
func (p *Process) WaitOutput(tb testing.TB, timeout time.Duration, text string) {
	tb.Helper()
	EventuallyNil(tb, timeout, func() error {
		ended := false
		select {
		case <-p.done:
			ended = true
		default:
		}
		if strings.Contains(p.Stdout(), text) || strings.Contains(p.Stderr(), text) {
			return nil
		}
		if ended {
			tb.Fatalf("%s ended without writing %q; stderr:\n%s", p.cmd.Path, text, tail(p.Stderr()))
		}
		return errNotYet
	}, fmt.Sprintf("%s writes %q", p.cmd.Path, text))
}

// buffer is a bytes.Buffer that can be read while the process writes.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(data)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
