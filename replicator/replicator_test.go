package replicator_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"sidestream/mapping"
	"sidestream/replicator"
)

func want(t *testing.T, b *bundle, messages ...string) {
	t.Helper()
	if diff := cmp.Diff(messages, b.messages()); diff != "" {
		t.Errorf("messages in the CRM differ (-want +got):\n%s", diff)
	}
}

func wantBlocked(t *testing.T, err error, reason string) {
	t.Helper()
	f := replicator.AsFailure(err)
	if err == nil || f.Class != replicator.Blocked || f.Reason != reason {
		t.Fatalf("error is %v, want blocked %s", err, reason)
	}
	if f.Hint == "" {
		t.Errorf("%s does not say what to do next", reason)
	}
}

func texts(from, to int) []string {
	var all []string
	for i := from; i <= to; i++ {
		all = append(all, fmt.Sprint("text ", i))
	}
	return all
}

func TestReplicator_Step(t *testing.T) {
	t.Run("carries_everything_over_in_order", func(t *testing.T) {
		b := setup(t, func(o *replicator.Options) { o.BatchRows = 7 })
		b.source.Append(sayMany(1, 50)...)
		b.drain(t)
		want(t, b, texts(1, 50)...)
		b.source.Append(sayMany(51, 52)...)
		b.drain(t)
		want(t, b, texts(1, 52)...)
		if c := b.server.Cursor("main"); c.Position != 52 || c.AppliedTotal != 52 || c.Generation != 1 {
			t.Errorf("cursor: %+v", c)
		}
	})
	t.Run("moves_over_test_deliveries_without_a_row", func(t *testing.T) {
		b := setup(t, func(o *replicator.Options) { o.BatchRows = 2 })
		test := say("random_mid", "random_text")
		test.Kind = mapping.KindTest
		b.source.Append(test, test, test, say("m1", "text 1"), test)
		b.drain(t)
		want(t, b, "text 1")
		if c := b.server.Cursor("main"); c.Position != 5 {
			t.Errorf("the cursor is at %d, want 5", c.Position)
		}
	})
	t.Run("a_restart_goes_on_where_the_cursor_is", func(t *testing.T) {
		b := setup(t)
		b.source.Append(sayMany(1, 3)...)
		b.drain(t)
		b.source.Append(sayMany(4, 5)...)
		b.join(t)
		b.drain(t)
		want(t, b, texts(1, 5)...)
	})
	t.Run("a_refused_batch_is_not_overtaken_by_what_was_read_ahead", func(t *testing.T) {
		b := setup(t, func(o *replicator.Options) { o.BatchRows = 2 })
		b.server.Refuse = func(r mapping.Record) *replicator.Failure {
			if r.Message == "text 1" {
				return &replicator.Failure{Class: replicator.Data, Reason: "too_long"}
			}
			return nil
		}
		b.source.Append(sayMany(1, 6)...)
		b.drain(t)
		want(t, b, texts(2, 6)...)
		if got := b.server.DeadLetters("main"); !slices.Equal(got, []int64{1}) {
			t.Errorf("dead letters: %v", got)
		}
	})
	t.Run("a_row_that_maps_to_nothing_is_parked", func(t *testing.T) {
		b := setup(t)
		nobody := say("m2", "text 2")
		nobody.SenderID = ""
		b.source.Append(say("m1", "text 1"), nobody, say("m3", "text 3"))
		b.drain(t)
		want(t, b, "text 1", "text 3")
		if got := b.server.DeadLetters("main"); !slices.Equal(got, []int64{2}) {
			t.Errorf("dead letters: %v", got)
		}
	})
}

func TestReplicator_begin(t *testing.T) {
	t.Run("asks_where_to_start_when_both_sides_hold_rows", func(t *testing.T) {
		b := setup(t)
		b.server.Insert(mapping.Record{Message: "a stranger's"})
		b.source.Append(sayMany(1, 2)...)
		_, err := b.Step(t.Context())
		wantBlocked(t, err, "cursor_undecided")
		want(t, b, "a stranger's")

		b.server.SetCursor("main", replicator.Cursor{Known: true, Generation: 1, SourceID: "source", StartPosition: 1, Position: 1, Decision: "1"})
		b.drain(t)
		want(t, b, "a stranger's", "text 2")
	})
	t.Run("starts_at_the_beginning_when_the_source_is_empty", func(t *testing.T) {
		b := setup(t)
		b.server.Insert(mapping.Record{Message: "a stranger's"})
		b.drain(t)
		b.source.Append(sayMany(1, 1)...)
		b.drain(t)
		want(t, b, "a stranger's", "text 1")
	})
}

