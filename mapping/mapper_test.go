package mapping_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sidestream/mapping"
)

const (
	account  = "17841400000000001"
	customer = "900000000000001"
)

// newMapper returns a mapper or fails the test.
func newMapper(tb testing.TB, opts mapping.Options) *mapping.Mapper {
	tb.Helper()
	m, err := mapping.New(opts)
	if err != nil {
		tb.Fatalf("new: %v", err)
	}
	return m
}

// inbound returns a message from the customer, written at 2026-09-21 14:13:20.789 UTC.
func inbound(text *string) mapping.Change {
	return mapping.Change{
		Position: 1, MessageID: "aWdf1", Kind: mapping.KindMessage, AccountID: account,
		SenderID: customer, RecipientID: account, Direction: mapping.Inbound,
		Text: text, Timestamp: 1_790_000_000_789, CommittedAt: 1_790_000_001_000,
	}
}

// outbound returns a message to the customer.
func outbound(text *string) mapping.Change {
	c := inbound(text)
	c.SenderID, c.RecipientID, c.Direction = account, customer, mapping.Outbound
	return c
}

// follow returns a later row about the message.
func follow(message mapping.Change, kind mapping.Kind, version int64, text *string) mapping.Change {
	c := message
	c.Kind, c.Version, c.Text, c.Attachments = kind, version, text, nil
	c.Position += 1 + version
	c.Timestamp += 60_000 * (1 + version)
	return c
}

// record maps a history or fails the test.
func record(tb testing.TB, m *mapping.Mapper, rows ...mapping.Change) mapping.Outcome {
	tb.Helper()
	outcome, err := m.Record(rows, nil)
	if err != nil {
		tb.Fatalf("record: %v", err)
	}
	return outcome
}

func TestMapper_Record_directions(t *testing.T) {
	names := map[mapping.User]string{{AccountID: account, UserID: customer}: "ada"}
	want := mapping.Record{
		UserID: customer, Username: "ada", Direction: "in", Message: "hi",
		CreatedAt: time.Date(2026, 9, 21, 14, 13, 20, 0, time.UTC),
		MessageID: "aWdf1", AccountID: account, SenderID: customer, RecipientID: account, Status: "sent",
	}
	m := newMapper(t, mapping.Options{})

	t.Run("an_inbound_message_is_about_its_sender", func(t *testing.T) {
		got, err := m.Record([]mapping.Change{inbound(new("hi"))}, names)
		if diff := cmp.Diff(mapping.Outcome{Record: want, State: mapping.Present}, got); diff != "" || err != nil {
			t.Errorf("err %v, (-want +got)\n%s", err, diff)
		}
	})
	t.Run("an_outbound_message_is_about_its_recipient", func(t *testing.T) {
		want := want
		want.Direction, want.SenderID, want.RecipientID = "out", account, customer
		got, err := m.Record([]mapping.Change{outbound(new("hi"))}, names)
		if diff := cmp.Diff(mapping.Outcome{Record: want, State: mapping.Present}, got); diff != "" || err != nil {
			t.Errorf("err %v, (-want +got)\n%s", err, diff)
		}
	})
	t.Run("a_direction_that_is_not_mapped_is_left_out", func(t *testing.T) {
		for direction, change := range map[mapping.Directions]mapping.Change{
			mapping.InboundOnly: outbound(new("hi")), mapping.OutboundOnly: inbound(new("hi")),
		} {
			change.Timestamp = 0 // what is not written cannot be wrong
			got := record(t, newMapper(t, mapping.Options{Directions: direction}), change)
			if got != (mapping.Outcome{State: mapping.LeftOut}) {
				t.Errorf("%s: got %+v", direction, got)
			}
		}
	})
	t.Run("a_direction_that_is_mapped_is_not", func(t *testing.T) {
		for direction, change := range map[mapping.Directions]mapping.Change{
			mapping.InboundOnly: inbound(new("hi")), mapping.OutboundOnly: outbound(new("hi")),
		} {
			if got := record(t, newMapper(t, mapping.Options{Directions: direction}), change); got.State != mapping.Present {
				t.Errorf("%s: got %v", direction, got.State)
			}
		}
	})
}

func TestMapper_Record_usernames(t *testing.T) {
	m := newMapper(t, mapping.Options{})
	for name, names := range map[string]map[mapping.User]string{
		"no_names_at_all":                   nil,
		"an_empty_name":                     {{AccountID: account, UserID: customer}: ""},
		"the_same_id_under_another_account": {{AccountID: "1", UserID: customer}: "eve"},
		"the_name_of_the_business":          {{AccountID: account, UserID: account}: "shop"},
	} {
		t.Run(name+"_falls_back_to_the_user_id", func(t *testing.T) {
			got, err := m.Record([]mapping.Change{inbound(new("hi"))}, names)
			if err != nil || got.Record.Username != customer || !got.Record.Fallback {
				t.Errorf("got %q, fallback %v, err %v", got.Record.Username, got.Record.Fallback, err)
			}
		})
	}
}

