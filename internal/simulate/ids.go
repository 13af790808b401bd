package simulate

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
)

// DefaultAccountID is the business account that a Generator speaks for.
const DefaultAccountID = "17841400000000001"

// person is somebody who writes to the account.
type person struct {
	id string
	// thread is the 39-digit number of the conversation inside every mid.
	thread string
}

// newPerson makes up an id of 17 digits: more than a float64 can hold.
func newPerson(rng *rand.Rand) person {
	return person{
		id:     fmt.Sprintf("9%016d", rng.Uint64N(1e16)),
		thread: fmt.Sprintf("34028236684171%025d", rng.Uint64N(1e18)),
	}
}

// messageID builds a mid in the form of real ones: base64 of a line of numbers
// with its non-alphanumeric characters (and Z) escaped, 164 characters for a
// 17-digit account. The number makes it unique.
func messageID(rng *rand.Rand, accountID string, p person, number int) string {
	item := fmt.Sprintf("3%017d%017d", rng.Uint64N(1e17), number)
	line := "ig_dm_item:1:IGMessageID:" + accountID + ":" + p.thread + ":" + item
	return strings.NewReplacer("Z", "ZA", "+", "ZB", "/", "ZC", "=", "ZD").
		Replace(base64.StdEncoding.EncodeToString([]byte(line)))
}
