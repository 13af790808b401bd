package webhook_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"sidestream/internal/webhook"
	"sidestream/mapping"
)

// checkDecoded checks what must hold of every body.
func checkDecoded(tb testing.TB, body []byte, got webhook.Decoded) {
	tb.Helper()
	for _, c := range got.Changes {
		checkChange(tb, c)
	}
	results := []string{"noop_edit", "reaction", "read", "referral", "optin", "handover", "other_field"}
	for result, n := range got.Ignored {
		if !slices.Contains(results, result) || n < 1 {
			tb.Errorf("ignored %q: %d", result, n)
		}
	}
	for _, u := range got.Undecoded {
		checkUndecoded(tb, u, got.Changes)
	}
	if again := webhook.Decode(body, received); !cmp.Equal(again, got) {
		tb.Errorf("decoded twice, differently:\n%s", cmp.Diff(got, again))
	}
	if !json.Valid(body) {
		return
	}
	// A delivery in an array, as Meta's examples show it, is the same delivery.
	wrapped := webhook.Decode(slices.Concat([]byte("["), body, []byte("]")), received)
	if first := bytes.TrimLeft(body, " \t\r\n"); first[0] == '{' && !cmp.Equal(wrapped.Changes, got.Changes) && !tooDeep(wrapped) {
		tb.Errorf("changes differ in an array:\n%s", cmp.Diff(got.Changes, wrapped.Changes))
	}
}

// tooDeep is true where one array more was one too many for the JSON decoder.
func tooDeep(d webhook.Decoded) bool {
	return len(d.Undecoded) == 1 && d.Undecoded[0].Reason == webhook.ReasonNotJSON
}

func checkChange(tb testing.TB, c mapping.Change) {
	tb.Helper()
	if c.MessageID == "" || c.AccountID == "" || c.Timestamp <= 0 {
		tb.Errorf("without id, account or time: %+v", c)
	}
	if c.Direction != mapping.Inbound && c.Direction != mapping.Outbound {
		tb.Errorf("direction %q", c.Direction)
	}
	for _, s := range []string{c.MessageID, c.AccountID, c.SenderID, c.RecipientID} {
		if len(s) > 600 || !utf8.ValidString(s) {
			tb.Errorf("id %q", s)
		}
	}
	if c.Text != nil && (*c.Text == "" || !utf8.ValidString(*c.Text)) {
		tb.Errorf("text %q", *c.Text)
	}
	if c.Attachments != nil {
		var list []struct {
			Type *string `json:"type"`
		}
		if err := json.Unmarshal([]byte(*c.Attachments), &list); err != nil || len(list) == 0 {
			tb.Errorf("attachments %q: %v", *c.Attachments, err)
		}
		for _, a := range list {
			if a.Type == nil || *a.Type == "" {
				tb.Errorf("attachment without a type: %q", *c.Attachments)
			}
		}
	}
	nothing := c.Text == nil && c.Attachments == nil
	switch c.Kind {
	case mapping.KindMessage:
		if c.User().UserID == "" || c.Version != 0 {
			tb.Errorf("message of nobody, or with a version: %+v", c)
		}
	case mapping.KindEdit:
		if c.Version < 1 || nothing {
			tb.Errorf("edit without number or content: %+v", c)
		}
	case mapping.KindUnsend:
		if !nothing || c.Version != 0 {
			tb.Errorf("unsend with content or a version: %+v", c)
		}
	case mapping.KindTest:
	default:
		tb.Errorf("kind %q", c.Kind)
	}
}

// checkUndecoded checks that what is kept can be replayed: it decodes to itself,
// and brings no change that the delivery did not bring.
func checkUndecoded(tb testing.TB, u webhook.Undecoded, changes []mapping.Change) {
	tb.Helper()
	again := webhook.Decode(u.Body, received)
	if !slices.ContainsFunc(again.Undecoded, func(v webhook.Undecoded) bool {
		return v.Reason == u.Reason && bytes.Equal(v.Body, u.Body)
	}) {
		tb.Errorf("%s: %q decodes to %+v", u.Reason, u.Body, again)
	}
	for _, c := range again.Changes {
		if !slices.ContainsFunc(changes, func(d mapping.Change) bool { return cmp.Equal(c, d) }) {
			tb.Errorf("%s: replaying brings a new change: %+v", u.Reason, c)
		}
	}
}
