package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
)

// maxAccountID is far above the 17 digits of a real account id. It is small
// because every envelope repeats the id.
const maxAccountID = 128

var errAccountID = errors.New("entry with an unusable id")

// entry is what the events of one entry have in common.
type entry struct {
	kind string
	// account is the business account, or empty.
	account string
	// time is when the notification was sent, in milliseconds, or 0.
	time millis
	// head is the JSON of id and time, each with a comma behind it.
	head string
	// whole is set instead of kind for an event that came without an entry: the
	// body as it is kept.
	whole []byte
}

func newEntry(kind string, fields map[string]json.RawMessage) (entry, error) {
	e := entry{kind: kind}
	if raw := fields["id"]; raw != nil && !isNull(raw) {
		var account id
		if err := json.Unmarshal(raw, &account); err != nil {
			return entry{}, err
		}
		if len(account) > maxAccountID {
			return entry{}, errAccountID
		}
		quoted, err := json.Marshal(string(account))
		if err != nil {
			return entry{}, err
		}
		e.account = string(account)
		e.head = fmt.Sprintf(`"id":%s,`, quoted)
	}
	if raw := fields["time"]; raw != nil {
		// A time that is not understood is as good as none: millis never fails.
		_ = json.Unmarshal(raw, &e.time)
		if e.time != 0 {
			// As it came: seconds may not be told from milliseconds a second time.
			e.head += fmt.Sprintf(`"time":%s,`, raw)
		}
	}
	return e, nil
}

// envelope wraps one value of the entry so that Decode finds it in its place
// again. The id is spelled as a string whatever it came as; the time and the
// value stay byte for byte.
func (e entry) envelope(name string, value []byte) []byte {
	if e.whole != nil {
		return e.whole
	}
	// A string always has a JSON form.
	key, _ := json.Marshal(name)
	out := make([]byte, 0, len(value)+len(e.kind)+len(e.head)+len(key)+32)
	out = fmt.Appendf(out, `{"object":"%s","entry":[{%s%s:`, e.kind, e.head, key)
	out = append(out, value...)
	return append(out, "}]}"...)
}
