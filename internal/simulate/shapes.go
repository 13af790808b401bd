package simulate

import (
	"fmt"
	"strconv"
	"strings"
)

// Shape is a form that events take.
type Shape string

// The shapes of events.
const (
	// ShapePlain is a short ASCII text; ShapeText what people really write;
	// ShapeHard control characters and broken surrogates; ShapeLong 20 kB.
	ShapePlain Shape = "plain"
	ShapeText  Shape = "text"
	ShapeHard  Shape = "hard"
	ShapeLong  Shape = "long"
	// ShapeAttachment is one attachment of any type without a text,
	// ShapeAlbum several of them, sometimes with a text.
	ShapeAttachment Shape = "attachment"
	ShapeAlbum      Shape = "album"
	// ShapeSharedPost is one post that arrives as two attachments, as posts do
	// since November 2025.
	ShapeSharedPost Shape = "shared_post"
	// ShapeStoryReply names the story that it answers; to a reader that story
	// is an attachment.
	ShapeStoryReply Shape = "story_reply"
	ShapeReply      Shape = "reply"
	ShapeQuickReply Shape = "quick_reply"
	ShapeAd         Shape = "ad"
	ShapePostback   Shape = "postback"
	// ShapeUnsupported is a message that Instagram does not show to programs.
	ShapeUnsupported Shape = "unsupported"
	// ShapeEcho and ShapeEchoAttachment are what the account sent itself.
	ShapeEcho           Shape = "echo"
	ShapeEchoAttachment Shape = "echo_attachment"
	// ShapeEdit and ShapeUnsend are about an earlier message; in ShapeEarlyEdit
	// and ShapeEarlyUnsend they arrive ahead of it.
	ShapeEdit        Shape = "edit"
	ShapeUnsend      Shape = "unsend"
	ShapeEarlyEdit   Shape = "early_edit"
	ShapeEarlyUnsend Shape = "early_unsend"
	// ShapeEmptyEdit says nothing: num_edit 0 without a text.
	ShapeEmptyEdit Shape = "empty_edit"
	ShapeReaction  Shape = "reaction"
	ShapeRead      Shape = "read"
	ShapeReferral  Shape = "referral"
	ShapeOptin     Shape = "optin"
	// ShapeUnknown is nothing that anybody knows; ShapeComment is known to be no
	// message.
	ShapeUnknown Shape = "unknown"
	ShapeComment Shape = "comment"
	// ShapeTest is the App Dashboard's test button.
	ShapeTest Shape = "test"
)

// MessageShapes returns the shapes that make new messages: no edits, no
// unsends, nothing that is not stored.
func MessageShapes() []Shape {
	return []Shape{
		ShapePlain, ShapePlain, ShapePlain, ShapeText, ShapeText, ShapeText, ShapeText, ShapeHard, ShapeLong,
		ShapeAttachment, ShapeAttachment, ShapeAlbum, ShapeSharedPost, ShapeStoryReply, ShapeReply, ShapeQuickReply, ShapeAd,
		ShapePostback, ShapeUnsupported, ShapeEcho, ShapeEcho, ShapeEcho, ShapeEcho, ShapeEchoAttachment,
	}
}

// AllShapes returns every shape, the frequent ones several times.
func AllShapes() []Shape {
	return append(MessageShapes(),
		ShapeEdit, ShapeEdit, ShapeUnsend, ShapeEarlyEdit, ShapeEarlyUnsend, ShapeEmptyEdit,
		ShapeReaction, ShapeReaction, ShapeRead, ShapeRead, ShapeReferral, ShapeOptin,
		ShapeUnknown, ShapeComment, ShapeTest)
}

// make makes up one event. Where a shape needs an earlier message and there is
// none, it becomes a text.
func (g *Generator) make(shape Shape) event {
	p := pick(g.rng, g.people...)
	switch shape {
	case ShapeEdit, ShapeUnsend, ShapeReply:
		if ev, ok := g.about(shape); ok {
			return ev
		}
		return g.message(p, ShapeText)
	case ShapeEarlyEdit, ShapeEarlyUnsend:
		return g.ahead(p, shape)
	case ShapeEmptyEdit, ShapeReaction, ShapeRead, ShapeReferral, ShapeOptin, ShapeUnknown:
		return g.aside(p, shape)
	case ShapeComment, ShapeTest:
		return g.elsewhere(p, shape)
	default:
		return g.message(p, shape)
	}
}

// message makes up a message and remembers it.
func (g *Generator) message(p person, shape Shape) event {
	sent, body := g.compose(p, shape)
	g.remember(p, sent)
	key := "message"
	if shape == ShapePostback {
		key = "postback"
	}
	return event{sent: sent, item: item(sent, key, body)}
}

