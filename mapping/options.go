package mapping

import "fmt"

// Directions says which messages reach the CRM.
type Directions string

// The choices of Options.Directions.
const (
	BothDirections Directions = "both"
	InboundOnly    Directions = "inbound"
	OutboundOnly   Directions = "outbound"
)

// OnUnsend says what becomes of the CRM row of a message that was unsent.
type OnUnsend string

// The choices of Options.OnUnsend.
const (
	// RedactUnsent keeps the row and puts Options.UnsendText in place of the text.
	RedactUnsent OnUnsend = "redact"
	// DeleteUnsent removes the row.
	DeleteUnsent OnUnsend = "delete"
)

// DefaultUnsendText is what stands in for the text of an unsent message.
const DefaultUnsendText = "[message unsent]"

// Options says how changes map to records. The zero value is the default.
type Options struct {
	// Directions may leave one direction out, for a CRM that records its own
	// outgoing messages. Defaults to BothDirections.
	Directions Directions
	// OnUnsend defaults to RedactUnsent.
	OnUnsend OnUnsend
	// UnsendText is used with RedactUnsent only. Defaults to DefaultUnsendText.
	UnsendText string
}

// withDefaults fills in what was left empty and names the first bad field.
func (o Options) withDefaults() (Options, error) {
	if o.Directions == "" {
		o.Directions = BothDirections
	}
	if o.OnUnsend == "" {
		o.OnUnsend = RedactUnsent
	}
	if o.UnsendText == "" {
		o.UnsendText = DefaultUnsendText
	}
	switch o.Directions {
	case BothDirections, InboundOnly, OutboundOnly:
	default:
		return o, fmt.Errorf("mapping: Directions %q is none of both, inbound, outbound", o.Directions)
	}
	switch o.OnUnsend {
	case RedactUnsent, DeleteUnsent:
	default:
		return o, fmt.Errorf("mapping: OnUnsend %q is none of redact, delete", o.OnUnsend)
	}
	o.UnsendText = validText(o.UnsendText)
	return o, nil
}

// maps tells whether messages of a direction reach the CRM.
func (d Directions) maps(direction Direction) bool {
	switch d {
	case InboundOnly:
		return direction == Inbound
	case OutboundOnly:
		return direction == Outbound
	default:
		return true
	}
}
