package testkit_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sidestream/internal/testkit"
)

const patience = 30 * time.Second

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// probe is a test that is watched from outside. Fatal ends its goroutine, as
// the real one does.
type probe struct {
	testing.TB
	lines    []string
	fatal    string
	cleanups []func()
}

func (p *probe) Helper()           {}
func (p *probe) Cleanup(f func())  { p.cleanups = append(p.cleanups, f) }
func (p *probe) Log(values ...any) { p.lines = append(p.lines, fmt.Sprint(values...)) }

type stop struct{}

func (p *probe) Fatalf(format string, args ...any) {
	p.fatal = fmt.Sprintf(format, args...)
	panic(stop{})
}

// run runs f as the probe's test and then its cleanups.
func (p *probe) run(f func(*probe)) {
	defer func() {
		for _, c := range p.cleanups {
			c()
		}
		if r := recover(); r != nil && r != (stop{}) {
			panic(r)
		}
	}()
	f(p)
}

func TestEventually(t *testing.T) {
	t.Parallel()

	t.Run("returns_when_it_is_so", func(t *testing.T) {
		t.Parallel()
		var asked atomic.Int32
		testkit.Eventually(t, patience, func() bool { return asked.Add(1) == 3 }, "asked three times")
		if n := asked.Load(); n != 3 {
			t.Errorf("asked %d times", n)
		}
	})

	t.Run("asks_at_least_once_and_fails_with_the_last_reason", func(t *testing.T) {
		t.Parallel()
		p := &probe{TB: t}
		p.run(func(tb *probe) {
			testkit.EventuallyNil(tb, 0, func() error { return errors.New("too cold") }, "warm")
		})
		if want := "after 0s still not: warm: too cold"; p.fatal != want {
			t.Errorf("got %q, want %q", p.fatal, want)
		}
	})
}

func TestLogger(t *testing.T) {
	t.Parallel()
	p := &probe{TB: t}
	var logger *slog.Logger
	p.run(func(tb *probe) {
		logger = testkit.Logger(tb)
		logger.Debug("one", "key", 1)
	})
	logger.Error("two")
	if len(p.lines) != 1 || !strings.Contains(p.lines[0], "msg=one key=1") || strings.HasSuffix(p.lines[0], "\n") {
		t.Errorf("got %q", p.lines)
	}
}

func TestListen(t *testing.T) {
	t.Parallel()
	l := testkit.Listen(t)
	defer l.Close()
	if port := l.Addr().(*net.TCPAddr).Port; port >= 32768 {
		t.Errorf("port %d may be taken by an outgoing connection", port)
	}
	if testkit.Port(t) == l.Addr().(*net.TCPAddr).Port {
		t.Error("a port was given out while it was taken")
	}
}

func TestBuildBinary(t *testing.T) {
	t.Parallel()

	t.Run("builds_once_per_package_and_tags", func(t *testing.T) {
		t.Parallel()
		plain := testkit.BuildBinary(t, "./internal/testkit/testdata/talker")
		again := testkit.BuildBinary(t, "./internal/testkit/testdata/talker")
		tagged := testkit.BuildBinary(t, "./internal/testkit/testdata/talker", "loud")
		if plain != again || plain == tagged {
			t.Errorf("paths %s, %s, %s", plain, again, tagged)
		}
		for path, want := range map[string]string{plain: "hello", tagged: "HELLO"} {
			out, err := exec.CommandContext(t.Context(), path).Output()
			if err != nil || !strings.HasPrefix(string(out), want) {
				t.Errorf("%s: %q, %v", path, out, err)
			}
		}
	})

	t.Run("fails_with_the_compiler's_words", func(t *testing.T) {
		t.Parallel()
		p := &probe{TB: t}
		p.run(func(tb *probe) { testkit.BuildBinary(tb, "./internal/testkit/testdata/nothing") })
		if !strings.Contains(p.fatal, "nothing") {
			t.Errorf("got %q", p.fatal)
		}
	})
}

func talker(t *testing.T, opts testkit.ProcessOptions) *testkit.Process {
	t.Helper()
	opts.Path = testkit.BuildBinary(t, "./internal/testkit/testdata/talker")
	return testkit.StartProcess(t, opts)
}

