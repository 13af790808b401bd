package store

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// metric returns a gauge's or counter's value, or a histogram's count.
func metric(tb testing.TB, registry *prometheus.Registry, name string) float64 {
	tb.Helper()
	families, err := registry.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		one := family.GetMetric()[0]
		switch {
		case one.GetHistogram() != nil:
			return float64(one.GetHistogram().GetSampleCount())
		case one.GetCounter() != nil:
			return one.GetCounter().GetValue()
		default:
			return one.GetGauge().GetValue()
		}
	}
	tb.Fatalf("no metric %s", name)
	return 0
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	s := openStore(t, func(o *Options) { o.Registerer = registry })
	commit(t, s, Delivery{
		Changes:   delivery(message("1", "a"), message("2", "b")).Changes,
		Undecoded: []Undecoded{{Reason: "unknown_shape", Body: []byte("{}")}, {Reason: "bad_json", Body: []byte("{")}},
	})
	settled(t, s)
	for name, want := range map[string]float64{
		"sidestream_writer_commit_duration_seconds":           1,
		"sidestream_writer_commit_rows":                       1,
		"sidestream_writer_undecoded_open":                    2,
		"sidestream_writer_undecoded_dropped_total":           0,
		"sidestream_writer_database_bytes":                    fileSize(s.path()),
		"sidestream_writer_wal_bytes":                         fileSize(s.path() + "-wal"),
		"sidestream_writer_unsend_checkpoint_pending_seconds": 0,
	} {
		if got := metric(t, registry, name); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if metric(t, registry, "sidestream_writer_disk_free_bytes") <= 0 {
		t.Error("no free space on the disk")
	}

	problems, err := testutil.GatherAndLint(registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, family := range families {
		names = append(names, family.GetName())
	}
	slices.Sort(names)
	if diff := cmp.Diff([]string{
		"sidestream_writer_changes_total",
		"sidestream_writer_commit_duration_seconds", "sidestream_writer_commit_rows", "sidestream_writer_database_bytes",
		"sidestream_writer_disk_free_bytes", "sidestream_writer_pruned_total", "sidestream_writer_undecoded_dropped_total", "sidestream_writer_undecoded_open",
		"sidestream_writer_unsend_checkpoint_pending_seconds", "sidestream_writer_wal_bytes",
	}, names); diff != "" {
		t.Error(diff)
	}
}

func TestMetrics_twice_on_one_registry(t *testing.T) {
	registry := prometheus.NewRegistry()
	openStore(t, func(o *Options) { o.Registerer = registry })
	if s, err := Open(t.Context(), Options{Path: t.TempDir() + "/other.db", Registerer: registry}); err == nil {
		closeStore(t, s)
		t.Error("no error")
	}
}
