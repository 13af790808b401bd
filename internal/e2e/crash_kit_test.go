package e2e_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sidestream/internal/simulate"
	"sidestream/internal/testkit"
	"sidestream/internal/testkit/failpoint"
	"sidestream/internal/testkit/failpoint/hook"
	"sidestream/internal/testkit/mariadb"
)

const (
	// crashLanes is how many deliveries are under way at once.
	crashLanes = 6
	// crashWithin is the passage of a point by which a process ends, at most:
	// some end in their first transaction, others in the middle of their work. The
	// writer's are passed once for each delivery, the replicator's for each batch.
	crashWithin, crashWithinDeliveries = 40, 120
)

// crashSite is an installation of programs with failpoints in them.
type crashSite struct {
	*rig
	binaries map[failpoint.Program]string
	random   *rand.Rand
	running  map[failpoint.Program]*testkit.Process
	tally    map[failpoint.Point]*crashTally
	// restarts is how often a program was started after it had been killed.
	restarts int
}

// crashTally is what happened at one point.
type crashTally struct {
	hits int
	// committed is how many of the hits left their transaction in the CRM.
	committed int
}

func newCrashSite(t *testing.T, seed uint64) *crashSite {
	t.Helper()
	return &crashSite{
		rig: newRig(t, mariadb.Shared(t).Database(t)), random: rand.New(rand.NewPCG(seed, 0)),
		running: map[failpoint.Program]*testkit.Process{}, tally: map[failpoint.Point]*crashTally{},
		binaries: map[failpoint.Program]string{failpoint.Writer: failpoint.Build(t, failpoint.Writer), failpoint.Replicator: failpoint.Build(t, failpoint.Replicator)},
	}
}

func (c *crashSite) start(t *testing.T, program failpoint.Program, env ...string) {
	t.Helper()
	c.running[program] = testkit.StartProcess(t, testkit.ProcessOptions{Path: c.binaries[program], Args: []string{"-c", c.config}, Dir: c.dir, Env: env})
}

// crash starts both programs and has them end so many times at each of the
// points given, while the other one goes on, or ends too. Both run unharmed when
// it returns.
func (c *crashSite) crash(t *testing.T, times int, points ...failpoint.Point) {
	t.Helper()
	due := map[failpoint.Program][]failpoint.Point{}
	for _, p := range points {
		c.tally[p] = &crashTally{}
		due[p.Program] = append(due[p.Program], slices.Repeat([]failpoint.Point{p}, times)...)
	}
	armed := map[failpoint.Program]failpoint.Point{}
	next := func(program failpoint.Program) {
		t.Helper()
		left := len(due[program])
		if left == 0 {
			delete(armed, program)
			c.start(t, program)
			return
		}
		armed[program], due[program] = due[program][left-1], due[program][:left-1]
		within := crashWithin
		if program == failpoint.Writer {
			within = crashWithinDeliveries
		}
		c.start(t, program, failpoint.At(armed[program], 1+c.random.IntN(within)))
	}
	for _, program := range []failpoint.Program{failpoint.Writer, failpoint.Replicator} {
		points := due[program]
		c.random.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
		next(program)
	}
	for len(armed) > 0 {
		program := c.ended(t, armed)
		c.judge(t, c.running[program], armed[program])
		c.restarts++
		next(program)
	}
}

// judge counts how a process ended.
func (c *crashSite) judge(t *testing.T, process *testkit.Process, point failpoint.Point) {
	t.Helper()
	position, here := failpoint.EndedAt(point, process.Stderr())
	if process.KilledBy() != syscall.SIGKILL || !here {
		t.Fatalf("the %s ended elsewhere than at %q: signal %d, exit code %d", point.Program, point.Name, process.KilledBy(), process.Wait(t, patient))
	}
	tally := c.tally[point]
	tally.hits++
	// When rows are read, the last transaction is the one before.
	if position > 0 && point.Name != failpoint.RowsRead && c.committed(t, point, position) {
		tally.committed++
	}
}