func TestReplicator_changes(t *testing.T) {
	orders := map[string][][]mapping.Change{
		"edit_after_in_another_batch":  {{say("a", "1")}, {edit("a", 1, "2")}},
		"edit_in_the_same_batch":       {{say("a", "1"), edit("a", 1, "2")}},
		"edit_before":                  {{edit("a", 1, "2")}, {say("a", "1")}},
		"edits_in_the_wrong_order":     {{say("a", "0")}, {edit("a", 2, "2")}, {edit("a", 1, "1")}},
		"several_edits_in_one_batch":   {{say("a", "0")}, {edit("a", 1, "1"), edit("a", 2, "2")}},
		"edit_between_other_messages":  {{say("a", "0"), say("b", "b")}, {edit("a", 1, "1"), say("c", "c"), edit("a", 2, "2")}},
		"unsend_after":                 {{say("a", "1")}, {unsend("a")}},
		"unsend_before":                {{unsend("a")}, {say("a", "1")}},
		"unsend_before_a_late_edit":    {{say("a", "1")}, {unsend("a")}, {edit("a", 3, "3")}},
		"everything_backwards_at_once": {{unsend("a"), edit("a", 2, "2"), edit("a", 1, "1"), say("a", "0")}},
	}
	for name, chunks := range orders {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			unsent := false
			for _, chunk := range chunks {
				b.source.Append(chunk...)
				b.drain(t)
				for _, c := range chunk {
					unsent = unsent || c.Kind == mapping.KindUnsend
				}
			}
			expect := "2"
			if unsent {
				expect = mapping.DefaultUnsendText
			}
			if got := b.messages()[0]; got != expect {
				t.Errorf("message is %q, want %q", got, expect)
			}
		})
	}
	for _, kind := range []mapping.Kind{mapping.KindUnsend, mapping.KindErase} {
		t.Run(string(kind)+"_reaches_a_row_whose_direction_is_not_mapped_any_more", func(t *testing.T) {
			b := setup(t)
			b.source.Append(say("a", "to be taken back"))
			b.drain(t)
			b.join(t, func(o *replicator.Options) {
				mapper, err := mapping.New(mapping.Options{Directions: mapping.OutboundOnly})
				if err != nil {
					t.Fatal(err)
				}
				o.Mapper = mapper
			})
			back := unsend("a")
			back.Kind = kind
			b.source.Append(say("b", "left out"), back)
			b.drain(t)
			if got := b.messages(); len(got) != 1 || got[0] == "to be taken back" {
				t.Errorf("the CRM holds %q", got)
			}
		})
	}
	t.Run("a_cursor_that_was_decided_anew_does_not_hide_rows_from_an_unsend", func(t *testing.T) {
		b := setup(t)
		b.source.Append(say("a", "to be taken back"))
		b.drain(t)
		c := b.server.Cursor("main")
		c.StartPosition, c.Decision = c.Position, "init"
		b.server.SetCursor("main", c)
		b.join(t)
		b.source.Append(unsend("a"))
		b.drain(t)
		want(t, b, mapping.DefaultUnsendText)
	})
	t.Run("one_from_before_the_start_is_passed", func(t *testing.T) {
		b := setup(t)
		b.source.Append(say("old", "old"))
		b.server.SetCursor("main", replicator.Cursor{Known: true, Generation: 1, SourceID: "source", StartPosition: 1, Position: 1, Decision: "1"})
		b.source.Append(edit("old", 1, "older"), say("new", "new"))
		b.drain(t)
		want(t, b, "new")
	})
}

func TestReplicator_metrics(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	b := setup(t, func(o *replicator.Options) { o.Registerer = registry })
	b.source.Append(sayMany(1, 3)...)
	b.drain(t)
	b.source.Append(sayMany(4, 5)...)
	problems, err := testutil.GatherAndLint(registry)
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
	for name, value := range map[string]float64{
		"sidestream_replicator_lag_changes": 2, "sidestream_replicator_source_position": 5,
		"sidestream_replicator_applied_position": 3, "sidestream_replicator_cursor_known": 1, "sidestream_replicator_crm_up": 1,
	} {
		if got := gathered(t, registry, name); got != value {
			t.Errorf("%s = %v, want %v", name, got, value)
		}
	}
}

func TestReplicator_lag_of_another_file(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	b := setup(t, func(o *replicator.Options) { o.Registerer = registry })
	b.source.Append(sayMany(1, 5)...)
	b.drain(t)
	b.source.Truncate(2)
	if _, err := b.Step(t.Context()); err == nil {
		t.Fatal("an older copy of the source was accepted")
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if strings.Contains(f.GetName(), "_lag_") {
			t.Errorf("%s says %v while the file is not the one that was applied", f.GetName(), f.GetMetric())
		}
	}
}

func gathered(t *testing.T, registry prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}
