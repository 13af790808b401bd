package webhook

import (
	"bytes"
	"cmp"
	"encoding/json"
	"slices"
	"strings"
)

// attachment is what Instagram sends. Its type is free text: new ones appear
// without notice. The payload may be null or missing.
type attachment struct {
	Type    string   `json:"type"`
	Title   string   `json:"title"`
	URL     string   `json:"url"`
	Payload *payload `json:"payload"`
}

// payload joins the names that the types use for the same three things.
type payload struct {
	URL           string `json:"url"`
	StoryMediaURL string `json:"story_media_url"`
	Title         string `json:"title"`

	MediaID       id `json:"media_id"`
	IGPostMediaID id `json:"ig_post_media_id"`
	ReelVideoID   id `json:"reel_video_id"`
	StoryMediaID  id `json:"story_media_id"`
	StickerID     id `json:"sticker_id"`
	ID            id `json:"id"`
}

// kept is what the source keeps of an attachment.
type kept struct {
	Type    string `json:"type"`
	URL     string `json:"url,omitempty"`
	Title   string `json:"title,omitempty"`
	MediaID id     `json:"media_id,omitempty"`
}

// untyped stands for the type of an attachment that names none.
const untyped = "attachment"

func (a *attachment) keep() kept {
	k := kept{Type: cmp.Or(a.Type, untyped), URL: a.URL, Title: a.Title}
	if p := a.Payload; p != nil {
		k.URL = cmp.Or(p.URL, p.StoryMediaURL, a.URL)
		k.Title = cmp.Or(p.Title, a.Title)
		k.MediaID = cmp.Or(p.MediaID, p.IGPostMediaID, p.ReelVideoID, p.StoryMediaID, p.StickerID, p.ID)
	}
	return k
}

// attachmentsJSON returns a compact JSON array of the attachments in their
// order, then those of more, or nil where there are none.
func attachmentsJSON(attachments []*attachment, more ...kept) (*string, error) {
	var list []kept
	for _, a := range attachments {
		if a != nil {
			list = append(list, a.keep())
		}
	}
	list = append(dropTwins(list), more...)
	if len(list) == 0 {
		return nil, nil
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	// URLs are full of '&'.
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(list); err != nil {
		return nil, err
	}
	text := strings.TrimSuffix(out.String(), "\n")
	return &text, nil
}

// dropTwins removes each share of a post that is also there as ig_post: since
// November 2025 a shared post arrives as both.
func dropTwins(list []kept) []kept {
	posts := make(map[string]bool)
	for _, k := range list {
		if k.Type == "ig_post" && k.URL != "" {
			posts[k.URL] = true
		}
	}
	return slices.DeleteFunc(list, func(k kept) bool { return k.Type == "share" && posts[k.URL] })
}