// compose makes up the content of a message.
func (g *Generator) compose(p person, shape Shape) (Sent, object) {
	g.number++
	sent := Sent{
		Kind: KindMessage, AccountID: g.opts.AccountID, UserID: p.id,
		MessageID: messageID(g.rng, g.opts.AccountID, p, g.number),
		Timestamp: g.tick(),
	}
	body := object{"mid": sent.MessageID}
	write := func(text string) {
		sent.Text = numbered(text, g.number)
		body["text"] = sent.Text
	}
	attach := func(count int) {
		wire := make([]object, 0, count)
		for i := range count {
			a, w := g.attachment(i)
			sent.Attachments = append(sent.Attachments, a)
			wire = append(wire, w)
		}
		body["attachments"] = wire
	}
	switch shape {
	case ShapePlain:
		write(plainText(g.rng))
	case ShapeHard:
		body["text"], sent.Text = hardText(g.rng, g.number)
	case ShapeLong:
		write(veryLongText(g.rng))
	case ShapeAttachment:
		attach(1)
	case ShapeAlbum:
		attach(2 + g.rng.IntN(3))
		if g.rng.IntN(2) == 0 {
			write(anyText(g.rng))
		}
	case ShapeSharedPost:
		post := Attachment{Type: "ig_post", URL: mediaURL("ig_post", g.number, 0)}
		sent.Attachments = []Attachment{post}
		body["attachments"] = []object{
			{"type": "share", "payload": object{"url": post.URL}},
			{"type": post.Type, "payload": object{"ig_post_media_id": "18100000000000001", "title": "A caption", "url": post.URL}},
		}
	case ShapeStoryReply:
		write(anyText(g.rng))
		story := Attachment{Type: "story_reply", URL: mediaURL("story", g.number, 0)}
		sent.Attachments = []Attachment{story}
		body["reply_to"] = object{"story": object{"id": "18000000000000001", "url": story.URL}}
	case ShapeQuickReply:
		write("Yes")
		body["quick_reply"] = object{"payload": "BTN_1"}
	case ShapeAd:
		write("price?")
		body["referral"] = object{"ref": "r", "ad_id": "9", "source": "ADS", "type": "OPEN_THREAD"}
	case ShapePostback:
		sent.Text = numbered("Prices", g.number)
		body["title"], body["payload"] = sent.Text, "ICE_1"
	case ShapeUnsupported:
		body["is_unsupported"] = true
	case ShapeEcho:
		write(anyText(g.rng))
	case ShapeEchoAttachment:
		attach(1)
	default:
		write(anyText(g.rng))
	}
	if shape == ShapeEcho || shape == ShapeEchoAttachment {
		sent.Outbound, body["is_echo"] = true, true
	}
	return sent, body
}

// item puts a body between its two parties.
func item(sent Sent, key string, body object) object {
	from, to := sent.UserID, sent.AccountID
	if sent.Outbound {
		from, to = to, from
	}
	return object{"sender": object{"id": from}, "recipient": object{"id": to}, "timestamp": sent.Timestamp, key: body}
}

// attachment makes up one attachment. The types are those seen in real
// deliveries, plus one that does not exist yet.
func (g *Generator) attachment(i int) (Attachment, object) {
	kind := pick(g.rng, "image", "image", "video", "audio", "file", "share", "ig_post", "ig_reel", "ig_story",
		"story_mention", "template", "like_heart", "ephemeral", "fallback", "unsupported_type", "hologram")
	a := Attachment{Type: kind, URL: mediaURL(kind, g.number, i)}
	payload := object{"url": a.URL}
	switch kind {
	case "ig_post":
		payload["ig_post_media_id"], payload["title"] = "18100000000000001", "A caption\nof two lines"
	case "ig_reel":
		payload["reel_video_id"], payload["title"] = "17900000000000001", "A caption \U0001F3AC"
	case "ig_story":
		payload = object{"story_media_id": "18000000000000001", "story_media_url": a.URL}
	case "template":
		a.URL, payload = "", object{"generic": []object{}}
	case "like_heart", "ephemeral", "unsupported_type":
		return Attachment{Type: kind}, object{"type": kind}
	case "fallback":
		return Attachment{Type: kind}, object{"type": kind, "payload": nil}
	}
	return a, object{"type": kind, "payload": payload}
}

// mediaURL is as long as a real one, and as unlike any other.
func mediaURL(kind string, number, i int) string {
	return fmt.Sprintf("https://lookaside.fbsbx.com/ig_messaging_cdn/?asset_id=%s-%06d-%d&signature=%s",
		kind, number, i, strings.Repeat("Ab3-_", 40))
}

