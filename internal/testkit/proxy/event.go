package proxy

import (
	"strings"
	"sync/atomic"
)

// Moment is where a command is on its way.
type Moment string

// The moments of a connection and of each command on it.
const (
	// Connecting is when a client has connected and the server is not dialled yet.
	Connecting Moment = "connecting"
	// Received is when the proxy has the command and the server has nothing of
	// it. Of a command beyond 16 MiB the proxy has the first 16 MiB.
	Received Moment = "received"
	// Sent is when the server has the whole command and the client has nothing
	// of the response. Whether the server has read or done anything by then is
	// as open as on a real network.
	Sent Moment = "sent"
	// Answered is when the server's response is complete and its last packet is
	// not delivered yet. All earlier packets (rows, and the answers to all but
	// the last of several statements in one command) are delivered already.
	Answered Moment = "answered"
)

// Event is a moment at which the rule is asked.
type Event struct {
	// Conn counts the connections of the proxy from 1.
	Conn   int
	Moment Moment
	// ToClient is true where the packet in question travels to the client, that
	// is, at the moment Answered.
	ToClient bool
	// Command is COM_QUERY and the like; empty while connecting.
	Command string
	// Text is the statement of a COM_QUERY or COM_STMT_PREPARE, of one beyond
	// 16 MiB the beginning.
	Text string
	// ErrorNumber is the server's, at the moment Answered; 0 where it is no error.
	ErrorNumber int
}

// At returns a rule that asks for action at the given moment of every command
// whose text begins with prefix, whatever its case. An empty prefix means any.
func At(moment Moment, prefix string, action Action) func(Event) Action {
	return func(e Event) Action {
		if e.Moment == moment && len(e.Text) >= len(prefix) && strings.EqualFold(e.Text[:len(prefix)], prefix) {
			return action
		}
		return Pass()
	}
}

// Once returns a rule that asks for the first action of rule that is not Pass,
// and then lets everything pass.
func Once(rule func(Event) Action) func(Event) Action {
	var used atomic.Bool
	return func(e Event) Action {
		if used.Load() {
			return Pass()
		}
		if action := rule(e); action.kind == kindPass || used.CompareAndSwap(false, true) {
			return action
		}
		return Pass()
	}
}