// committed reports whether the cursor is where the transaction of a process
// that has ended moves it. The server may not have come to its COMMIT yet.
func (c *crashSite) committed(t *testing.T, point failpoint.Point, position int64) bool {
	t.Helper()
	query := "SELECT position FROM sidestream_cursor WHERE source = 'main'"
	if point.Name == hook.CommitSent {
		testkit.Eventually(t, patient, func() bool { return c.db.Int(t, query) == position }, "a COMMIT that was sent has happened")
	}
	return c.db.Int(t, query) == position
}

// ended waits until one of the armed programs has ended.
func (c *crashSite) ended(t *testing.T, armed map[failpoint.Program]failpoint.Point) (program failpoint.Program) {
	t.Helper()
	testkit.Eventually(t, patient, func() bool {
		for p := range armed {
			select {
			case <-c.running[p].Done():
				program = p
				return true
			default:
			}
		}
		return false
	}, fmt.Sprintf("ended at one of %v", armed))
	return program
}

// stored returns the messages in the order of their positions.
func (c *crashSite) stored(t *testing.T) (ids []simulate.MessageID) {
	t.Helper()
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(c.dir, "messages.db")+"?mode=ro&_query_only=true&_busy_timeout=10000")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), "SELECT account_id, id FROM messages WHERE kind = 'message' ORDER BY seq")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id simulate.MessageID
		if err := rows.Scan(&id.AccountID, &id.ID); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return ids
}

// traffic is what Instagram delivers, in several lanes at once, each delivery
// until it is acknowledged.
type traffic struct {
	// expected knows all lanes, lanes each its own: inside of a lane one
	// delivery follows the other, so that the order is known without the file.
	expected *simulate.Expected
	lanes    []*lane
	// again counts the attempts that were not acknowledged.
	again atomic.Int64

	stop    context.CancelFunc
	running sync.WaitGroup
	failed  chan error
}

type lane struct {
	generator *simulate.Generator
	expected  *simulate.Expected
}

// crashShapes are all shapes, with more edits and unsends than people make.
func crashShapes() []simulate.Shape {
	return append(simulate.AllShapes(), simulate.ShapeEdit, simulate.ShapeEdit, simulate.ShapeEdit, simulate.ShapeEdit, simulate.ShapeUnsend, simulate.ShapeUnsend)
}

func (c *crashSite) traffic(t *testing.T, seed uint64) *traffic {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	f := &traffic{expected: simulate.NewExpected(simulate.Rules{}), stop: stop, failed: make(chan error, crashLanes)}
	sender := c.sender(t)
	for i := range crashLanes {
		l := &lane{
			generator: simulate.NewGenerator(simulate.GeneratorOptions{Seed: seed*crashLanes + uint64(i), Shapes: crashShapes()}),
			expected:  simulate.NewExpected(simulate.Rules{}),
		}
		f.lanes = append(f.lanes, l)
		f.running.Go(func() {
			for wait(ctx, time.Millisecond) == nil {
				d := l.generator.Next()
				// Not until ctx ends: what was begun is delivered.
				receipt, err := sender.Post(t.Context(), d)
				f.again.Add(int64(receipt.Attempts - 1))
				if err != nil {
					f.failed <- err
					return
				}
				f.expected.Acknowledged(d)
				l.expected.Acknowledged(d)
			}
		})
	}
	t.Cleanup(func() { f.stop(); f.running.Wait() })
	return f
}

// end stops the traffic. Everything that was begun is acknowledged.
func (f *traffic) end(t *testing.T) {
	t.Helper()
	f.stop()
	f.running.Wait()
	select {
	case err := <-f.failed:
		t.Fatalf("a delivery was given up: %v", err)
	default:
	}
}

// differences compares what is in the CRM with what was acknowledged, in the
// order of the file. apart is how many lanes differ by themselves, each in the
// order of its own acknowledgements.
func (f *traffic) differences(t *testing.T, c *crashSite) (sums simulate.Sums, apart int) {
	t.Helper()
	rows := c.rows(t)
	want, strangers := f.expected.RowsOf(c.stored(t))
	sums = simulate.Compare(want, rows)
	sums.Unexpected += strangers
	for _, l := range f.lanes {
		people := l.generator.UserIDs()
		own := slices.DeleteFunc(slices.Clone(rows), func(row simulate.Row) bool { return !slices.Contains(people, row.UserID) })
		if !simulate.Compare(l.expected.Rows(), own).Clean() {
			apart++
		}
	}
	return sums, apart
}
