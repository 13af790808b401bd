package e2e_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"sidestream/internal/mysql"
	"sidestream/internal/testkit"
	"sidestream/internal/testkit/mariadb"
	"sidestream/internal/testkit/proxy"
	"sidestream/replicator"
)

const (
	// Fifty messages a second for ten minutes are 30,000 messages. An ordinary
	// run stores fewer; SIDESTREAM_OUTAGE asks for another number.
	everydayOutage = 6_000
	// outagePerDelivery is how many of them share a commit.
	outagePerDelivery = 10
	// outageMessagesPerAttempt is how often the CRM is tried meanwhile: at the
	// default pace some thirty times in ten minutes, here hundreds of times as often.
	outageMessagesPerAttempt = 7
	// outageSamples is how often memory is looked at.
	outageSamples = 12
)

// absences are the ways in which a CRM is away, in turn.
func absences(t *testing.T, p *proxy.Proxy) []func() {
	t.Helper()
	away := func(rule func(proxy.Event) proxy.Action) func() {
		return func() {
			// In this order there is no moment at which the CRM is there.
			p.Intercept(rule)
			p.Refuse(t, false)
			p.All(t, proxy.Drop())
		}
	}
	return []func(){
		func() { p.Refuse(t, true); p.All(t, proxy.Drop()) },
		away(func(e proxy.Event) proxy.Action {
			if e.Moment == proxy.Connecting {
				return proxy.Drop()
			}
			return proxy.Pass()
		}),
		// The cursor can be read, the batch is read and mapped, and the INSERT or
		// the COMMIT does not come through.
		away(proxy.At(proxy.Received, "INSERT", proxy.Drop())),
		away(proxy.At(proxy.Received, isCommit, proxy.Drop())),
	}
}

// TestShowOutage has ten minutes' messages arrive while the CRM is away in four
// ways, and stores the same messages without a sidecar beside it.
func TestShowOutage(t *testing.T) {
	messages := number(t, "SIDESTREAM_OUTAGE", everydayOutage)
	server := mariadb.Shared(t)
	db := server.Database(t)
	between := proxy.New(t, server.Addr())
	with, without := newFeed(t), newFeed(t)

	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	l := startLoop(t, ctx, &running, with.path, db.At(between.Addr()), func(o *mysql.Options, r *replicator.Options) {
		r.MaxBackoff = time.Millisecond
	})
	with.say(t, 100)
	without.say(t, 100)
	reached := func() bool { return l.State().Cursor.Position == with.head() }
	testkit.Eventually(t, patient, reached, "applied before the outage")

	// The same deliveries go to both files, in turn, so both WALs see the same
	// moments of the machine.
	attempts := func() int { return l.State().Failures }
	modes := absences(t, between)
	walWith, walWithout := walSampler{path: with.path}, walSampler{path: without.path}
	before := heapInUse()
	var heaps []uint64
	for sample := range outageSamples {
		modes[sample%len(modes)]()
		for stored := 0; stored < messages/outageSamples; stored += outagePerDelivery {
			for f, wal := range map[*feed]*walSampler{with: &walWith, without: &walWithout} {
				f.unwritten(t, outagePerDelivery)
				wal.look(t)
			}
			// A scrape reads the source too.
			if stored%500 == 0 {
				if _, err := l.registry.Gather(); err != nil {
					t.Fatal(err)
				}
			}
		}
		goal := (sample + 1) * messages / outageMessagesPerAttempt / outageSamples
		testkit.Eventually(t, patient, func() bool { return attempts() >= goal }, "attempts made")
		heaps = append(heaps, heapInUse())
	}
	if got := l.State().Cursor.Position; got != 100 {
		t.Errorf("position %d was reached during the outage", got)
	}
	tried := attempts()

	between.Intercept(nil)
	between.Refuse(t, false)
	started := time.Now()
	testkit.Eventually(t, patient, reached, "applied after the outage")
	t.Logf("%d messages caught up %v after the CRM was back", with.head()-100, time.Since(started).Round(time.Millisecond))
	stop()
	running.Wait()
	with.recall()
	sums := with.wantAll(t, db)
	t.Logf("outage: %d messages stored, %d failed attempts; after it: %v", with.head()-100, tried, sums)

	const mebi = 1 << 20
	// Each way of being away comes three times: the last round against the first.
	grown := int64(slices.Max(heaps[8:])) - int64(slices.Max(heaps[:4]))
	t.Logf("heap in use after GC: before %.1f MiB, during %v MiB, last round against first %+.1f MiB", float64(before)/mebi, inMebi(heaps), float64(grown)/mebi)
	if grown > mebi {
		t.Errorf("the heap grew by %d bytes during the outage", grown)
	}
	t.Logf("WAL of the source: with the sidecar at most %d bytes, without it %d", walWith.largest, walWithout.largest)
	if walWith.largest > walWithout.largest {
		t.Errorf("the WAL reached %d bytes with the sidecar and %d without it", walWith.largest, walWithout.largest)
	}
}

func inMebi(sizes []uint64) []float64 {
	out := make([]float64, len(sizes))
	for i, n := range sizes {
		out[i] = float64(n*10>>20) / 10
	}
	return out
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

// walSampler keeps the largest size of a database's WAL; it never opens it.
type walSampler struct {
	path    string
	largest int64
}

func (w *walSampler) look(tb testing.TB) {
	tb.Helper()
	info, err := os.Stat(w.path + "-wal")
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		tb.Fatal(err)
	}
	w.largest = max(w.largest, info.Size())
}
