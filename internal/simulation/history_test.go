package simulation_test

import (
	"context"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"

	"sidestream/internal/testkit/fake"
	"sidestream/mapping"
	"sidestream/replicator"
)

// The clocks of a history: when it begins, and when strangers' rows were made.
var (
	epoch     = time.Date(2026, time.March, 1, 10, 0, 0, 0, time.UTC)
	strangers = time.Date(2020, time.January, 1, 0, 0, 0, 0, time.UTC)
)

// world is what both loops and the operator share.
type world struct {
	crm crm
	// graveyard is the connection on which abandoned transactions end.
	graveyard client

	row    sync.Mutex // guards zombie, who holds the cursor's row
	zombie *zombie

	mu    sync.Mutex
	trace []string
	cover map[string]int
	// violations are promises that were seen broken on the way.
	violations []string
}

// violate notes a broken promise. It may be called from a loop's goroutine.
func (w *world) violate(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.violations = append(w.violations, fmt.Sprintf(format, args...))
}

// note writes a line of the history.
func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
}

// count notes that a kind of event was seen.
func (w *world) count(kind string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cover[kind]++
}

// lock takes the cursor's row, behind the transaction that holds it.
func (w *world) lock() {
	w.row.Lock()
	defer w.row.Unlock()
	if z := w.zombie; z != nil {
		w.zombie = nil
		z.end()
	}
}

// held tells whether a transaction still waits for the cursor's row in vain.
func (w *world) held() bool {
	w.row.Lock()
	defer w.row.Unlock()
	if w.zombie == nil || w.zombie.waits == 0 {
		return false
	}
	w.zombie.waits--
	return true
}

// abandon leaves a transaction behind that holds the cursor's row.
func (w *world) abandon(z *zombie) {
	w.row.Lock()
	defer w.row.Unlock()
	w.zombie = z
}

// loop is one replicator process.
type loop struct {
	*replicator.Replicator

	name     string
	registry *prometheus.Registry
	link     *link
	inlet    *inlet
	wakeup   chan struct{}
}

// history is one simulated life of a source, a CRM, two replicators between
// them, and an operator. Everything that happens is drawn.
type history struct {
	*rapid.T
	*world
	oracle

	mapper *mapping.Mapper
	file   *fake.Source
	// copies are older copies of the file, as backups are.
	copies []*fake.Source
	// begun is the highest position of this file behind which a decision began.
	begun  int64
	dumps  []backup
	era    int
	loops  [2]*loop
	tokens int
	// decisions counts the operator's, and is their time.
	decisions int64
	// errors counts the unknown errors: eight in a row are evidence of a bad row.
	errors int
	// operator is the operator's connection; listed what the last look at the
	// dead letters showed.
	operator *link
	listed   []fake.Letter
	// bubble is set where time is the bubble's (testing/synctest): Run can be
	// driven there.
	bubble bool
}

func newHistory(t *rapid.T, on crm, cover map[string]int) *history {
	h := &history{T: t, world: &world{crm: on, graveyard: on.connect(), cover: cover}, file: fake.NewSource("source")}
	h.oracle = newOracle()
	mapper, err := mapping.New(mapping.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h.mapper = mapper
	h.operator = &link{client: on.connect(), world: h.world, name: "the operator"}
	on.taste(usual)
	if s, ok := on.(*server); ok {
		s.move(rapid.IntRange(0, 3).Draw(t, "ids moved") == 3)
	}
	on.mute(rapid.Bool().Draw(t, "row unnamed"))
	return h
}

// start is a process that starts: it knows nothing yet.
func (h *history) start(i int) {
	if before := h.loops[i]; before != nil {
		h.audit(before)
	}
	l := &loop{registry: prometheus.NewRegistry(), name: fmt.Sprint("loop ", i), inlet: &inlet{Source: h.file}, wakeup: make(chan struct{}, 1)}
	l.link = &link{client: h.crm.connect(), world: h.world, name: l.name}
	random := mathrand.New(mathrand.NewPCG(rapid.Uint64().Draw(h.T, "randomness"), 0)) //nolint:gosec // jitter
	opt := replicator.Options{
		Source: l.inlet, Target: l.link, Mapper: h.mapper, Wakeups: l.wakeup,
		Usernames: &names{known: rapid.IntRange(0, 4).Draw(h.T, "names known")},
		BatchRows: rapid.SampledFrom([]int{1, 2, 3, 4, 5, 6, 7, 8, 9, 40}).Draw(h.T, "batch rows"),
		Random:    random.Float64,
		Token:     h.token, Registerer: l.registry,
	}
	var err error
	if l.Replicator, err = replicator.New(opt); err != nil {
		h.Fatal(err)
	}
	h.loops[i] = l
}

func (h *history) token() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tokens++
	return fmt.Sprint("token-", h.tokens)
}

