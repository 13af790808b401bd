package simulate

import "fmt"

// Compose writes events of the caller's own making down as the body of one POST,
// in the forms of real deliveries: messages with text and attachments that have
// a URL, edits, and unsends. The first event's account is the one that they are
// delivered for, at a time in milliseconds since 1970 UTC.
func Compose(at int64, events ...Sent) Delivery {
	composed := make([]event, len(events))
	for i, sent := range events {
		composed[i] = event{sent: sent, item: compose(sent)}
	}
	return deliver(events[0].AccountID, at, 0, composed)
}

func compose(sent Sent) object {
	body := object{"mid": sent.MessageID}
	if sent.Outbound {
		body["is_echo"] = true
	}
	switch sent.Kind {
	case KindEdit:
		return item(sent, "message_edit", object{"mid": sent.MessageID, "text": sent.Text, "num_edit": sent.Version})
	case KindUnsend:
		body["is_deleted"] = true
		return item(sent, "message", body)
	case KindMessage:
	case KindTest, KindCounted, KindUndecoded:
		panic(fmt.Sprintf("simulate: compose an event of kind %q", sent.Kind)) // A mistake of the caller's code.
	}
	if sent.Text != "" {
		body["text"] = sent.Text
	}
	var attached []object
	for _, a := range sent.Attachments {
		attached = append(attached, object{"type": a.Type, "payload": object{"url": a.URL}})
	}
	if attached != nil {
		body["attachments"] = attached
	}
	return item(sent, "message", body)
}
