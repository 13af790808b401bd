package simulate

import (
	"strings"
	"sync"
)

// Rules says how the replicator under test is configured.
type Rules struct {
	// DeleteUnsent expects the rows of unsent messages to be gone. The default
	// expects them to be there with UnsendText.
	DeleteUnsent bool
	// UnsendText is what an unsent message reads. Defaults to "[message unsent]".
	UnsendText string
	// IgnoreEdits and IgnoreUnsends expect messages as they first were.
	IgnoreEdits, IgnoreUnsends bool
	// Only leaves one direction, "in" or "out". Defaults to both.
	Only string
}

// Row is a CRM row as far as it can be foretold. The CRM holds no message id,
// and two equal rows can be right.
type Row struct {
	UserID    string
	Direction string
	Message   string
	// CreatedAt is in seconds since 1970 UTC.
	CreatedAt int64
}

// Expected says which rows the CRM must hold. It does so by what was sent and
// acknowledged, and by the words of the specification, without any code of the
// replicator. It is safe for concurrent use.
type Expected struct {
	rules Rules

	mu sync.Mutex
	// order holds the messages in the order in which they were first
	// acknowledged.
	order    []key
	messages map[key]*state
}

type key struct{ accountID, messageID string }

// state is all that was said about one message, in whichever order.
type state struct {
	message Sent // Kind is empty until the message itself has come.
	edit    Sent // The one with the highest version.
	unsent  bool
}

// NewExpected returns an Expected that has seen nothing.
func NewExpected(rules Rules) *Expected {
	if rules.UnsendText == "" {
		rules.UnsendText = "[message unsent]"
	}
	return &Expected{rules: rules, messages: make(map[key]*state)}
}

// Acknowledged takes in a delivery that was answered with 200. Repeats change
// nothing. Where deliveries run side by side, their order is that of the calls.
func (e *Expected) Acknowledged(d Delivery) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, sent := range d.Sent {
		switch sent.Kind {
		case KindMessage, KindEdit, KindUnsend:
			e.take(sent)
		case KindTest, KindCounted, KindUndecoded:
		}
	}
}

func (e *Expected) take(sent Sent) {
	k := key{sent.AccountID, sent.MessageID}
	s := e.messages[k]
	if s == nil {
		s = &state{}
		e.messages[k] = s
	}
	switch sent.Kind {
	case KindEdit:
		if sent.Version > s.edit.Version {
			s.edit = sent
		}
	case KindUnsend:
		s.unsent = true
	default:
		if s.message.Kind == "" {
			s.message = sent
			e.order = append(e.order, k)
		}
	}
}

// Messages returns how many different messages were acknowledged.
func (e *Expected) Messages() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.order)
}

// Rows returns the rows in the order in which they must stand in the CRM.
func (e *Expected) Rows() []Row {
	e.mu.Lock()
	defer e.mu.Unlock()
	rows := make([]Row, 0, len(e.order))
	for _, k := range e.order {
		if row, ok := e.row(e.messages[k]); ok {
			rows = append(rows, row)
		}
	}
	return rows
}

// MessageID names a message: ids are an account's own.
type MessageID struct{ AccountID, ID string }

// RowsOf returns the rows of messages in the order in which they were stored:
// where deliveries run side by side, only the receiver knows it. Messages that
// are not named come last. strangers is how many were named and never
// acknowledged.
func (e *Expected) RowsOf(stored []MessageID) (rows []Row, strangers int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	named := make(map[key]bool, len(stored))
	take := func(k key) {
		if row, ok := e.row(e.messages[k]); ok {
			rows = append(rows, row)
		}
	}
	for _, id := range stored {
		k := key{id.AccountID, id.ID}
		if s := e.messages[k]; s == nil || s.message.Kind == "" {
			strangers++
			continue
		}
		named[k] = true
		take(k)
	}
	for _, k := range e.order {
		if !named[k] {
			take(k)
		}
	}
	return rows, strangers
}

func (e *Expected) row(s *state) (Row, bool) {
	row := Row{UserID: s.message.UserID, Direction: "in", CreatedAt: s.message.Timestamp / 1000}
	if s.message.Outbound {
		row.Direction = "out"
	}
	if e.rules.Only != "" && e.rules.Only != row.Direction {
		return Row{}, false
	}
	if s.unsent && !e.rules.IgnoreUnsends {
		row.Message = e.rules.UnsendText
		return row, !e.rules.DeleteUnsent
	}
	text := s.message.Text
	if s.edit.Version > 0 && !e.rules.IgnoreEdits {
		text = s.edit.Text // The attachments stay those of the message.
	}
	row.Message = readable(text, s.message.Attachments)
	return row, true
}

// readable is what a person in the CRM gets to read: the text, then a line for
// each attachment.
func readable(text string, attachments []Attachment) string {
	var lines []string
	if text != "" {
		lines = append(lines, text)
	}
	for _, a := range attachments {
		line := "[" + a.Type + "]"
		if a.URL != "" {
			line += " " + a.URL
		}
		lines = append(lines, line)
	}
	if len(lines) == 0 {
		return "[unsupported message]"
	}
	return strings.Join(lines, "\n")
}
