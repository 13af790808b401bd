package replicator

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The actions of a person's decisions about a cursor.
const (
	ActionInit   = "init"
	ActionSet    = "set"
	ActionResume = "resume"
)

// DecisionToken is the Cursor.Decision, and the Attempt, of a decision that a
// person makes at a time upon a cursor as it was: the action, the time, and up
// to which position what follows is meant to be sent again. Who has said so with
// a cursor set has said it for a resume on the way, too; and a resume that has
// taken no row over has looked more closely than the next reload would.
func DecisionToken(action string, was Cursor, at time.Time, taken int) string {
	again := int64(0)
	if action == ActionSet {
		again = was.Position
	}
	if action == ActionResume && was.SendsAgain() {
		action, again = ActionSet, was.sentAgainUpTo()
	} else if action == ActionResume && taken == 0 {
		action = "resumed"
	}
	return fmt.Sprintf("%s-%d-%d", action, at.UnixNano(), again)
}

// SendsAgain tells whether a person has said that what follows the cursor is
// sent, whatever the CRM holds of it.
func (c Cursor) SendsAgain() bool {
	return c.Decision != "" && c.Attempt == c.Decision && !strings.HasPrefix(c.Decision, ActionResume+"-") || c.Position < c.sentAgainUpTo()
}

// sentAgainUpTo is the position in the decision's token, 0 where there is none.
func (c Cursor) sentAgainUpTo() int64 {
	parts := strings.Split(c.Decision, "-")
	if len(parts) != 3 || parts[0] != ActionSet {
		return 0
	}
	position, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil {
		return 0
	}
	return position
}
