package simulate

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// Kind says what an event is to the receiver of the webhook.
type Kind string

// The kinds of event. The first three make, change or remove a CRM row.
const (
	KindMessage Kind = "message"
	KindEdit    Kind = "edit"
	KindUnsend  Kind = "unsend"
	// KindTest is what the App Dashboard's test button sends.
	KindTest Kind = "test"
	// KindCounted is a reaction, a read, a referral, an opt-in, a comment or an
	// edit without a text: counted, not stored.
	KindCounted Kind = "counted"
	// KindUndecoded is a shape that nobody knows: kept, not understood.
	KindUndecoded Kind = "undecoded"
)

// Sent is one event of a delivery, in the terms of who made it up.
type Sent struct {
	Kind      Kind
	AccountID string
	// MessageID is the message's own mid, or the mid that an edit or an unsend
	// is about.
	MessageID string
	// UserID is the person on the other side, whoever sent the message.
	UserID string
	// Outbound is true for what the account sent itself: an echo.
	Outbound bool
	// Text is empty where the event has none.
	Text string
	// Attachments are what a reader should see of them: one post that is sent in
	// two forms is there once, and a story that is replied to is there too.
	Attachments []Attachment
	// Version is an edit's num_edit.
	Version int
	// Timestamp is in milliseconds since 1970 UTC.
	Timestamp int64
}

// Attachment is what a message carries beside its text. Some have no URL.
type Attachment struct {
	Type string
	URL  string
}

// Delivery is the body of one POST and what it says.
type Delivery struct {
	Body []byte
	// Sent holds the events in the order in which they stand in Body.
	Sent []Sent
	// Repeat is true where the events have been delivered before.
	Repeat bool
}

// event is one event and its form on the wire. Where it cannot stand among
// other items, change is set and item is nil.
type event struct {
	sent   Sent
	item   object
	change *change
}

type object map[string]any

// envelope is a webhook body. Real ones have "time" before "id".
type envelope struct {
	Object string  `json:"object"`
	Entry  []entry `json:"entry"`
}

type entry struct {
	Time      int64    `json:"time"`
	ID        string   `json:"id"`
	Messaging []object `json:"messaging,omitempty"`
	Changes   []change `json:"changes,omitempty"`
}

type change struct {
	// entryID replaces the account's id where it is set.
	entryID string
	Field   string `json:"field"`
	Value   object `json:"value"`
}

// deliver writes events down as one body. Those behind position split get an
// entry of their own; split 0 means one entry for all.
func deliver(accountID string, now int64, split int, events []event) Delivery {
	d := Delivery{Sent: make([]Sent, 0, len(events))}
	e := envelope{Object: "instagram"}
	for i, ev := range events {
		d.Sent = append(d.Sent, ev.sent)
		if ev.change != nil {
			id := accountID
			if ev.change.entryID != "" {
				id = ev.change.entryID
			}
			// Unlike those of messages, these times are in seconds.
			e.Entry = append(e.Entry, entry{Time: now / 1000, ID: id, Changes: []change{*ev.change}})
			continue
		}
		last := len(e.Entry) - 1
		if last < 0 || e.Entry[last].Messaging == nil || (split > 0 && i == split) {
			e.Entry = append(e.Entry, entry{Time: now, ID: accountID})
			last++
		}
		e.Entry[last].Messaging = append(e.Entry[last].Messaging, ev.item)
	}
	d.Body = encode(e)
	return d
}

// encode writes JSON as Meta's servers do: everything beyond ASCII as
// lower-case \uXXXX, astral characters as surrogate pairs, "/" as "\/".
func encode(v any) []byte {
	var plain bytes.Buffer
	enc := json.NewEncoder(&plain)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("simulate: encode %T: %v", v, err)) // Only values of this package's own making.
	}
	in := bytes.TrimSuffix(plain.Bytes(), []byte("\n"))
	out := make([]byte, 0, len(in)+len(in)/4)
	for len(in) > 0 {
		r, size := utf8.DecodeRune(in)
		in = in[size:]
		switch {
		case r == '/': // JSON has slashes inside strings only.
			out = append(out, '\\', '/')
		case r == '@':
			out = append(out, `\u0040`...)
		case r < utf8.RuneSelf:
			out = append(out, byte(r))
		default:
			if high, low := utf16.EncodeRune(r); high != utf8.RuneError {
				out = escape(out, high)
				r = low
			}
			out = escape(out, r)
		}
	}
	return out
}

// escape appends a UTF-16 unit.
func escape(out []byte, unit rune) []byte {
	const digits = "0123456789abcdef"
	return append(out, '\\', 'u', digits[unit>>12], digits[unit>>8&15], digits[unit>>4&15], digits[unit&15])
}