func TestProcess(t *testing.T) {
	t.Parallel()

	t.Run("output_and_exit_code", func(t *testing.T) {
		t.Parallel()
		p := talker(t, testkit.ProcessOptions{Args: []string{"exit", "3"}, Env: []string{"TALKER=x"}})
		p.WantExit(t, patience, 3)
		if p.Stdout() != "hello\n" || !strings.Contains(p.Stderr(), "TALKER=x") {
			t.Errorf("stdout %q, stderr %q", p.Stdout(), p.Stderr())
		}
	})

	t.Run("nothing_of_the_user's_environment", func(t *testing.T) {
		t.Parallel()
		p := talker(t, testkit.ProcessOptions{Args: []string{"exit", "0"}})
		p.WantExit(t, patience, 0)
		for line := range strings.Lines(p.Stderr()) {
			if name, _, _ := strings.Cut(line, "="); name != "PATH" && name != "HOME" && name != "TMPDIR" && strings.TrimSpace(line) != "" {
				t.Errorf("inherited %q", name)
			}
		}
	})

	t.Run("sigterm_is_the_program's_own_business", func(t *testing.T) {
		t.Parallel()
		p := talker(t, testkit.ProcessOptions{Args: []string{"serve"}})
		p.WaitOutput(t, patience, "ready")
		p.Term(t)
		p.WantExit(t, patience, 5)
		p.Kill(t) // too late, and no error
		p.Stop(t)
	})

	t.Run("sigkill_leaves_no_exit_code", func(t *testing.T) {
		t.Parallel()
		p := talker(t, testkit.ProcessOptions{Args: []string{"serve"}})
		p.WaitOutput(t, patience, "ready")
		p.Kill(t)
		p.WantExit(t, patience, -1)
	})

	t.Run("frozen_it_does_nothing_until_it_goes_on", func(t *testing.T) {
		t.Parallel()
		p := talker(t, testkit.ProcessOptions{Args: []string{"count"}})
		p.WaitOutput(t, patience, "3\n")
		p.Stop(t)
		p.Stop(t) // twice is fine
		// The pipe is read by another goroutine: what was written before may
		// still be on its way, so wait for a pause.
		last := p.Stdout()
		testkit.Eventually(t, patience, func() bool {
			now := p.Stdout()
			quiet := now == last
			last = now
			return quiet
		}, "quiet")
		p.Cont(t)
		testkit.Eventually(t, patience, func() bool { return len(p.Stdout()) > len(last) }, "counting again")
	})

	t.Run("it_ends_with_the_test", func(t *testing.T) {
		t.Parallel()
		var p *testkit.Process
		t.Run("inner", func(t *testing.T) { p = talker(t, testkit.ProcessOptions{Args: []string{"serve"}}) })
		select {
		case <-p.Done():
		default:
			t.Error("it still runs")
		}
	})

	t.Run("waiting_for_words_that_never_come_fails_when_it_ends", func(t *testing.T) {
		t.Parallel()
		p := talker(t, testkit.ProcessOptions{Args: []string{"exit", "0"}})
		watched := &probe{TB: t}
		watched.run(func(tb *probe) { p.WaitOutput(tb, time.Hour, "goodbye") })
		if !strings.Contains(watched.fatal, "ended without writing") {
			t.Errorf("got %q", watched.fatal)
		}
	})
}

// TestGuard kills a test binary that has a directory, a binary and a process,
// and looks for what is left.
func TestGuard(t *testing.T) {
	t.Parallel()
	if dir := os.Getenv("SIDESTREAM_TEST_GUARDED"); dir != "" {
		p := talker(t, testkit.ProcessOptions{Args: []string{"serve"}})
		p.WaitOutput(t, patience, "ready")
		fmt.Printf("pid %d\n", p.PID())
		<-t.Context().Done()
		return
	}
	tmp := t.TempDir()
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestGuard$")
	cmd.Env = append(os.Environ(), "SIDESTREAM_TEST_GUARDED=1", "TMPDIR="+tmp)
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	testkit.EventuallyNil(t, 2*patience, func() error {
		text, err := os.ReadFile(out.Name())
		if err != nil {
			return err
		}
		_, line, _ := bytes.Cut(text, []byte("pid "))
		if _, err := fmt.Sscan(string(line), &pid); err != nil {
			return fmt.Errorf("%w in %q", err, text)
		}
		return nil
	}, "the guarded process runs")
	kill()
	_ = cmd.Wait()
	testkit.EventuallyNil(t, patience, func() error {
		left, err := os.ReadDir(tmp)
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("%s is left", left[0].Name())
		}
		return err
	}, "directory removed")
	testkit.Eventually(t, patience, func() bool {
		return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
	}, "process gone")
}
