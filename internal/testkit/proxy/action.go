package proxy

import "time"

// Kind names an action, and what Count counts.
type Kind string

// What the proxy does to connections.
const (
	kindPass Kind = ""
	// KindDrop counts connections that were reset.
	KindDrop Kind = "drop"
	// KindClose counts connections that were closed in an orderly way.
	KindClose Kind = "close"
	// KindHalfClose counts directions that were closed.
	KindHalfClose Kind = "half_close"
	// KindBlackHole counts connections that fell silent.
	KindBlackHole Kind = "black_hole"
	// KindSwallow counts responses that came completely and were not delivered.
	KindSwallow Kind = "swallow_response"
	// KindDelay counts delays that have begun.
	KindDelay Kind = "delay"
	// KindHold counts holds that have begun.
	KindHold Kind = "hold"
	// KindCut counts connections that were reset by CutAfter.
	KindCut Kind = "cut"
	// KindDialError counts connections that were reset because the server
	// could not be reached.
	KindDialError Kind = "dial_error"
)

// Action is what happens at an event. The zero value is Pass.
type Action struct {
	kind  Kind
	delay time.Duration
	until <-chan struct{}
	then  *Action
}

// Pass lets the packet through.
func Pass() Action { return Action{} }

// Drop resets both sides of the connection (RST); the packet is lost, and what
// the sides had not read yet may be.
func Drop() Action { return Action{kind: KindDrop} }

// Close closes both sides in an orderly way (FIN); the packet is lost.
func Close() Action { return Action{kind: KindClose} }

// HalfClose closes the direction in which the packet travels (FIN) and loses
// the packet and all later ones of that direction; the other direction goes on.
func HalfClose() Action { return Action{kind: KindHalfClose} }

// BlackHole swallows everything in both directions from here on and keeps both
// sides open until the proxy ends, even where client or server closes its own:
// as if the network were gone.
func BlackHole() Action { return Action{kind: KindBlackHole} }

// SwallowResponse lets the command through, waits for the complete response and
// does not deliver it; at the moment Answered, not its last packet. After that
// the connection is dropped, unless Then names another end.
func SwallowResponse() Action { return Action{kind: KindSwallow} }

// Delay lets the packet through after d.
func Delay(d time.Duration) Action { return Action{kind: KindDelay, delay: d} }

// Hold lets the packet through when until is closed. At the moment Sent nothing
// of the response is delivered before.
func Hold(until <-chan struct{}) Action { return Action{kind: KindHold, until: until} }

// Then replaces what follows a Delay or a Hold (else Pass) or a
// SwallowResponse (else Drop). Pass after a SwallowResponse leaves the
// connection open: the client waits for its answer.
func (a Action) Then(next Action) Action {
	a.then = &next
	return a
}

// next returns what follows the action.
func (a Action) next(otherwise Action) Action {
	if a.then != nil {
		return *a.then
	}
	return otherwise
}
