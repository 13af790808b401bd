package webhook

import (
	"encoding/json"
	"errors"

	"sidestream/mapping"
)

// event is one item of an entry, with what is needed to keep it raw.
type event struct {
	entry
	// list is where in the entry raw came from.
	list string
	raw  []byte
	// echo is set where the field says that the business sent the message.
	echo bool
}

func (e event) envelope() []byte {
	return e.entry.envelope(e.list, append(append([]byte{'['}, e.raw...), ']'))
}

// header is what the items have in common. Each part may be missing.
type header struct {
	Sender    *party `json:"sender"`
	Recipient *party `json:"recipient"`
	Timestamp millis `json:"timestamp"`
}

type party struct {
	ID id `json:"id"`
}

func (p *party) id() string {
	if p == nil {
		return ""
	}
	return string(p.ID)
}

// event reads an item. It is a union without a tag: what it is is told by the
// key that is present.
func (d *decoder) event(e event, value []byte) {
	fields := object(value)
	if fields == nil {
		d.undecoded(ReasonMalformedEvent, e.envelope())
		return
	}
	known := false
	for _, kind := range []struct {
		key    string
		result string
		change func(*decoder, event, header, []byte) (mapping.Change, error)
	}{
		{key: "message", change: (*decoder).message},
		{key: "message_edit", change: (*decoder).edit},
		{key: "postback", change: (*decoder).postback},
		{key: "reaction", result: resultReaction},
		{key: "read", result: resultRead},
		{key: "referral", result: resultReferral},
		{key: "optin", result: resultOptin},
		{key: "pass_thread_control", result: resultHandover},
		{key: "take_thread_control", result: resultHandover},
		{key: "request_thread_control", result: resultHandover},
		{key: "app_roles", result: resultHandover},
		{key: "policy_enforcement", result: resultOtherField},
		{key: "delivery", result: resultOtherField},
	} {
		raw := fields[kind.key]
		switch {
		case raw == nil:
		case kind.change == nil:
			known = true
			d.ignore(kind.result)
		case !isNull(raw):
			known = true
			d.store(e, value, raw, kind.change)
		}
	}
	if !known {
		d.undecoded(ReasonUnknownEvent, e.envelope())
	}
}

// store adds the change that an event is, or keeps the event raw.
func (d *decoder) store(e event, value, raw []byte, read func(*decoder, event, header, []byte) (mapping.Change, error)) {
	var h header
	err := json.Unmarshal(value, &h)
	var c mapping.Change
	if err == nil {
		c, err = read(d, e, h, raw)
	}
	var refused refusedError
	switch {
	case err == nil:
		d.out.Changes = append(d.out.Changes, c)
	case errors.Is(err, errNoop):
		d.ignore(resultNoopEdit)
	case errors.As(err, &refused):
		d.undecoded(string(refused), e.envelope())
	case errors.Is(err, errLongID):
		d.undecoded(ReasonLongID, e.envelope())
	default:
		d.undecoded(ReasonMalformedEvent, e.envelope())
	}
}

// refusedError is a Reason.
type refusedError string

func (e refusedError) Error() string { return string(e) }

// errNoop is an edit that changes nothing.
var errNoop = errors.New("nothing was edited")
