package replicator_test

import (
	"runtime"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"sidestream/internal/testkit/fake"
	"sidestream/replicator"
)

// TestReplicator_doubts_without_end has every COMMIT go unanswered for a very
// long time, as behind a firewall that lets short packets through only.
func TestReplicator_doubts_without_end(t *testing.T) {
	for name, tc := range map[string]struct {
		last      []fake.Fault
		committed float64
	}{
		"then_one_is_answered":               {nil, 0},
		"then_one_is_committed_unanswered":   {[]fake.Fault{fake.AnswerLost}, 1},
		"then_one_commits_after_the_reading": {[]fake.Fault{fake.Zombie}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			const attempts = 20_000
			registry := prometheus.NewPedanticRegistry()
			b := setup(t, func(o *replicator.Options) { o.Registerer, o.BatchRows = registry, 10 })
			b.source.Append(sayMany(1, 200)...)
			for range 15 {
				_, _ = b.Step(t.Context())
			}
			b.source.Append(sayMany(201, 220)...)
			fault := fake.CommitLost
			b.target.Fault = func() fake.Fault { return fault }
			heap := func() int64 {
				runtime.GC()
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				return int64(m.HeapAlloc)
			}
			step := func(n int) {
				for range n {
					_, _ = b.Step(t.Context())
				}
			}
			step(1000)
			before := heap()
			step(attempts - 1000)
			if grown := heap() - before; grown > 1<<20 {
				t.Errorf("%d bytes more after %d attempts", grown, attempts)
			}
			b.target.Fault = once(tc.last...)
			b.persist(t, 200)
			want(t, b, texts(1, 220)...)
			total := counted(t, registry, "sidestream_replicator_ambiguous_commits_total", "rolled_back")
			if total != attempts {
				t.Errorf("%v COMMITs are counted as rolled back, want %d", total, attempts)
			}
			if got := counted(t, registry, "sidestream_replicator_ambiguous_commits_total", "committed"); got != tc.committed {
				t.Errorf("%v COMMITs are counted as committed, want %v", got, tc.committed)
			}
			if got := counted(t, registry, "sidestream_replicator_changes_applied_total", "message"); got != 220 {
				t.Errorf("%v changes are counted as applied, want 220", got)
			}
		})
	}
}
