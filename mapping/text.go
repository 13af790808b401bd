package mapping

import (
	"encoding/json"
	"errors"
	"strings"
)

// What the CRM shows where there is nothing better.
const (
	// unsupportedText is a message with neither text nor attachments.
	unsupportedText = "[unsupported message]"
	// attachmentType is an attachment that does not say what it is.
	attachmentType = "attachment"
)

// attachment is one element of Change.Attachments. Our writer keeps the details
// beside the type; Instagram sends them under payload, which may be null or
// missing, and a foreign source may have stored that.
type attachment struct {
	Type string `json:"type"`
	details
	Payload details `json:"payload"`
}

type details struct {
	URL           string `json:"url"`
	StoryMediaURL string `json:"story_media_url"`
	Title         string `json:"title"`
}

// readable returns a message as the CRM shows it: the text byte for byte, then
// a line for each attachment.
func readable(text, attachments *string) string {
	lines := attachmentLines(attachments)
	switch {
	case !hasText(text) && len(lines) == 0:
		return unsupportedText
	case !hasText(text):
		return strings.Join(lines, "\n")
	case len(lines) == 0:
		return validText(*text)
	default:
		return validText(*text) + "\n" + strings.Join(lines, "\n")
	}
}

// attachmentLines returns one line for each attachment, in their order. What
// cannot be read as JSON is one line too: the message must arrive, and the
// reader must see that something was attached.
func attachmentLines(raw *string) []string {
	if !hasAttachments(raw) {
		return nil
	}
	all, ok := parseAttachments([]byte(strings.TrimSpace(*raw)))
	if !ok {
		return []string{"[" + attachmentType + "]"}
	}
	lines := make([]string, len(all))
	for i, one := range all {
		lines[i] = one.line()
	}
	return lines
}

// hasAttachments is false for the ways in which JSON says nothing.
func hasAttachments(raw *string) bool {
	if raw == nil {
		return false
	}
	switch strings.TrimSpace(*raw) {
	case "", "null", "[]":
		return false
	default:
		return true
	}
}

// parseAttachments reads an array, or a single object in its place. A value of
// another type than expected is forgiven: the decoder leaves that field empty
// and reads on.
func parseAttachments(raw []byte) ([]attachment, bool) {
	if raw[0] == '{' {
		one := make([]attachment, 1)
		return one, forgivable(json.Unmarshal(raw, &one[0]))
	}
	var all []attachment
	err := json.Unmarshal(raw, &all)
	return all, forgivable(err) && all != nil
}

func forgivable(err error) bool {
	var mismatch *json.UnmarshalTypeError
	return err == nil || errors.As(err, &mismatch)
}

// line writes an attachment as "[type] URL", with its title where it has no
// URL, and the type alone where it has neither. The type is free text: new
// ones appear without notice.
func (a attachment) line() string {
	kind := a.Type
	if kind == "" {
		kind = attachmentType
	}
	for _, detail := range [...]string{
		a.Payload.URL, a.URL, a.Payload.StoryMediaURL, a.StoryMediaURL, a.Payload.Title, a.Title,
	} {
		if detail != "" {
			return "[" + kind + "] " + detail
		}
	}
	return "[" + kind + "]"
}
