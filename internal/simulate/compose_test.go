package simulate

import (
	"encoding/json"
	"testing"
)

func TestCompose(t *testing.T) {
	about := Sent{AccountID: DefaultAccountID, MessageID: "m1", UserID: "900", Timestamp: 1_790_000_000_000}
	message, edit, unsend := about, about, about
	message.Kind, message.Text, message.Attachments = KindMessage, "an é", []Attachment{{Type: "image", URL: "https://example.com/1"}}
	edit.Kind, edit.Text, edit.Version = KindEdit, "again", 2
	unsend.Kind, unsend.Outbound = KindUnsend, true
	d := Compose(1_790_000_000_500, message, edit, unsend)
	if len(d.Sent) != 3 || d.Sent[1].Version != 2 {
		t.Errorf("sent: %+v", d.Sent)
	}
	var got struct {
		Object string
		Entry  []struct {
			ID        string
			Messaging []map[string]any
		}
	}
	if err := json.Unmarshal(d.Body, &got); err != nil {
		t.Fatal(err)
	}
	if got.Object != "instagram" || len(got.Entry) != 1 || got.Entry[0].ID != DefaultAccountID || len(got.Entry[0].Messaging) != 3 {
		t.Fatalf("body: %s", d.Body)
	}
	for i, want := range []string{
		`{"attachments":[{"payload":{"url":"https://example.com/1"},"type":"image"}],"mid":"m1","text":"an é"}`,
		`{"mid":"m1","num_edit":2,"text":"again"}`,
		`{"is_deleted":true,"is_echo":true,"mid":"m1"}`,
	} {
		key := "message"
		if i == 1 {
			key = "message_edit"
		}
		item := got.Entry[0].Messaging[i]
		if text, err := json.Marshal(item[key]); err != nil || string(text) != want {
			t.Errorf("event %d: %s, %v", i, text, err)
		}
		from := "900"
		if i == 2 {
			from = DefaultAccountID
		}
		if sender, _ := item["sender"].(map[string]any); sender["id"] != from {
			t.Errorf("event %d is from %v", i, item["sender"])
		}
	}
}
