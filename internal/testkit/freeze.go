package testkit

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// freezeTimeout is for a process that was frozen already: it does not report
// that again.
const freezeTimeout = time.Second

// Freeze sends SIGSTOP to a child of this process and waits until all its
// threads stand still: the signal alone lets a busy one answer once more.
func Freeze(child *os.Process) error {
	if err := child.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	err := poll(freezeTimeout, func() error {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(child.Pid, &status, syscall.WUNTRACED|syscall.WNOHANG, nil)
		if err == nil && pid == 0 {
			return errNotYet
		}
		return nil
	})
	if errors.Is(err, errNotYet) {
		return nil
	}
	return err
}