func TestMapper_Record_edits_and_unsends(t *testing.T) {
	first := inbound(new("first"))
	edit1 := follow(first, mapping.KindEdit, 1, new("second"))
	edit2 := follow(first, mapping.KindEdit, 2, new("third"))
	unsend := follow(first, mapping.KindUnsend, 0, nil)
	erase := follow(first, mapping.KindErase, 0, nil)
	withImage := first
	withImage.Attachments = new(`[{"type":"image","payload":{"url":"u1"}}]`)
	editsImage := edit1
	editsImage.Attachments = new(`[{"type":"image","payload":{"url":"u2"}}]`)
	onlyImage := editsImage
	onlyImage.Text = nil
	blank := inbound(nil)
	prune := func(c mapping.Change) mapping.Change {
		c.Text, c.Attachments = new(""), nil
		return c
	}
	pruned, prunedEdit1, prunedEdit2 := prune(first), prune(edit1), prune(edit2)
	forgotten := blank
	forgotten.SenderID = mapping.ErasedText
	echo := outbound(nil)
	echo.RecipientID = mapping.ErasedText

	for _, tt := range []struct {
		name    string
		opts    mapping.Options
		rows    []mapping.Change
		state   mapping.State
		message string
		status  string
	}{
		{"the_highest_edit_wins", mapping.Options{}, []mapping.Change{first, edit1, edit2}, mapping.Present, "third", "edited"},
		{"the_highest_edit_wins_when_it_came_first", mapping.Options{}, []mapping.Change{edit2, edit1, first}, mapping.Present, "third", "edited"},
		{"an_edit_without_a_text_changes_nothing", mapping.Options{}, []mapping.Change{first, follow(first, mapping.KindEdit, 9, nil)}, mapping.Present, "first", "sent"},
		{"an_edit_with_an_empty_text_changes_nothing", mapping.Options{}, []mapping.Change{first, follow(first, mapping.KindEdit, 9, new(""))}, mapping.Present, "first", "sent"},
		{"an_edit_keeps_the_attachments", mapping.Options{}, []mapping.Change{withImage, edit1}, mapping.Present, "second\n[image] u1", "edited"},
		{"an_edit_may_bring_attachments", mapping.Options{}, []mapping.Change{withImage, editsImage}, mapping.Present, "second\n[image] u2", "edited"},
		{"an_edit_may_bring_nothing_else", mapping.Options{}, []mapping.Change{first, onlyImage}, mapping.Present, "first\n[image] u2", "edited"},
		{"a_later_edit_keeps_those_of_an_earlier_one", mapping.Options{}, []mapping.Change{withImage, editsImage, edit2}, mapping.Present, "third\n[image] u2", "edited"},
		{"an_unsend_wins", mapping.Options{}, []mapping.Change{withImage, edit1, unsend}, mapping.Redacted, "[message unsent]", "unsent"},
		{"an_unsend_wins_before_its_message", mapping.Options{}, []mapping.Change{unsend, first, edit2}, mapping.Redacted, "[message unsent]", "unsent"},
		{"a_message_stored_blank_is_redacted", mapping.Options{}, []mapping.Change{unsend, blank}, mapping.Redacted, "[message unsent]", "unsent"},
		{"the_unsend_text_is_an_option", mapping.Options{UnsendText: "gone"}, []mapping.Change{first, unsend}, mapping.Redacted, "gone", "unsent"},
		{"an_unsend_may_delete", mapping.Options{OnUnsend: mapping.DeleteUnsent}, []mapping.Change{first, unsend}, mapping.Deleted, "[message unsent]", "unsent"},
		{"an_erase_wins", mapping.Options{}, []mapping.Change{first, unsend, edit1, erase}, mapping.Erased, "[erased]", "erased"},
		{"an_erase_wins_before_its_message", mapping.Options{}, []mapping.Change{erase, first}, mapping.Erased, "[erased]", "erased"},
		{"an_erase_does_not_delete", mapping.Options{OnUnsend: mapping.DeleteUnsent}, []mapping.Change{first, erase}, mapping.Erased, "[erased]", "erased"},
		{"what_is_deleted_stays_deleted", mapping.Options{OnUnsend: mapping.DeleteUnsent}, []mapping.Change{erase, first, unsend}, mapping.Deleted, "[message unsent]", "unsent"},
		{"a_user_who_is_forgotten_is_erased_without_the_erase", mapping.Options{}, []mapping.Change{forgotten}, mapping.Erased, "[erased]", "erased"},
		{"a_recipient_who_is_forgotten_too", mapping.Options{}, []mapping.Change{echo, unsend}, mapping.Erased, "[erased]", "erased"},
		{"a_pruned_message_leaves_the_row_as_it_is", mapping.Options{}, []mapping.Change{pruned}, mapping.Pruned, "[unsupported message]", "sent"},
		{"with_its_pruned_edits_too", mapping.Options{}, []mapping.Change{pruned, prunedEdit2, prunedEdit1}, mapping.Pruned, "[unsupported message]", "sent"},
		{"an_edit_after_pruning_brings_its_text", mapping.Options{}, []mapping.Change{pruned, prunedEdit1, edit2}, mapping.Present, "third", "edited"},
		{"an_older_edit_after_pruning_does_not", mapping.Options{}, []mapping.Change{prunedEdit2, edit1, pruned}, mapping.Pruned, "[unsupported message]", "sent"},
		{"an_unsend_after_pruning_wins", mapping.Options{}, []mapping.Change{pruned, unsend}, mapping.Redacted, "[message unsent]", "unsent"},
		{"an_unsend_after_pruning_may_delete", mapping.Options{OnUnsend: mapping.DeleteUnsent}, []mapping.Change{pruned, unsend}, mapping.Deleted, "[message unsent]", "unsent"},
		{"an_erase_after_pruning_wins", mapping.Options{}, []mapping.Change{pruned, erase}, mapping.Erased, "[erased]", "erased"},
		{"an_empty_text_beside_an_attachment_is_not_pruned", mapping.Options{}, []mapping.Change{func() mapping.Change { c := withImage; c.Text = new(""); return c }()}, mapping.Present, "[image] u1", "sent"},
		{"a_row_of_another_kind_changes_nothing", mapping.Options{}, []mapping.Change{first, follow(first, mapping.KindTest, 3, new("test"))}, mapping.Present, "first", "sent"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := record(t, newMapper(t, tt.opts), tt.rows...)
			if got.State != tt.state || got.Record.Message != tt.message || got.Record.Status != tt.status {
				t.Errorf("got %v %q %q, want %v %q %q",
					got.State, got.Record.Message, got.Record.Status, tt.state, tt.message, tt.status)
			}
			if want := time.UnixMilli(first.Timestamp).UTC().Truncate(time.Second); !got.Record.CreatedAt.Equal(want) {
				t.Errorf("created at %v, want the message's own time %v", got.Record.CreatedAt, want)
			}
		})
	}
}

