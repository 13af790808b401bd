// Package hook is what package failpoint compiles into a program: at the n-th
// passage of one named point the process ends itself by SIGKILL, as the
// kernel's memory killer would. No program in the tree imports it.
package hook

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

const (
	// Env names the point and the passage, "queued:3". Without it nothing happens.
	Env = "FAILPOINT"
	// Mark begins the line on standard error that a process ends with. The
	// point's name follows, and Position.
	Mark = "failpoint: ended at "
	// Position begins where the last compare-and-set moves the cursor to, 0 where
	// there was none.
	Position = ", position "
)

// fate is the one point at which this process ends.
//
//nolint:gochecknoglobals // a process ends once
var fate = sync.OnceValue(func() *countdown {
	point, passage, _ := strings.Cut(os.Getenv(Env), ":")
	n, err := strconv.ParseInt(passage, 10, 64)
	if err != nil || n < 1 {
		return &countdown{}
	}
	c := &countdown{point: point}
	c.left.Store(n)
	return c
})

type countdown struct {
	point string
	left  atomic.Int64
	// position is where the last compare-and-set that was sent moves the cursor.
	position atomic.Int64
}

// Pass says that the process is at a point. It does not return where the
// process ends there.
func Pass(point string) {
	c := fate()
	if c.point != point || c.left.Add(-1) != 0 {
		return
	}
	// Written directly: what a program's logger holds back is lost with it.
	fmt.Fprintf(os.Stderr, "%s%s%s%d\n", Mark, point, Position, c.position.Load())
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}
