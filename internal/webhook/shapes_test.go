package webhook_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sidestream/internal/webhook"
	"sidestream/mapping"
)

const (
	account = "17841400000000042"
	other   = "17841400000000077"
	person  = "900000000000017"
	// happened is the event's own time, sent the entry's.
	happened = 1_790_000_000_000
	sent     = 1_790_000_000_123
)

var received = time.UnixMilli(1_790_000_009_999).UTC()

// inbound is a message of the person, mid-1, without content; each edit changes it.
func inbound(edits ...func(*mapping.Change)) mapping.Change {
	c := mapping.Change{
		MessageID: "mid-1", Kind: mapping.KindMessage, AccountID: account, SenderID: person, RecipientID: account,
		Direction: mapping.Inbound, Timestamp: happened,
	}
	for _, edit := range edits {
		edit(&c)
	}
	return c
}

// outbound is the account's answer.
func outbound(edits ...func(*mapping.Change)) mapping.Change {
	c := inbound()
	c.SenderID, c.RecipientID, c.Direction = account, person, mapping.Outbound
	for _, edit := range edits {
		edit(&c)
	}
	return c
}

func mid(s string) func(*mapping.Change)  { return func(c *mapping.Change) { c.MessageID = s } }
func text(s string) func(*mapping.Change) { return func(c *mapping.Change) { c.Text = &s } }
func at(ms int64) func(*mapping.Change)   { return func(c *mapping.Change) { c.Timestamp = ms } }
func attached(s string) func(*mapping.Change) {
	return func(c *mapping.Change) { c.Attachments = &s }
}
func unsend(c *mapping.Change) { c.Kind = mapping.KindUnsend }
func edit(version int64, s string) func(*mapping.Change) {
	return func(c *mapping.Change) { c.Kind, c.Version, c.Text = mapping.KindEdit, version, &s }
}

func between(account, sender, recipient string) func(*mapping.Change) {
	return func(c *mapping.Change) { c.AccountID, c.SenderID, c.RecipientID = account, sender, recipient }
}

func testButton(account string) func(*mapping.Change) {
	return func(c *mapping.Change) {
		c.Kind, c.MessageID, c.Timestamp = mapping.KindTest, "random_mid", 1_527_459_824_000
		between(account, "12334", "23245")(c)
		text("random_text")(c)
	}
}

// shape is what one file of testdata/shapes decodes to.
type shape struct {
	file    string
	changes []mapping.Change
	ignored map[string]int
	reasons []string
}

func one(file string, c mapping.Change) shape {
	return shape{file: file, changes: []mapping.Change{c}}
}

func counted(file, result string, n int) shape {
	return shape{file: file, ignored: map[string]int{result: n}}
}

func refused(file string, reasons ...string) shape { return shape{file: file, reasons: reasons} }

