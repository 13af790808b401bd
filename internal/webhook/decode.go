package webhook

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	"sidestream/mapping"
)

// The reasons why something signed was not understood: a bounded set.
const (
	// ReasonNotJSON is a body that is no JSON, or nested too deeply.
	ReasonNotJSON = "not_json"
	// ReasonNotObject is a value where a JSON object belongs.
	ReasonNotObject = "not_an_object"
	// ReasonUnknownObject is a delivery for something else than instagram or page.
	ReasonUnknownObject = "unknown_object"
	// ReasonNoEntry is a delivery without a list of entries.
	ReasonNoEntry = "no_entry"
	// ReasonMalformedEntry is an entry, or one of its lists, of the wrong type.
	ReasonMalformedEntry = "malformed_entry"
	// ReasonUnknownEntry is an entry without a list that we know, or one list
	// that we do not know beside others.
	ReasonUnknownEntry = "unknown_entry"
	// ReasonMalformedEvent is an event with a value of the wrong type.
	ReasonMalformedEvent = "malformed_event"
	// ReasonUnknownEvent is an event of no kind that we know.
	ReasonUnknownEvent = "unknown_event"
	// ReasonLongID is an event with an id longer than any that can be real.
	ReasonLongID = "id_too_long"
	// ReasonNoMID is a message, edit or unsend that names no message, or a postback
	// with neither an id nor a time, which a second press could not be told from.
	ReasonNoMID = "no_mid"
	// ReasonNoAccount is an event of which the business account is not known.
	ReasonNoAccount = "no_account"
	// ReasonNoUser is a message of which the other person is not known.
	ReasonNoUser = "no_user"
	// ReasonNoContent is a message with nothing in it that we know.
	ReasonNoContent = "no_content"
	// ReasonBadEdit is an edit that has content but no number to order it by.
	ReasonBadEdit = "bad_edit"
	// ReasonTooMany is a delivery with more refused events than Meta puts events
	// of any kind into one; it is kept whole.
	ReasonTooMany = "too_many"
)

// maxUndecoded is Meta's documented limit of updates in a delivery. It bounds
// what the envelopes of a delivery of tiny events can grow to.
const maxUndecoded = 1000

// Decoded is what a delivery holds.
type Decoded struct {
	// Changes are to be stored, in the order of their events.
	Changes []mapping.Change
	// Undecoded could not be understood and are kept raw.
	Undecoded []Undecoded
	// Ignored counts the events that are understood and not stored, by the
	// value of the metric's result label; nil where there are none.
	Ignored map[string]int
}

// Decode reads the body of a delivery. It never fails: each event is decoded by
// itself, so that a malformed one does not lose its siblings, and what cannot be
// understood is in Undecoded. An event and an entry without a usable time are
// taken to have happened when the body was received.
func Decode(body []byte, received time.Time) Decoded {
	d := decoder{received: received.UnixMilli()}
	d.body(body)
	if len(d.out.Undecoded) > maxUndecoded {
		d.out.Undecoded = []Undecoded{{Reason: ReasonTooMany, Body: body}}
	}
	return d.out
}

type decoder struct {
	received int64
	out      Decoded
}

func (d *decoder) undecoded(reason string, body []byte) {
	if len(d.out.Undecoded) <= maxUndecoded {
		d.out.Undecoded = append(d.out.Undecoded, Undecoded{Reason: reason, Body: body})
	}
}

func (d *decoder) ignore(result string) {
	if d.out.Ignored == nil {
		d.out.Ignored = make(map[string]int)
	}
	d.out.Ignored[result]++
}

// body takes an object, or an array of them: Meta's examples show an array,
// no real delivery does.
func (d *decoder) body(body []byte) {
	if !json.Valid(body) {
		d.undecoded(ReasonNotJSON, body)
		return
	}
	var deliveries []json.RawMessage
	if !isArray(body) || json.Unmarshal(body, &deliveries) != nil {
		d.delivery(body, body)
		return
	}
	for _, raw := range deliveries {
		// The array around it keeps an array in an array from being read as
		// deliveries when it is replayed.
		d.delivery(raw, slices.Concat([]byte("["), raw, []byte("]")))
	}
}

// delivery reads raw; whole is what is kept of it where it is not understood.
func (d *decoder) delivery(raw, whole []byte) {
	fields := object(raw)
	if fields == nil {
		d.undecoded(ReasonNotObject, whole)
		return
	}
	if fields["entry"] == nil && fields["field"] != nil && fields["value"] != nil {
		// What the dashboard shows of its test, and what people send by hand.
		d.change(entry{whole: whole}, raw)
		return
	}
	var kind string
	if json.Unmarshal(fields["object"], &kind) != nil || kind != "instagram" && kind != "page" {
		d.undecoded(ReasonUnknownObject, whole)
		return
	}
	entries := array(fields["entry"])
	if entries == nil {
		d.undecoded(ReasonNoEntry, whole)
		return
	}
	for _, raw := range entries {
		d.entry(kind, raw)
	}
}

// entry reads every list of an entry: standby events come beside the others or
// alone, while another app owns the thread.
func (d *decoder) entry(kind string, raw []byte) {
	whole := func() []byte { return slices.Concat([]byte(`{"object":"`+kind+`","entry":[`), raw, []byte("]}")) }
	fields := object(raw)
	e, err := newEntry(kind, fields)
	if fields == nil || err != nil {
		d.undecoded(ReasonMalformedEntry, whole())
		return
	}
	known := false
	for _, name := range []string{"messaging", "standby", "changes"} {
		list := fields[name]
		delete(fields, name)
		if list == nil || isNull(list) {
			continue
		}
		known = true
		events := array(list)
		if events == nil {
			d.undecoded(ReasonMalformedEntry, e.envelope(name, list))
		}
		for _, raw := range events {
			if name == "changes" {
				d.change(e, raw)
			} else {
				d.event(event{entry: e, raw: raw, list: name}, raw)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if value := fields[name]; name != "id" && name != "time" && (isArray(value) || isObject(value)) {
			known = true
			d.undecoded(ReasonUnknownEntry, e.envelope(name, value))
		}
	}
	if !known {
		d.undecoded(ReasonUnknownEntry, whole())
	}
}

// change reads an item of changes. Direct messages come there from the test
// button; everything else that comes there is not about direct messages.
func (d *decoder) change(e entry, raw []byte) {
	ev := event{entry: e, raw: raw, list: "changes"}
	var field string
	fields := object(raw)
	if json.Unmarshal(fields["field"], &field) != nil || field == "" {
		d.undecoded(ReasonMalformedEvent, ev.envelope())
		return
	}
	if !strings.HasPrefix(field, "messag") && field != "standby" {
		d.ignore(resultOtherField)
		return
	}
	ev.echo = field == "message_echoes"
	d.event(ev, fields["value"])
}

// object returns the members of a JSON object, or nil where raw is none.
func object(raw []byte) map[string]json.RawMessage {
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil {
		return nil
	}
	return fields
}

// array returns the elements of a JSON array, or nil where raw is none.
func array(raw []byte) []json.RawMessage {
	var elements []json.RawMessage
	if json.Unmarshal(raw, &elements) != nil {
		return nil
	}
	return elements
}

func isArray(raw []byte) bool  { return first(raw) == '[' }
func isObject(raw []byte) bool { return first(raw) == '{' }
func isNull(raw []byte) bool   { return first(raw) == 'n' }

// first returns the first byte of a JSON value, or 0.
func first(raw []byte) byte {
	raw = bytes.TrimLeft(raw, " \t\r\n")
	if len(raw) == 0 {
		return 0
	}
	return raw[0]
}
