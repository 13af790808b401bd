package webhook

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"sidestream/mapping"
)

type message struct {
	MID           id            `json:"mid"`
	Text          *string       `json:"text"`
	Attachments   []*attachment `json:"attachments"`
	ReplyTo       *replyTo      `json:"reply_to"`
	NumEdit       count         `json:"num_edit"`
	IsEcho        flag          `json:"is_echo"`
	IsSelf        flag          `json:"is_self"`
	IsDeleted     flag          `json:"is_deleted"`
	IsUnsupported flag          `json:"is_unsupported"`
}

// replyTo is read for the story only: the mid of a message that is replied to
// has no place in the record.
type replyTo struct {
	Story *struct {
		URL string `json:"url"`
	} `json:"story"`
}

func (m *message) storyReply() []kept {
	if m.ReplyTo == nil || m.ReplyTo.Story == nil {
		return nil
	}
	return []kept{{Type: "story_reply", URL: m.ReplyTo.Story.URL}}
}

// message reads a message or an unsend.
func (d *decoder) message(e event, h header, raw []byte) (mapping.Change, error) {
	var m message
	if err := json.Unmarshal(raw, &m); err != nil {
		return mapping.Change{}, err
	}
	c := mapping.Change{MessageID: string(m.MID), Kind: mapping.KindUnsend}
	if !m.IsDeleted {
		c.Kind, c.Text = mapping.KindMessage, nonEmpty(m.Text)
		attachments, err := attachmentsJSON(m.Attachments, m.storyReply()...)
		if err != nil {
			return mapping.Change{}, err
		}
		c.Attachments = attachments
		if c.Text == nil && c.Attachments == nil && !m.IsUnsupported {
			return mapping.Change{}, refusedError(ReasonNoContent)
		}
	}
	return d.complete(c, e, h, m)
}

// edit reads a message_edit. Number 0 without a text accompanies ordinary
// messages where the field is subscribed.
func (d *decoder) edit(e event, h header, raw []byte) (mapping.Change, error) {
	var m message
	if err := json.Unmarshal(raw, &m); err != nil {
		return mapping.Change{}, err
	}
	attachments, err := attachmentsJSON(m.Attachments)
	if err != nil {
		return mapping.Change{}, err
	}
	c := mapping.Change{
		MessageID: string(m.MID), Kind: mapping.KindEdit, Version: m.NumEdit.n,
		Text: nonEmpty(m.Text), Attachments: attachments,
	}
	switch {
	case m.NumEdit.set && m.NumEdit.n == 0, c.Text == nil && c.Attachments == nil:
		return mapping.Change{}, errNoop
	case m.NumEdit.n < 1:
		return mapping.Change{}, refusedError(ReasonBadEdit)
	}
	return d.complete(c, e, h, m)
}

type postback struct {
	MID     id      `json:"mid"`
	Title   *string `json:"title"`
	Payload *string `json:"payload"`
}

// postback reads the press of a button as the message that it stands for: its
// title, or the payload where there is none.
func (d *decoder) postback(e event, h header, raw []byte) (mapping.Change, error) {
	var p postback
	if err := json.Unmarshal(raw, &p); err != nil {
		return mapping.Change{}, err
	}
	text, payload := nonEmpty(p.Title), nonEmpty(p.Payload)
	if text == nil {
		text = payload
	}
	if text == nil {
		return mapping.Change{}, refusedError(ReasonNoContent)
	}
	if p.MID == "" {
		if h.Timestamp == 0 {
			// Pressed twice it would look like a redelivery of the first.
			return mapping.Change{}, refusedError(ReasonNoMID)
		}
		if payload == nil {
			payload = text
		}
		p.MID = postbackID(h, *payload)
	}
	c := mapping.Change{MessageID: string(p.MID), Kind: mapping.KindMessage, Text: text}
	return d.complete(c, e, h, message{})
}

// postbackID stands in for the id that some postbacks lack. It is made of what
// a redelivery repeats: the time of the entry does not belong to it.
func postbackID(h header, payload string) id {
	sender := h.Sender.id()
	sum := sha256.Sum256(fmt.Appendf(nil, "%d:%s %d %s", len(sender), sender, h.Timestamp, payload))
	return id("postback:" + hex.EncodeToString(sum[:16]))
}

// complete adds who, where and when to a change, and refuses one that could
// not be told apart or assigned to a person later.
func (d *decoder) complete(c mapping.Change, e event, h header, m message) (mapping.Change, error) {
	echo := e.echo || bool(m.IsEcho)
	p := parties{account: e.account, sender: h.Sender.id(), recipient: h.Recipient.id()}
	p.complete(echo)
	c.AccountID, c.SenderID, c.RecipientID, c.Direction = p.account, p.sender, p.recipient, p.direction(echo)
	if m.IsSelf && p.sender == p.recipient {
		// The business writes to itself to try things out: no customer.
		c.Direction = mapping.Inbound
		if c.Kind != mapping.KindUnsend {
			c.Kind = mapping.KindTest
		}
	}
	if p.test(c.MessageID) {
		c.Kind = mapping.KindTest
	}
	c.Timestamp = int64(h.Timestamp)
	if c.Timestamp == 0 {
		c.Timestamp = int64(e.time)
	}
	if c.Timestamp == 0 {
		c.Timestamp = d.received
	}
	switch {
	case c.MessageID == "":
		return mapping.Change{}, refusedError(ReasonNoMID)
	case c.AccountID == "":
		return mapping.Change{}, refusedError(ReasonNoAccount)
	case c.Kind == mapping.KindMessage && c.User().UserID == "":
		return mapping.Change{}, refusedError(ReasonNoUser)
	}
	return c, nil
}

func nonEmpty(s *string) *string {
	if s == nil || *s == "" {
		return nil
	}
	return s
}