func shapes() []shape {
	const longMID = "aWdfZG1faXRlbToxOklHTWVzc2FnZAUlEOjE3ODQxNDAwMDAwMDAwMDQyOjM0MDI4MjM2Njg0MTcxMDMwMTI0NDI1OTAwMDAwMDAwMDAwMDAwMDozMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMAZZDZD" // 164 bytes, as real ones have
	return []shape{
		one("text", inbound(mid(longMID), text("hello 😀, is the café open?"))),
		one("echo", outbound(text("yes, until ten"))),
		one("echo_field", outbound(text("sent by another program"))),
		one("echo_without_flag", outbound(text("no flag"))),
		one("self", inbound(between(account, account, account), text("note to myself"), at(1000),
			func(c *mapping.Change) { c.Kind = mapping.KindTest })),
		one("self_unsend", inbound(between(account, account, account), unsend)),

		one("image", inbound(attached(`[{"type":"image","url":"https://cdn.example/ig_messaging_cdn/?asset_id=1&signature=x"}]`))),
		one("two_images", inbound(text("both sides"),
			attached(`[{"type":"image","url":"https://cdn.example/1"},{"type":"image","url":"https://cdn.example/2"}]`))),
		one("video", inbound(attached(`[{"type":"video","url":"https://cdn.example/video"}]`))),
		one("audio", inbound(attached(`[{"type":"audio","url":"https://cdn.example/audio"}]`))),
		one("file", inbound(attached(`[{"type":"file","url":"https://cdn.example/file"}]`))),
		one("share", inbound(attached(`[{"type":"share","url":"https://cdn.example/p"}]`))),
		one("shared_post_twin", inbound(attached(`[{"type":"ig_post","url":"https://cdn.example/p","title":"a caption","media_id":"18100000000000001"}]`))),
		one("share_of_another_url", inbound(attached(
			`[{"type":"share","url":"https://cdn.example/other"},{"type":"ig_post","url":"https://cdn.example/p","media_id":"18100000000000001"}]`))),
		one("ig_reel", inbound(attached(
			`[{"type":"ig_reel","url":"https://www.instagram.com/reel/X/","title":"line one\nline two","media_id":"17900000000000001"}]`))),
		one("ig_story", inbound(attached(`[{"type":"ig_story","url":"https://cdn.example/s","media_id":"18000000000000001"}]`))),
		one("story_mention", inbound(attached(`[{"type":"story_mention","url":"https://cdn.example/m"}]`))),
		one("template", inbound(attached(`[{"type":"template"}]`))),
		one("like_heart", inbound(attached(`[{"type":"like_heart"}]`))),
		one("sticker", inbound(attached(`[{"type":"sticker","url":"https://cdn.example/st","media_id":"369239263222822"}]`))),
		one("ephemeral", inbound(attached(`[{"type":"ephemeral"}]`))),
		one("fallback", inbound(attached(`[{"type":"fallback"}]`))),
		one("fallback_with_link", inbound(text("look"), attached(`[{"type":"fallback","url":"https://page.example/","title":"A page"}]`))),
		one("unsupported_type", inbound(attached(`[{"type":"unsupported_type"}]`))),
		one("untyped_attachment", inbound(attached(`[{"type":"attachment","url":"https://cdn.example/u"}]`))),
		one("is_unsupported", inbound()),

		one("quick_reply", inbound(text("Yes"))),
		one("reply_to_message", inbound(text("this one"))),
		one("reply_to_story", inbound(text("nice"), attached(`[{"type":"story_reply","url":"https://cdn.example/s"}]`))),
		one("message_with_referral", inbound(text("price?"))),

		one("unsend", inbound(unsend)),
		one("unsend_echo", inbound(unsend, func(c *mapping.Change) { c.Direction = mapping.Outbound })),
		one("unsend_with_text", inbound(unsend)),
		one("unsend_without_parties", inbound(unsend, between(account, "", ""))),
		counted("edit_zero", "noop_edit", 1),
		counted("edit_without_text", "noop_edit", 1),
		one("edit", inbound(edit(1, "new text"))),
		one("edit_number_as_string", inbound(edit(3, "new text"))),
		one("edit_without_parties", inbound(edit(1, "new text"), between(account, "", ""))),
		one("edit_echo", outbound(edit(1, "new text"))),
		refused("edit_without_number", webhook.ReasonBadEdit),

		counted("reaction", "reaction", 1),
		counted("unreact", "reaction", 1),
		counted("read", "read", 1),
		counted("referral", "referral", 1),
		counted("optin", "optin", 1),
		counted("handover", "handover", 3),
		counted("policy_enforcement", "other_field", 1),
		counted("comment", "other_field", 1),

		one("postback", inbound(text("Prices"))),
		one("postback_without_mid", inbound(mid("postback:4c35352b5f93843a955de78997168227"), text("Prices"))),
		one("postback_in_standby", inbound(text("Prices"))),

		one("test_button", inbound(testButton("0"))),
		one("test_button_messaging", inbound(testButton(account))),
		one("test_button_as_displayed", inbound(testButton("23245"))),
		refused("test_button_as_displayed_unknown", webhook.ReasonUnknownEvent),
		{
			file: "changes_like_messaging", changes: []mapping.Change{
				inbound(text("in changes")), inbound(mid("mid-2"), text("Prices")), inbound(edit(1, "new")),
			},
			ignored: map[string]int{"read": 1, "reaction": 1, "referral": 1},
		},
		one("standby", inbound(text("while another app owns the thread"))),
		{
			file:    "messaging_and_standby",
			changes: []mapping.Change{inbound(text("ours")), inbound(mid("mid-2"), text("theirs"))},
			ignored: map[string]int{"other_field": 1},
		},
		{file: "batch", changes: []mapping.Change{
			inbound(text("one")), inbound(mid("mid-2"), text("two")),
			inbound(between(other, "901", other), text("same mid, other account")),
		}},
		{file: "two_own_accounts", changes: []mapping.Change{
			outbound(mid("mid-a"), text("hi"), between(account, account, other)),
			inbound(mid("mid-b"), text("hi"), between(other, account, other)),
		}},
		{file: "top_level_array", changes: []mapping.Change{inbound(text("one")), inbound(mid("mid-2"), text("two"))}},
		one("page_object", inbound(text("by page"))),

		one("numeric_ids", inbound(text("17 digits"), between(account, "90000000000000017", account))),
		one("seconds", inbound(text("old clock"))),
		one("time_as_string", inbound(text("quoted"))),
		one("time_iso", inbound(text("iso"), at(sent))),
		one("time_of_entry", inbound(text("no time"), at(sent))),
		one("time_of_entry_in_seconds", inbound(text("no time"))),
		one("no_time", inbound(text("no time"), at(1_790_000_009_999))),
		{file: "no_entry_id", changes: []mapping.Change{inbound(text("to whom")), outbound(mid("mid-2"), text("from whom"))}},
		{file: "sender_missing_in_echo", changes: []mapping.Change{outbound(text("a")), outbound(mid("mid-2"), text("b"))}},
		one("recipient_missing", inbound(text("a"))),
		one("nul_and_surrogates", inbound(text("a\x00b \uFFFD c 👑"))),

		refused("no_user", webhook.ReasonNoUser),
		refused("no_account", webhook.ReasonNoAccount),
		refused("no_mid", webhook.ReasonNoMID),
		refused("no_content", webhook.ReasonNoContent, webhook.ReasonNoContent, webhook.ReasonNoContent),
		refused("unknown_event", webhook.ReasonUnknownEvent),
		refused("null_message", webhook.ReasonUnknownEvent),
		{
			file:    "malformed_between_siblings",
			changes: []mapping.Change{inbound(text("one")), inbound(mid("mid-3"), text("three"))},
			reasons: []string{webhook.ReasonMalformedEvent, webhook.ReasonMalformedEvent, webhook.ReasonMalformedEvent},
		},
		refused("malformed_flag", webhook.ReasonMalformedEvent),
		refused("malformed_attachment", webhook.ReasonMalformedEvent),
		refused("malformed_change", webhook.ReasonMalformedEvent, webhook.ReasonMalformedEvent),
		{
			file: "unknown_list", changes: []mapping.Change{inbound(text("known"))},
			reasons: []string{webhook.ReasonUnknownEntry, webhook.ReasonUnknownEntry, webhook.ReasonUnknownEntry},
		},
		refused("list_is_object", webhook.ReasonMalformedEntry),
		{
			file: "malformed_entry", changes: []mapping.Change{inbound(text("fine"))},
			reasons: []string{webhook.ReasonMalformedEntry, webhook.ReasonMalformedEntry},
		},
		refused("unknown_object", webhook.ReasonUnknownObject),
		refused("no_entry", webhook.ReasonNoEntry),
		refused("scalar", webhook.ReasonNotObject),
		{
			file: "array_of_oddities", changes: []mapping.Change{inbound(text("fine"))},
			reasons: []string{webhook.ReasonNotObject, webhook.ReasonNotObject},
		},
		refused("not_json", webhook.ReasonNotJSON),
	}
}

