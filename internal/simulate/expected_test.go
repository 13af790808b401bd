package simulate_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sidestream/internal/simulate"
	"sidestream/mapping"
)

// say returns a delivery of these events about message "m" of user "u".
func say(events ...simulate.Sent) simulate.Delivery {
	for i := range events {
		events[i].AccountID, events[i].UserID = "a", "u"
		if events[i].MessageID == "" {
			events[i].MessageID = "m"
		}
	}
	return simulate.Delivery{Sent: events}
}

func TestExpected_Rows(t *testing.T) {
	message := simulate.Sent{Kind: simulate.KindMessage, Text: "hello", Timestamp: 1_999}
	picture := simulate.Sent{
		Kind: simulate.KindMessage, Text: "look", Timestamp: 1_000, Outbound: true,
		Attachments: []simulate.Attachment{{Type: "image", URL: "https://x/1"}, {Type: "like_heart"}},
	}
	edit := func(version int, text string) simulate.Sent {
		return simulate.Sent{Kind: simulate.KindEdit, Text: text, Version: version, Timestamp: 5_000}
	}
	unsend := simulate.Sent{Kind: simulate.KindUnsend, Timestamp: 6_000}
	row := func(text string) []simulate.Row {
		return []simulate.Row{{UserID: "u", Direction: "in", Message: text, CreatedAt: 1}}
	}
	out := func(text string) []simulate.Row {
		return []simulate.Row{{UserID: "u", Direction: "out", Message: text, CreatedAt: 1}}
	}
	other := message
	other.MessageID, other.Text = "m2", "second"
	both := append(row("hello"), row("second")...)

	for name, c := range map[string]struct {
		rules simulate.Rules
		said  []simulate.Sent
		want  []simulate.Row
	}{
		"a_text_is_a_row_and_time_is_cut":            {simulate.Rules{}, []simulate.Sent{message}, row("hello")},
		"attachments_are_lines_after_the_text":       {simulate.Rules{}, []simulate.Sent{picture}, out("look\n[image] https://x/1\n[like_heart]")},
		"nothing_readable_is_said_to_be_unsupported": {simulate.Rules{}, []simulate.Sent{{Kind: simulate.KindMessage, Timestamp: 1_000}}, row("[unsupported message]")},
		"a_repeat_is_no_second_row":                  {simulate.Rules{}, []simulate.Sent{message, message, other, message}, both},
		"an_edit_replaces_the_text":                  {simulate.Rules{}, []simulate.Sent{message, edit(1, "hi")}, row("hi")},
		"an_edit_keeps_attachments":                  {simulate.Rules{}, []simulate.Sent{picture, edit(1, "see")}, out("see\n[image] https://x/1\n[like_heart]")},
		"the_highest_version_counts_in_any_order":    {simulate.Rules{}, []simulate.Sent{edit(2, "two"), edit(1, "one"), message}, row("two")},
		"edits_can_be_ignored":                       {simulate.Rules{IgnoreEdits: true}, []simulate.Sent{message, edit(1, "hi")}, row("hello")},
		"an_unsend_wins_in_any_order":                {simulate.Rules{}, []simulate.Sent{unsend, edit(1, "hi"), message}, row("[message unsent]")},
		"its_text_can_be_chosen":                     {simulate.Rules{UnsendText: "gone"}, []simulate.Sent{message, unsend}, row("gone")},
		"an_unsend_can_delete":                       {simulate.Rules{DeleteUnsent: true}, []simulate.Sent{message, other, unsend}, row("second")},
		"unsends_can_be_ignored":                     {simulate.Rules{IgnoreUnsends: true}, []simulate.Sent{message, unsend}, row("hello")},
		"one_direction_can_be_left_out":              {simulate.Rules{Only: "out"}, []simulate.Sent{other, picture}, out("look\n[image] https://x/1\n[like_heart]")},
		"what_never_came_has_no_row":                 {simulate.Rules{}, []simulate.Sent{edit(1, "hi"), unsend}, []simulate.Row{}},
		"all_else_has_no_row":                        {simulate.Rules{}, []simulate.Sent{{Kind: simulate.KindTest}, {Kind: simulate.KindCounted}, {Kind: simulate.KindUndecoded}}, []simulate.Row{}},
	} {
		t.Run(name, func(t *testing.T) {
			one, each := simulate.NewExpected(c.rules), simulate.NewExpected(c.rules)
			one.Acknowledged(say(c.said...))
			for _, sent := range c.said {
				each.Acknowledged(say(sent))
			}
			if diff := cmp.Diff(c.want, one.Rows()); diff != "" {
				t.Errorf("in one delivery:\n%s", diff)
			}
			if diff := cmp.Diff(c.want, each.Rows()); diff != "" {
				t.Errorf("in several deliveries:\n%s", diff)
			}
		})
	}
}