// step lets a loop do one step, and the operator look at what it says.
func (h *history) step(i int) {
	l := h.loops[i]
	progress, err := l.Step(h.Context())
	if err == nil {
		h.note("%s steps: %s", l.name, map[bool]string{true: "applied", false: "nothing to do"}[progress])
		h.count("state " + string(l.State().Phase))
		return
	}
	h.note("%s steps: %s", l.name, outcome(err))
	h.observe(l)
}

// observe counts what a loop says of itself.
func (h *history) observe(l *loop) {
	s := l.State()
	h.count("state " + string(s.Phase))
	if s.Failure != nil {
		h.count("reason " + s.Failure.Reason)
	}
}

func outcome(err error) string {
	if err == nil {
		return "committed"
	}
	return replicator.AsFailure(err).Error()
}

// fail ends a history that went wrong, and prints it.
func (h *history) fail(format string, args ...any) {
	h.Helper()
	h.mu.Lock()
	lines := strings.Join(h.trace, "\n  ")
	h.mu.Unlock()
	h.Fatalf("%s\n\nwhat happened, in order:\n  %s\n\nthe log:\n  %s\n\nthe CRM:\n  %s", fmt.Sprintf(format, args...), lines, h.describeLog(), h.describeCRM())
}

func (h *history) describeLog() string {
	var lines []string
	for _, c := range h.file.Log() {
		lines = append(lines, fmt.Sprintf("%d %s %s %d", c.Position, c.Kind, c.MessageID, c.Version))
	}
	return strings.Join(lines, "\n  ")
}

func (h *history) describeCRM() string {
	c := h.crm.cursor()
	lines := []string{fmt.Sprintf("cursor at %d, generation %d, begun at %d", c.Position, c.Generation, c.StartPosition)}
	for _, r := range h.crm.rows() {
		lines = append(lines, fmt.Sprintf("row %d: m%d %q", r.id, midOf(r), r.message))
	}
	for _, l := range h.crm.letters() {
		lines = append(lines, fmt.Sprintf("dead letter: position %d of generation %d, %s", l.Position, l.Generation, l.MessageID))
	}
	return strings.Join(lines, "\n  ")
}

// settle lets everything finish without faults: the loops that are there, and
// then one that was just started, because an idle loop looks only now and then
// whether somebody has moved its cursor.
func (h *history) settle() {
	h.note("from here on nothing fails any more")
	h.reunite()
	for i := range h.loops {
		h.calm(i)
	}
	for range 20 {
		if h.quiet(0) && h.quiet(1) {
			break
		}
		h.resolve()
	}
	h.start(0)
	for range 20 {
		if h.quiet(0) {
			return
		}
		h.resolve()
	}
	h.fail("the operator does not get replication going again")
}

// calm takes the faults away that are still to come.
func (h *history) calm(i int) {
	h.loops[i].link.strike(fault{})
	h.loops[i].link.fail(0, "")
	h.loops[i].inlet.fail(0)
	h.operator.fail(0, "")
	for h.held() {
		continue
	}
}

// quiet lets a loop work until there is nothing left; false means that a person
// has to decide.
func (h *history) quiet(i int) bool {
	l := h.loops[i]
	if h.bubble {
		defer h.run(i)()
	} else {
		h.start(i) // an idle loop that only steps never reads its cursor again
		l = h.loops[i]
	}
	for range 3000 {
		if h.bubble {
			elapse(25 * time.Second) // longer than IdleReload, and than one after it
		} else {
			_, _ = l.Step(h.Context())
		}
		switch s := l.State(); s.Phase {
		case replicator.Idle:
			return true
		case replicator.Stuck:
			h.note("%s: %s", l.name, s.Failure.Error())
			h.observe(l)
			return false
		default:
		}
	}
	h.fail("%s is not done: %v", l.name, l.State().Failure)
	return false
}

// run starts a loop; the returned function ends it in good order.
func (h *history) run(i int) (stop func()) {
	ctx, cancel := context.WithCancel(h.Context())
	done := make(chan error, 1)
	go func() { done <- h.loops[i].Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			h.Errorf("Run: %v", err)
		}
	}
}

// elapse lets time pass on the bubble's clock.
func elapse(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func begins(text, prefix string) bool { return strings.HasPrefix(text, prefix) }