func TestDecode_every_shape(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, s := range shapes() {
		seen[s.file+".json"] = true
		t.Run(s.file, func(t *testing.T) {
			t.Parallel()
			body := readShape(t, s.file+".json")
			got := webhook.Decode(body, received)
			if diff := cmp.Diff(s.changes, got.Changes); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(s.ignored, got.Ignored); diff != "" {
				t.Errorf("ignored (-want +got):\n%s", diff)
			}
			var reasons []string
			for _, u := range got.Undecoded {
				reasons = append(reasons, u.Reason)
			}
			if diff := cmp.Diff(s.reasons, reasons); diff != "" {
				t.Errorf("reasons (-want +got):\n%s", diff)
			}
			checkDecoded(t, body, got)
		})
	}
	for _, file := range shapeFiles(t) {
		if !seen[file] {
			t.Errorf("testdata/shapes/%s is in no test", file)
		}
	}
}

// TestDecode_keeps_each_refused_event_alone looks at the bytes that are kept.
func TestDecode_keeps_each_refused_event_alone(t *testing.T) {
	t.Parallel()
	const head = `{"object":"instagram","entry":[{"id":"17841400000000042","time":1790000000123,`
	for file, want := range map[string][]string{
		"malformed_between_siblings": {
			head + `"messaging":[{"sender":{"id":"900000000000017"},"recipient":{"id":"17841400000000042"},"timestamp":1790000000000,` +
				`"message":{"mid":["x"],"text":"two"}}]}]}`,
			head + `"messaging":[7]}]}`,
			head + `"messaging":[null]}]}`,
		},
		"malformed_change":  {head + `"changes":[{"value":{}}]}]}`, head + `"changes":[{"field":7,"value":{}}]}]}`},
		"array_of_oddities": {"[7]", ""},
		"unknown_list": {
			head + `"hybrid":[{"a":1}]}]}`,
			`{"object":"instagram","entry":[{"id":"17841400000000042","time":1790000000123}]}`,
			`{"object":"instagram","entry":[{"id":"17841400000000042","messaging":null}]}`,
		},
		"no_entry": {`{"object":"instagram"}` + "\n"},
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			got := webhook.Decode(readShape(t, file+".json"), received)
			if len(got.Undecoded) != len(want) {
				t.Fatalf("%d undecoded, want %d", len(got.Undecoded), len(want))
			}
			for i := range want {
				if body := string(got.Undecoded[i].Body); want[i] != "" && !sameFields(body, want[i]) {
					t.Errorf("undecoded %d:\n got %s\nwant %s", i, body, want[i])
				}
			}
		})
	}
}

// sameFields forgives the order of an entry's id and time, which is that of the
// delivery where the entry is kept whole.
func sameFields(got, want string) bool {
	const a, b = `"id":"17841400000000042","time":1790000000123`, `"time":1790000000123,"id":"17841400000000042"`
	return strings.ReplaceAll(got, b, a) == want
}

func readShape(tb testing.TB, file string) []byte {
	tb.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", "shapes", file))
	if err != nil {
		tb.Fatal(err)
	}
	return body
}

func shapeFiles(tb testing.TB) []string {
	tb.Helper()
	entries, err := os.ReadDir(filepath.Join("testdata", "shapes"))
	if err != nil {
		tb.Fatal(err)
	}
	var files []string
	for _, e := range entries {
		files = append(files, e.Name())
	}
	return files
}