// about makes up an event about an earlier message.
func (g *Generator) about(shape Shape) (event, bool) {
	m := g.earlier(func(m *remembered) bool {
		// People edit texts of their own, five times at most.
		return shape != ShapeEdit || (m.sent.Text != "" && !m.sent.Outbound && m.versions < 5)
	})
	if m == nil {
		return event{}, false
	}
	switch shape {
	case ShapeReply:
		ev := g.message(m.person, ShapeText)
		if body, ok := ev.item["message"].(object); ok {
			body["reply_to"] = object{"mid": m.sent.MessageID}
		}
		return ev, true
	case ShapeUnsend:
		g.forget(m)
		return g.unsend(m.sent), true
	default:
		m.versions++
		return g.edit(m.sent, m.versions), true
	}
}

// ahead makes up a message, holds it back and returns what is about it.
func (g *Generator) ahead(p person, shape Shape) event {
	sent, body := g.compose(p, ShapeText)
	g.held = append(g.held, event{sent: sent, item: item(sent, "message", body)})
	if shape == ShapeEarlyUnsend {
		return g.unsend(sent)
	}
	return g.edit(sent, 1)
}

func (g *Generator) edit(of Sent, version int) event {
	g.number++
	sent := of
	sent.Kind, sent.Version, sent.Timestamp, sent.Attachments = KindEdit, version, g.tick(), nil
	sent.Text = numbered(anyText(g.rng)+" (edited)", g.number)
	body := object{"mid": of.MessageID, "text": sent.Text, "num_edit": version}
	if g.rng.IntN(2) == 0 {
		body["num_edit"] = strconv.Itoa(version) // The documentation shows both.
	}
	return event{sent: sent, item: item(sent, "message_edit", body)}
}

func (g *Generator) unsend(of Sent) event {
	sent := of
	sent.Kind, sent.Timestamp, sent.Text, sent.Attachments = KindUnsend, g.tick(), "", nil
	body := object{"mid": of.MessageID, "is_deleted": true}
	if of.Outbound {
		body["is_echo"] = true
	}
	return event{sent: sent, item: item(sent, "message", body)}
}

// aside makes up an event that is not a message.
func (g *Generator) aside(p person, shape Shape) event {
	sent := Sent{Kind: KindCounted, AccountID: g.opts.AccountID, UserID: p.id, Timestamp: g.tick()}
	target := "aWdfZAG1faXRlbQZDZD"
	if m := g.earlier(func(*remembered) bool { return true }); m != nil {
		sent.UserID, target = m.person.id, m.sent.MessageID
	}
	switch shape {
	case ShapeEmptyEdit:
		return event{sent: sent, item: item(sent, "message_edit", object{"mid": target, "num_edit": 0})}
	case ShapeRead:
		return event{sent: sent, item: item(sent, "read", object{"mid": target})}
	case ShapeReferral:
		return event{sent: sent, item: item(sent, "referral", object{"ref": "campaign", "source": "ig.me link", "type": "OPEN_THREAD"})}
	case ShapeOptin:
		return event{sent: sent, item: item(sent, "optin", object{"type": "notification_messages", "ref": "r"})}
	case ShapeUnknown:
		sent.Kind = KindUndecoded
		return event{sent: sent, item: item(sent, "hologram", object{"waves": 3})}
	default:
		reaction := object{"mid": target, "action": "react", "reaction": "love", "emoji": "\u2764\uFE0F"}
		if g.rng.IntN(3) == 0 {
			reaction = object{"mid": target, "action": "unreact"}
		}
		return event{sent: sent, item: item(sent, "reaction", reaction)}
	}
}

// elsewhere makes up a notification that is not in the list of messages.
func (g *Generator) elsewhere(p person, shape Shape) event {
	if shape == ShapeComment {
		return event{
			sent: Sent{Kind: KindCounted, AccountID: g.opts.AccountID, UserID: p.id, Timestamp: g.tick()},
			change: &change{Field: "comments", Value: object{
				"id": "17800000000000001", "from": object{"id": p.id, "username": Username(p.id)},
				"text": "nice", "media": object{"id": "18000000000000001"},
			}},
		}
	}
	return event{
		sent: Sent{Kind: KindTest, AccountID: "0", MessageID: "random_mid", UserID: "12334", Text: "random_text", Timestamp: 1527459824000},
		change: &change{entryID: "0", Field: "messages", Value: object{
			"sender": object{"id": "12334"}, "recipient": object{"id": "23245"}, "timestamp": "1527459824",
			"message": object{"mid": "random_mid", "text": "random_text"},
		}},
	}
}