func TestMapper_Record_erase_names_nobody(t *testing.T) {
	names := map[mapping.User]string{{AccountID: account, UserID: customer}: "ada"}
	m := newMapper(t, mapping.Options{})
	for _, message := range []mapping.Change{inbound(new("hi")), outbound(new("hi"))} {
		t.Run(string(message.Direction), func(t *testing.T) {
			got, err := m.Record([]mapping.Change{message, follow(message, mapping.KindErase, 0, nil)}, names)
			if err != nil {
				t.Fatal(err)
			}
			r := got.Record
			if r.UserID != mapping.ErasedText || r.Username != mapping.ErasedText || r.Message != mapping.ErasedText {
				t.Errorf("got user %q, name %q, message %q", r.UserID, r.Username, r.Message)
			}
			if r.SenderID == customer || r.RecipientID == customer {
				t.Errorf("the person is still there: %q to %q", r.SenderID, r.RecipientID)
			}
			if unnamed := record(t, m, message, follow(message, mapping.KindErase, 0, nil)); unnamed.Record != r {
				t.Errorf("an erased name must not look like one that waits to be healed: %+v", unnamed.Record)
			}
			if r.AccountID != account || r.MessageID != "aWdf1" || r.CreatedAt.IsZero() {
				t.Errorf("what names nobody stays: %+v", r)
			}
		})
	}
}

