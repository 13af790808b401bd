package mariadb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"sidestream/internal/testkit"
)

const (
	readyInterval   = 10 * time.Millisecond
	shutdownTimeout = time.Minute
)

var (
	errPortTaken  = errors.New("the port is taken")
	errEnded      = errors.New("mariadbd ended before it was ready")
	errNotReady   = errors.New("mariadbd does not answer")
	errRunning    = errors.New("mariadbd runs already")
	errNotRunning = errors.New("mariadbd does not run")
	errNotOurs    = errors.New("this server was not started by the test kit: use Start")
	errTooSlow    = errors.New("mariadbd did not shut down in time and was killed")
)

// Kill ends the server with SIGKILL and waits until it is gone. A server that
// does not run is left alone.
func (s *Server) Kill(tb testing.TB) {
	tb.Helper()
	s.control(tb, "kill", func(l *local) error {
		if err := l.kill(); !errors.Is(err, errNotRunning) {
			return err
		}
		return nil
	})
}

// Stop freezes the server with SIGSTOP and returns when it stands still:
// connections stay open, nothing answers.
func (s *Server) Stop(tb testing.TB) {
	tb.Helper()
	s.control(tb, "stop", func(l *local) error { return l.with(testkit.Freeze) })
}

// Cont lets a frozen server go on.
func (s *Server) Cont(tb testing.TB) {
	tb.Helper()
	s.control(tb, "continue", func(l *local) error {
		return l.with(func(p *os.Process) error { return p.Signal(syscall.SIGCONT) })
	})
}

// Shutdown ends the server in an orderly way (SIGTERM) and waits for that.
func (s *Server) Shutdown(tb testing.TB) {
	tb.Helper()
	s.control(tb, "shut down", (*local).shutdown)
}

// Restart shuts the server down, if it runs, and starts it on the same port and
// data with further options for this run. It returns when the server answers.
func (s *Server) Restart(tb testing.TB, extraArgs ...string) {
	tb.Helper()
	s.control(tb, "restart", func(l *local) error {
		if err := l.shutdown(); err != nil && !errors.Is(err, errNotRunning) {
			return err
		}
		if err := s.launch(extraArgs); err != nil {
			return fmt.Errorf("%w; its log ends with:\n%s", err, s.LogTail())
		}
		return nil
	})
}

// Running tells whether the server's process is there, frozen or not.
func (s *Server) Running() bool {
	if s.local == nil {
		return true
	}
	s.local.mu.Lock()
	defer s.local.mu.Unlock()
	return s.local.cmd != nil && !s.local.ended()
}

// control reports with Errorf, which any goroutine may call.
func (s *Server) control(tb testing.TB, what string, do func(*local) error) {
	tb.Helper()
	err := errNotOurs
	if s.local != nil {
		err = do(s.local)
	}
	if err != nil {
		tb.Errorf("%s mariadbd: %v", what, err)
	}
}

// launch starts the process and waits until it answers.
func (s *Server) launch(extra []string) error {
	l := s.local
	if err := l.spawn(extra); err != nil {
		return err
	}
	if err := s.waitReady(l.opts.ready); err != nil {
		_ = l.kill()
		if strings.Contains(s.LogTail(), "Address already in use") {
			return errors.Join(errPortTaken, err)
		}
		return err
	}
	return nil
}

func (l *local) spawn(extra []string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cmd != nil {
		return errRunning
	}
	logFile, err := os.OpenFile(l.logFile(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("server log: %w", err)
	}
	defer logFile.Close()
	alive, held, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("pipe: %w", err)
	}
	defer held.Close()
	cmd := exec.Command(l.in.server, l.args(extra)...) //nolint:noctx // ended by signals
	cmd.Dir = l.data
	cmd.Stdout, cmd.Stderr = logFile, logFile
	cmd.ExtraFiles = []*os.File{held}
	cmd.SysProcAttr = l.id.attributes()
	if err := cmd.Start(); err != nil {
		return errors.Join(err, alive.Close())
	}
	l.cmd, l.alive = cmd, alive
	return l.guard.Watch(cmd.Process.Pid)
}

func (s *Server) waitReady(timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	ticker := time.NewTicker(readyInterval)
	defer ticker.Stop()
	for {
		// Galera answers a ping before it answers a query.
		err := s.try(ctx, "SELECT 1")
		if err == nil {
			return nil
		}
		if !s.Running() {
			return errEnded
		}
		select {
		case <-ctx.Done():
			return errors.Join(errNotReady, err)
		case <-ticker.C:
		}
	}
}

// ended tells whether the process has closed its end of the pipe. l.mu is held.
func (l *local) ended() bool {
	_ = l.alive.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err := l.alive.Read(make([]byte, 1))
	return errors.Is(err, io.EOF)
}

// with does something to the running process.
func (l *local) with(do func(*os.Process) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cmd == nil {
		return errNotRunning
	}
	return do(l.cmd.Process)
}

// kill ends the whole process group: a state transfer of Galera has children.
func (l *local) kill() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cmd == nil {
		return errNotRunning
	}
	if err := syscall.Kill(-l.cmd.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("signal: %w", err)
	}
	return l.reap()
}

func (l *local) shutdown() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cmd == nil {
		return errNotRunning
	}
	// A frozen server would never read the signal.
	for _, sig := range []syscall.Signal{syscall.SIGCONT, syscall.SIGTERM} {
		if err := l.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("signal: %w", err)
		}
	}
	var late error
	timer := time.AfterFunc(shutdownTimeout, func() { _ = l.cmd.Process.Kill() })
	err := l.reap()
	if !timer.Stop() {
		late = errTooSlow
	}
	return errors.Join(late, err)
}

// reap waits for the process, which has been told to end. l.mu is held.
func (l *local) reap() error {
	err := l.cmd.Wait()
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		err = nil // how it ended is not the question
	}
	l.cmd = nil
	return errors.Join(err, l.alive.Close(), l.guard.Watch(0))
}

// close ends the server and removes what it left.
func (l *local) close() error {
	err := l.kill()
	if errors.Is(err, errNotRunning) {
		err = nil
	}
	return errors.Join(err, l.guard.Close())
}