// TestExpected_agrees_with_mapping holds two readings of one specification
// against each other: this package's and the replicator's.
func TestExpected_RowsOf(t *testing.T) {
	e := simulate.NewExpected(simulate.Rules{})
	for _, id := range []string{"m1", "m2", "m3"} {
		e.Acknowledged(say(simulate.Sent{Kind: simulate.KindMessage, MessageID: id, Text: id}))
	}
	e.Acknowledged(say(simulate.Sent{Kind: simulate.KindEdit, MessageID: "m4", Text: "early", Version: 1}))
	rows, strangers := e.RowsOf([]simulate.MessageID{
		{AccountID: "a", ID: "m3"}, {AccountID: "a", ID: "m1"}, {AccountID: "a", ID: "m4"}, {AccountID: "b", ID: "m2"},
	})
	var got []string
	for _, row := range rows {
		got = append(got, row.Message)
	}
	if diff := cmp.Diff([]string{"m3", "m1", "m2"}, got); diff != "" || strangers != 2 {
		t.Errorf("%d strangers, want 2; rows (-want +got):\n%s", strangers, diff)
	}
}

func TestExpected_agrees_with_mapping(t *testing.T) {
	for name, rules := range map[string]simulate.Rules{"redact": {}, "delete": {DeleteUnsent: true}, "inbound": {Only: "in"}} {
		t.Run(name, func(t *testing.T) {
			opts := mapping.Options{}
			if rules.DeleteUnsent {
				opts.OnUnsend = mapping.DeleteUnsent
			}
			if rules.Only == "in" {
				opts.Directions = mapping.InboundOnly
			}
			mapper, err := mapping.New(opts)
			if err != nil {
				t.Fatal(err)
			}
			expected := simulate.NewExpected(rules)
			histories := make(map[string][]mapping.Change)
			var order []string
			for _, d := range generate(800, simulate.GeneratorOptions{Seed: 7}) {
				expected.Acknowledged(d)
				if d.Repeat {
					continue
				}
				for _, sent := range d.Sent {
					change, ok := logRow(t, sent)
					if !ok {
						continue
					}
					histories[change.MessageID] = append(histories[change.MessageID], change)
					if change.Kind == mapping.KindMessage {
						order = append(order, change.MessageID)
					}
				}
			}
			var got []simulate.Row
			for _, mid := range order {
				outcome, err := mapper.Record(histories[mid], nil)
				if err != nil {
					t.Fatal(err)
				}
				if outcome.State == mapping.Deleted || outcome.State == mapping.LeftOut {
					continue
				}
				r := outcome.Record
				got = append(got, simulate.Row{UserID: r.UserID, Direction: r.Direction, Message: r.Message, CreatedAt: r.CreatedAt.Unix()})
			}
			if diff := cmp.Diff(expected.Rows(), got); diff != "" {
				t.Errorf("expected and mapped rows differ:\n%s", diff)
			}
			if expected.Messages() != len(order) {
				t.Errorf("%d messages, want %d", expected.Messages(), len(order))
			}
		})
	}
}

// logRow returns the row of the log that an event makes.
func logRow(tb testing.TB, sent simulate.Sent) (mapping.Change, bool) {
	tb.Helper()
	c := mapping.Change{
		Kind: mapping.Kind(sent.Kind), MessageID: sent.MessageID, Version: int64(sent.Version), AccountID: sent.AccountID,
		SenderID: sent.UserID, RecipientID: sent.AccountID, Direction: mapping.Inbound, Timestamp: sent.Timestamp,
	}
	if sent.Outbound {
		c.SenderID, c.RecipientID, c.Direction = c.RecipientID, c.SenderID, mapping.Outbound
	}
	if sent.Text != "" {
		c.Text = &sent.Text
	}
	var attachments []map[string]string
	for _, a := range sent.Attachments {
		attachments = append(attachments, map[string]string{"type": a.Type, "url": a.URL})
	}
	if attachments != nil {
		raw, err := json.Marshal(attachments)
		if err != nil {
			tb.Fatal(err)
		}
		list := string(raw)
		c.Attachments = &list
	}
	return c, sent.Kind == simulate.KindMessage || sent.Kind == simulate.KindEdit || sent.Kind == simulate.KindUnsend
}