func TestMapper_Record_refuses(t *testing.T) {
	good := inbound(new("secret text"))
	with := func(alter func(*mapping.Change)) []mapping.Change {
		c := good
		alter(&c)
		return []mapping.Change{c}
	}
	for _, tt := range []struct {
		name   string
		rows   []mapping.Change
		reason string
	}{
		{"a_message_without_a_sender", with(func(c *mapping.Change) { c.SenderID = "" }), "no_user"},
		{"an_echo_without_a_recipient", with(func(c *mapping.Change) { c.Direction, c.RecipientID = mapping.Outbound, "" }), "no_user"},
		{"an_unknown_direction", with(func(c *mapping.Change) { c.Direction = "sideways" }), "bad_direction"},
		{"no_direction", with(func(c *mapping.Change) { c.Direction = "" }), "bad_direction"},
		{"a_time_before_the_first_second", with(func(c *mapping.Change) { c.Timestamp = 999 }), "bad_timestamp"},
		{"a_negative_time", with(func(c *mapping.Change) { c.Timestamp = -1 }), "bad_timestamp"},
		{"a_time_after_the_last_second", with(func(c *mapping.Change) { c.Timestamp = 2_147_483_648_000 }), "bad_timestamp"},
		{"two_messages_of_one_id", []mapping.Change{good, good}, "duplicate_message"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := newMapper(t, mapping.Options{}).Record(tt.rows, nil)
			var refused *mapping.Error
			if !errors.As(err, &refused) || refused.Reason != tt.reason {
				t.Fatalf("got %v, want reason %s", err, tt.reason)
			}
			if want := "mapping: " + tt.reason; err.Error() != want {
				t.Errorf("the error says %q, want %q", err, want)
			}
		})
	}
	t.Run("a_history_without_its_message", func(t *testing.T) {
		for _, rows := range [][]mapping.Change{nil, {follow(good, mapping.KindEdit, 1, new("x"))}, {follow(good, mapping.KindErase, 0, nil)}} {
			if _, err := newMapper(t, mapping.Options{}).Record(rows, nil); !errors.Is(err, mapping.ErrNoMessage) {
				t.Errorf("%d rows: got %v", len(rows), err)
			}
		}
	})
	t.Run("but_not_to_delete_what_could_never_be_written", func(t *testing.T) {
		rows := with(func(c *mapping.Change) { c.Timestamp = 0 })
		rows = append(rows, follow(good, mapping.KindUnsend, 0, nil))
		if got := record(t, newMapper(t, mapping.Options{OnUnsend: mapping.DeleteUnsent}), rows...); got.State != mapping.Deleted {
			t.Errorf("got %v", got.State)
		}
	})
}

func TestMapper_Record_times(t *testing.T) {
	m := newMapper(t, mapping.Options{})
	for ms, want := range map[int64]string{
		1_000:             "1970-01-01T00:00:01Z",
		1_790_000_000_999: "2026-09-21T14:13:20Z",
		2_147_483_647_999: "2038-01-19T03:14:07Z",
	} {
		c := inbound(new("hi"))
		c.Timestamp = ms
		got := record(t, m, c).Record.CreatedAt
		if got.Format(time.RFC3339Nano) != want || got.Location() != time.UTC {
			t.Errorf("%d: got %v, want %s", ms, got, want)
		}
	}
}

func TestMapper_Was(t *testing.T) {
	m := newMapper(t, mapping.Options{})
	for _, message := range []mapping.Change{inbound(new("hi")), outbound(new("hi"))} {
		t.Run(string(message.Direction)+"_is_what_was_written_and_no_more", func(t *testing.T) {
			now := record(t, m, message, follow(message, mapping.KindEdit, 1, new("edited"))).Record
			want := mapping.Record{UserID: now.UserID, Direction: now.Direction, CreatedAt: now.CreatedAt}
			if diff := cmp.Diff(want, m.Was(message)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestMapper_Was_of_a_forgotten_user(t *testing.T) {
	m := newMapper(t, mapping.Options{})
	c := inbound(nil)
	c.SenderID = mapping.ErasedText
	was, now := m.Was(c), record(t, m, c).Record
	if was.UserID != "" || was.Direction != now.Direction || !was.CreatedAt.Equal(now.CreatedAt) {
		t.Errorf("got %+v: the CRM's row may hold the user or the marker", was)
	}
	if now.UserID != mapping.ErasedText || now.Username != mapping.ErasedText || now.SenderID != mapping.ErasedText || now.Fallback {
		t.Errorf("got %+v", now)
	}
}

func TestNew(t *testing.T) {
	for name, opts := range map[string]mapping.Options{
		`mapping: Directions "up" is none of both, inbound, outbound`: {Directions: "up"},
		`mapping: OnUnsend "keep" is none of redact, delete`:          {OnUnsend: "keep"},
	} {
		if _, err := mapping.New(opts); err == nil || err.Error() != name {
			t.Errorf("got %v, want %s", err, name)
		}
	}
}

func TestReasons(t *testing.T) {
	want := []string{"no_user", "bad_direction", "bad_timestamp", "duplicate_message"}
	if diff := cmp.Diff(want, mapping.Reasons()); diff != "" {
		t.Errorf("reasons are metric labels (-want +got)\n%s", diff)
	}
}

func TestState_String(t *testing.T) {
	for state, want := range map[mapping.State]string{
		mapping.Present: "present", mapping.Redacted: "redacted", mapping.Deleted: "deleted",
		mapping.Erased: "erased", mapping.Pruned: "pruned", mapping.LeftOut: "left_out", mapping.State(99): "unknown",
	} {
		if state.String() != want {
			t.Errorf("got %s, want %s", state, want)
		}
	}
}
