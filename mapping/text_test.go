package mapping_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"sidestream/mapping"
)

func TestMapper_Record_text(t *testing.T) {
	m := newMapper(t, mapping.Options{})
	for _, tt := range []struct {
		name        string
		text        *string
		attachments string
		want        string
	}{
		{"plain", new("hi"), "", "hi"},
		{"bytes_stay_as_they_are", new(" \tпривет 👑\x00\r\n' \\ \" "), "", " \tпривет 👑\x00\r\n' \\ \" "},
		{"a_replacement_character_that_was_written_stays", new("a\uFFFDb"), "", "a\uFFFDb"},
		{"bytes_that_are_not_utf8_become_one_mark", new("a\xff\xfeb\xc3"), "", "a\uFFFDb\uFFFD"},
		{"nothing_at_all", nil, "", "[unsupported message]"},
		{"an_empty_text", new(""), "", "[unsupported message]"},
		{"no_attachments_as_null", nil, " null ", "[unsupported message]"},
		{"no_attachments_as_an_empty_array", new("hi"), "[]", "hi"},
		{"an_image", nil, `[{"type":"image","payload":{"url":"https://a/b?c=1&d=2"}}]`, "[image] https://a/b?c=1&d=2"},
		{"a_text_goes_before_its_images", new("two"), `[{"type":"image","payload":{"url":"u1"}},{"type":"image","payload":{"url":"u2"}}]`, "two\n[image] u1\n[image] u2"},
		{"a_url_beside_the_type", nil, `[{"type":"video","url":"u"}]`, "[video] u"},
		{"a_story", nil, `[{"type":"ig_story","payload":{"story_media_id":"1","story_media_url":"u"}}]`, "[ig_story] u"},
		{"a_url_goes_before_a_title", nil, `[{"type":"ig_reel","payload":{"title":"caption","url":"u"}}]`, "[ig_reel] u"},
		{"a_title_where_there_is_no_url", nil, `[{"type":"ig_post","payload":{"title":"a caption\nof two lines"}}]`, "[ig_post] a caption\nof two lines"},
		{"a_heart_without_a_payload", nil, `[{"type":"like_heart"}]`, "[like_heart]"},
		{"a_null_payload", nil, `[{"type":"fallback","payload":null}]`, "[fallback]"},
		{"a_template_without_anything", nil, `[{"type":"template","payload":{"generic":[]}}]`, "[template]"},
		{"a_type_nobody_knows_yet", nil, `[{"type":"hologram","payload":{"url":"u"}}]`, "[hologram] u"},
		{"no_type", nil, `[{"payload":{"url":"u"}}]`, "[attachment] u"},
		{"fields_of_other_types", nil, `[{"type":7,"payload":"x"},{"type":"image","payload":{"url":["u"],"title":"t"}}]`, "[attachment]\n[image] t"},
		{"elements_of_other_types", nil, `[1,null,"x",{"type":"image","payload":{"url":"u"}}]`, "[attachment]\n[attachment]\n[attachment]\n[image] u"},
		{"one_object_in_place_of_an_array", nil, ` {"type":"image","payload":{"url":"u"}}`, "[image] u"},
		{"one_object_with_a_field_of_another_type", nil, `{"type":"image","payload":7}`, "[image]"},
		{"no_json", new("hi"), `{"type":`, "hi\n[attachment]"},
		{"json_that_is_no_list", nil, `"image"`, "[attachment]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := inbound(tt.text)
			if tt.attachments != "" {
				c.Attachments = &tt.attachments
			}
			if got := record(t, m, c).Record.Message; got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestMapper_Record_is_valid_utf8_everywhere(t *testing.T) {
	c := inbound(new("x\xff"))
	c.MessageID, c.AccountID, c.SenderID, c.RecipientID = "m\xff", "a\xff", "s\xff", "r\xff"
	names := map[mapping.User]string{c.User(): "n\xff"}
	got, err := newMapper(t, mapping.Options{UnsendText: "u\xff"}).Record([]mapping.Change{c}, names)
	if err != nil {
		t.Fatal(err)
	}
	r := got.Record
	for _, s := range []string{r.UserID, r.Username, r.Message, r.MessageID, r.AccountID, r.SenderID, r.RecipientID} {
		if !utf8.ValidString(s) || !strings.HasSuffix(s, "\uFFFD") {
			t.Errorf("got %q", s)
		}
	}
}

// FuzzMapper_Record_attachments: whatever the column holds, the message
// arrives, shows that there was something, and is valid UTF-8.
func FuzzMapper_Record_attachments(f *testing.F) {
	for _, seed := range []string{
		"", "null", "[]", "[null]", "{}", `[{"type":"image","payload":{"url":"u"}}]`,
		`[{"type":"ig_post","payload":{"title":"t"}}]`, `[{"type":`, "\xff", `[{"type":"\ud800"}]`, "[[[[[", ` "x" `,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		c := inbound(new("text"))
		c.Attachments = &raw
		m := newMapper(t, mapping.Options{})
		got := record(t, m, c).Record.Message
		rest, ok := strings.CutPrefix(got, "text")
		if !ok {
			t.Fatalf("the text is gone: %q", got)
		}
		if !utf8.ValidString(got) {
			t.Errorf("not valid UTF-8: %q", got)
		}
		lines := 0
		var elements []json.RawMessage
		switch {
		case json.Unmarshal([]byte(raw), &elements) == nil:
			lines = len(elements)
		case strings.TrimSpace(raw) != "":
			lines = 1
		}
		if found := strings.Count(rest, "\n["); found < lines || (lines == 0 && rest != "") {
			t.Errorf("%d lines for %d attachments: %q", found, lines, rest)
		}
		if again := record(t, m, c).Record.Message; again != got {
			t.Errorf("not the same again: %q and %q", got, again)
		}
	})
}
