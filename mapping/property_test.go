package mapping_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sidestream/mapping"
)

// histories draws a message with edits of distinct numbers, and perhaps an
// unsend and an erase.
func histories(t *rapid.T) []mapping.Change {
	texts := rapid.Ptr(rapid.String(), true)
	lists := rapid.Ptr(rapid.SampledFrom([]string{
		"[]", "not json", `[{"type":"image","payload":{"url":"u"}}]`, `[{"type":"like_heart"}]`,
	}), true)
	message := inbound(texts.Draw(t, "text"))
	if rapid.Bool().Draw(t, "outbound") {
		message = outbound(message.Text)
	}
	message.Attachments = lists.Draw(t, "attachments")
	rows := []mapping.Change{message}
	for _, version := range rapid.SliceOfNDistinct(rapid.Int64Range(0, 9), 0, 4, rapid.ID[int64]).Draw(t, "versions") {
		edit := follow(message, mapping.KindEdit, version, texts.Draw(t, "edit"))
		edit.Attachments = lists.Draw(t, "edit attachments")
		rows = append(rows, edit)
	}
	for _, kind := range []mapping.Kind{mapping.KindUnsend, mapping.KindErase} {
		if rapid.Bool().Draw(t, string(kind)) {
			rows = append(rows, follow(message, kind, 0, nil))
		}
	}
	return rows
}

// mappers draws a mapper of any configuration.
func mappers(t *rapid.T) *mapping.Mapper {
	m, err := mapping.New(mapping.Options{
		Directions: rapid.SampledFrom([]mapping.Directions{"both", "inbound", "outbound"}).Draw(t, "directions"),
		OnUnsend:   rapid.SampledFrom([]mapping.OnUnsend{"redact", "delete"}).Draw(t, "on unsend"),
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMapper_Record_properties(t *testing.T) {
	outcome := func(t *rapid.T, m *mapping.Mapper, rows []mapping.Change) mapping.Outcome {
		for i := range rows {
			rows[i].Position = int64(i + 1)
		}
		got, err := m.Record(rows, nil)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	t.Run("every_order_of_arrival_ends_the_same", rapid.MakeCheck(func(t *rapid.T) {
		m, rows := mappers(t), histories(t)
		want := outcome(t, m, slices.Clone(rows))
		if diff := cmp.Diff(want, outcome(t, m, rapid.Permutation(rows).Draw(t, "order"))); diff != "" {
			t.Errorf("(-in order +shuffled)\n%s", diff)
		}
	}))
	t.Run("what_comes_twice_changes_nothing", rapid.MakeCheck(func(t *rapid.T) {
		m, rows := mappers(t), histories(t)
		want := outcome(t, m, slices.Clone(rows))
		again := rows
		if len(rows) > 1 { // the message itself is unique in the source
			again = append(slices.Clone(rows), rapid.SliceOf(rapid.SampledFrom(rows[1:])).Draw(t, "again")...)
		}
		if diff := cmp.Diff(want, outcome(t, m, rapid.Permutation(again).Draw(t, "order"))); diff != "" {
			t.Errorf("(-once +twice)\n%s", diff)
		}
	}))
	t.Run("a_text_arrives_byte_for_byte", rapid.MakeCheck(func(t *rapid.T) {
		text := rapid.StringN(1, -1, -1).Draw(t, "text")
		m, err := mapping.New(mapping.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := outcome(t, m, []mapping.Change{inbound(&text)}); got.Record.Message != text {
			t.Errorf("got %q, want %q", got.Record.Message, text)
		}
	}))
	t.Run("nothing_written_outlives_an_unsend_or_erase", rapid.MakeCheck(func(t *rapid.T) {
		m, rows := mappers(t), histories(t)
		rows = append(rows, follow(rows[0], rapid.SampledFrom([]mapping.Kind{mapping.KindUnsend, mapping.KindErase}).Draw(t, "end"), 0, nil))
		got := outcome(t, m, rows)
		switch got.State {
		case mapping.LeftOut:
		case mapping.Redacted, mapping.Deleted:
			if got.Record.Message != mapping.DefaultUnsendText {
				t.Errorf("got %q", got.Record.Message)
			}
		case mapping.Erased:
			if got.Record.Message != mapping.ErasedText || got.Record.UserID != mapping.ErasedText {
				t.Errorf("got %+v", got.Record)
			}
		default:
			t.Errorf("got %v", got.State)
		}
	}))
}
