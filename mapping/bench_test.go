package mapping_test

import (
	"testing"

	"sidestream/mapping"
)

// benchmarkRecord measures Record and reports its allocations.
func benchmarkRecord(b *testing.B, rows ...mapping.Change) {
	b.Helper()
	m := newMapper(b, mapping.Options{})
	names := map[mapping.User]string{rows[0].User(): "ada"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Record(rows, names); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMapper_Record_plain(b *testing.B) {
	benchmarkRecord(b, inbound(new("Здравствуйте! Is this still available? 👑")))
}

func BenchmarkMapper_Record_edited(b *testing.B) {
	message := inbound(new("first"))
	benchmarkRecord(b, message, follow(message, mapping.KindEdit, 1, new("second")))
}

func BenchmarkMapper_Record_with_an_image(b *testing.B) {
	message := inbound(new("look"))
	message.Attachments = new(`[{"type":"image","payload":{"url":"https://lookaside.fbsbx.com/ig_messaging_cdn/?asset_id=1&signature=x"}}]`)
	benchmarkRecord(b, message)
}

// TestMapper_Record_allocations keeps the plain message, which is nearly all
// there are, from growing garbage.
func TestMapper_Record_allocations(t *testing.T) {
	m := newMapper(t, mapping.Options{})
	rows := []mapping.Change{inbound(new("hi"))}
	if got := testing.AllocsPerRun(100, func() { _, _ = m.Record(rows, nil) }); got > 2 {
		t.Errorf("%v allocations for a plain message", got)
	}
}
