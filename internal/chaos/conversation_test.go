package chaos_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"sidestream/internal/simulate"
	"sidestream/mapping"
)

// message is one message and all that was ever said about it.
type message struct {
	source int
	mid    string
	// user is who wrote it or was written to.
	user     string
	outbound bool
	// at is Instagram's time in milliseconds.
	at int64
	// texts holds what the message said: versions[0] at first, then its edits.
	texts  []string
	image  string
	unsent bool
	erased bool
	// lost is set for what the file lost when an older copy was restored: the CRM
	// keeps it, and nothing more can be said about it.
	lost bool
}

// mark is what every text of a storm contains, and nothing else does.
const mark = "storm"

// The CRM refuses what contains refusal, and what is longer than a TEXT.
const (
	refusal  = "(refused)"
	tooLong  = 70_000
	unsent   = "[message unsent]"
	steps    = 6
	oldest   = 60 // messages that are still talked about, per source
	peopleIn = 12 // people who write, per source
)

// needle is the part of a text that is unlike any other.
func needle(text string) string {
	first, _, _ := strings.Cut(text, " ")
	return first
}

// row is what the CRM must hold for the message in the end.
func (m *message) row() simulate.Row {
	row := simulate.Row{UserID: m.user, Direction: "in", CreatedAt: m.at / 1000}
	if m.outbound {
		row.Direction = "out"
	}
	switch {
	case m.erased:
		row.UserID, row.Message = mapping.ErasedText, mapping.ErasedText
	case m.unsent:
		row.Message = unsent
	default:
		row.Message = m.texts[len(m.texts)-1]
		if m.image != "" {
			row.Message += "\n[image] " + m.image
		}
	}
	return row
}

// conversation makes up what is said to one account. It is safe for concurrent
// use. What it hands out is delivered until it is acknowledged, so its messages
// are what must stand in the CRM once everything has been.
type conversation struct {
	source  int
	account string

	mu       sync.Mutex
	random   *rand.Rand
	now      int64
	serial   int
	people   []string
	retired  map[string]bool
	messages []*message
	// recent are the messages that are still talked about.
	recent []*message
	// held are messages whose edit or unsend went ahead, and edits that a later
	// one has overtaken.
	held []simulate.Sent
	// late holds messages of erased people, of which edits may still come.
	late []*message
}

func newConversation(seed uint64, source int) *conversation {
	c := &conversation{
		source: source, account: fmt.Sprintf("1784140000000000%d", source+1), random: rand.New(rand.NewPCG(seed, uint64(source)+1)),
		now: 1_790_000_000_000, retired: map[string]bool{},
	}
	for range peopleIn {
		c.people = append(c.people, c.newPerson())
	}
	return c
}

func (c *conversation) newPerson() string {
	c.serial++
	return fmt.Sprintf("9%d%05d%09d", c.source, c.serial, c.random.IntN(1e9))
}

// next makes up a delivery.
func (c *conversation) next() simulate.Delivery {
	c.mu.Lock()
	defer c.mu.Unlock()
	events := c.held
	c.held = nil
	count := 1
	if c.random.IntN(5) == 0 {
		count = 2 + c.random.IntN(4)
	}
	for len(events) < count {
		events = append(events, c.event())
	}
	return simulate.Compose(c.now, events...)
}

func (c *conversation) event() simulate.Sent {
	c.now += int64(1 + c.random.IntN(700))
	switch die := c.random.IntN(100); {
	case die < 3 && len(c.recent) > 0:
		// The later one comes first.
		m := c.recent[c.random.IntN(len(c.recent))]
		c.held = append(c.held, c.edit(m))
		return c.edit(m)
	case die < 16 && len(c.recent) > 0:
		return c.edit(c.recent[c.random.IntN(len(c.recent))])
	case die < 24 && len(c.recent) > 0:
		i := c.random.IntN(len(c.recent))
		m := c.recent[i]
		c.recent = slices.Delete(c.recent, i, i+1)
		return c.unsend(m)
	case die < 25 && len(c.late) > 0:
		return c.edit(c.late[c.random.IntN(len(c.late))])
	case die < 28:
		m := c.write(c.people[c.random.IntN(len(c.people))])
		c.held = append(c.held, c.original(m))
		if c.random.IntN(2) == 0 {
			return c.edit(m)
		}
		c.recent = slices.DeleteFunc(c.recent, func(r *message) bool { return r == m })
		return c.unsend(m)
	default:
		return c.original(c.write(c.people[c.random.IntN(len(c.people))]))
	}
}

// last hands out what is still held back.
func (c *conversation) last() (simulate.Delivery, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	events := c.held
	c.held = nil
	if len(events) == 0 {
		return simulate.Delivery{}, false
	}
	return simulate.Compose(c.now, events...), true
}

// doomed makes up a delivery of one message that the CRM takes, and that nobody
// will talk about again: its file is going to be lost. It is always the same
// person's, who is never erased.
func (c *conversation) doomed() (simulate.Delivery, *message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now += 1000
	m := c.write(c.people[0])
	c.recent = slices.DeleteFunc(c.recent, func(r *message) bool { return r == m })
	m.texts, m.lost = nil, true
	m.texts = []string{c.text(m, "nobody will talk about this again")}
	return simulate.Compose(c.now, c.original(m)), m
}

// write makes up a message.
func (c *conversation) write(user string) *message {
	c.serial++
	m := &message{
		source: c.source, user: user, outbound: c.random.IntN(4) == 0, at: c.now,
		mid: fmt.Sprintf("mid.%d.%06d.%08x", c.source, c.serial, c.random.Uint32()),
	}
	m.texts = []string{c.text(m, c.words())}
	if c.random.IntN(6) == 0 {
		m.image = "https://example.com/" + needle(m.texts[0])
	}
	c.messages = append(c.messages, m)
	if c.recent = append(c.recent, m); len(c.recent) > oldest {
		c.recent = c.recent[1:]
	}
	return m
}

// text begins with the needle of a message's next version.
func (c *conversation) text(m *message, words string) string {
	return fmt.Sprintf("%s-%d-%s-v%d-%08x %s", mark, c.source, m.mid[len(m.mid)-8:], len(m.texts), c.random.Uint32(), words)
}

func (c *conversation) words() string {
	switch c.random.IntN(100) {
	case 0:
		return refusal + " by a trigger"
	case 1:
		if c.random.IntN(4) == 0 {
			return strings.Repeat("too long ", tooLong/9)
		}
		return strings.Repeat("long ", 700)
	case 2, 3, 4, 5, 6, 7:
		return "\U0001F468\u200D\U0001F469\u200D\U0001F467 und Grüße, ещё"
	case 8, 9, 10, 11, 12:
		return `'; DROP TABLE messages; -- \ %s "quoted"`
	default:
		return "is this still available?"
	}
}

func (c *conversation) sent(m *message, k simulate.Kind) simulate.Sent {
	return simulate.Sent{Kind: k, AccountID: c.account, MessageID: m.mid, UserID: m.user, Outbound: m.outbound, Timestamp: m.at}
}

func (c *conversation) original(m *message) simulate.Sent {
	s := c.sent(m, simulate.KindMessage)
	s.Text = m.texts[0]
	if m.image != "" {
		s.Attachments = []simulate.Attachment{{Type: "image", URL: m.image}}
	}
	return s
}

func (c *conversation) edit(m *message) simulate.Sent {
	m.texts = append(m.texts, c.text(m, c.words()))
	s := c.sent(m, simulate.KindEdit)
	// Edits are the sender's own; of an echo there are none in real life, and
	// the log does not care.
	s.Text, s.Version, s.Timestamp = m.texts[len(m.texts)-1], len(m.texts)-1, c.now
	return s
}

func (c *conversation) unsend(m *message) simulate.Sent {
	m.unsent = true
	s := c.sent(m, simulate.KindUnsend)
	s.Timestamp = c.now
	return s
}

// step moves the clock that gives messages their time, back or forth.
func (c *conversation) step(choice uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	hours := int64(choice%steps) - steps/2
	if hours >= 0 {
		hours++
	}
	c.now += hours * 3_600_000
}

// retire takes somebody out of the conversation, who will be erased; somebody
// else takes the place. It returns nobody where all have said too little. The
// first person is never chosen.
func (c *conversation) retire(choice uint64) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	said := map[string]int{}
	for _, m := range c.messages {
		said[m.user]++
	}
	for n := range peopleIn - 1 {
		i := 1 + (n+int(choice%peopleIn))%(peopleIn-1)
		user := c.people[i]
		if said[user] == 0 || slices.ContainsFunc(c.held, func(s simulate.Sent) bool { return s.UserID == user }) {
			continue
		}
		c.people[i] = c.newPerson()
		c.recent = slices.DeleteFunc(c.recent, func(m *message) bool { return m.user == user })
		return user
	}
	return ""
}

// erased notes that somebody was erased, after everything about them had been
// acknowledged. An edit may still come late.
func (c *conversation) erased(user string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.retired[user] = true
	c.late = nil
	for _, m := range c.messages {
		if m.user == user {
			m.erased = true
			if len(c.late) < 5 && !m.unsent {
				c.late = append(c.late, m)
			}
		}
	}
}

// somebody returns who is never erased, and when something was said lately, in
// seconds.
func (c *conversation) somebody() (user string, at int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.people[0], c.now / 1000
}

func TestConversation(t *testing.T) {
	c, again := newConversation(3, 1), newConversation(3, 1)
	texts := map[string]bool{}
	sent := map[simulate.Kind]int{}
	newest, overtaken, early := map[string]int{}, 0, 0
	arrived := map[string]bool{}
	for range 3000 {
		d := c.next()
		if string(d.Body) != string(again.next().Body) {
			t.Fatal("one seed is two conversations")
		}
		for _, s := range d.Sent {
			sent[s.Kind]++
			switch {
			case s.Kind == simulate.KindMessage:
				arrived[s.MessageID] = true
			case !arrived[s.MessageID]:
				early++
			case s.Kind == simulate.KindEdit && s.Version < newest[s.MessageID]:
				overtaken++
			}
			newest[s.MessageID] = max(newest[s.MessageID], s.Version)
			if s.Text == "" {
				continue
			}
			if texts[needle(s.Text)] || !strings.HasPrefix(s.Text, mark+"-1-") {
				t.Fatalf("the text %q is not unlike the others", needle(s.Text))
			}
			texts[needle(s.Text)] = true
		}
	}
	for _, k := range []simulate.Kind{simulate.KindMessage, simulate.KindEdit, simulate.KindUnsend} {
		if sent[k] < 100 {
			t.Errorf("%d of kind %s", sent[k], k)
		}
	}
	if early < 50 || overtaken < 50 {
		t.Errorf("%d edits and unsends are early, %d edits late", early, overtaken)
	}
	refused, long := 0, 0
	for _, m := range c.messages {
		text := m.row().Message
		if strings.Contains(text, refusal) {
			refused++
		}
		if len(text) > 1<<16 {
			long++
		}
	}
	if refused < 10 || long < 3 {
		t.Errorf("of %d messages, %d are refused and %d too long", len(c.messages), refused, long)
	}
}

func TestConversation_erased(t *testing.T) {
	c := newConversation(4, 0)
	for range 200 {
		c.next()
	}
	user := c.retire(5)
	if user == "" {
		t.Fatal("nobody can be erased")
	}
	before := len(c.messages)
	for range 200 {
		for _, s := range c.next().Sent {
			if s.UserID == user {
				t.Fatalf("a retired person goes on: %+v", s)
			}
		}
	}
	c.erased(user)
	for _, m := range c.messages[:before] {
		if (m.row().UserID == mapping.ErasedText) != (m.user == user) {
			t.Errorf("%+v is wrong about %s", m.row(), m.user)
		}
	}
	late := false
	for range 2000 {
		for _, s := range c.next().Sent {
			if s.UserID == user {
				late = true
				if s.Kind != simulate.KindEdit {
					t.Fatalf("not a late edit: %+v", s)
				}
			}
		}
	}
	if !late {
		t.Error("no edit came late")
	}
}

func TestConversation_clock(t *testing.T) {
	c := newConversation(5, 0)
	_, at := c.somebody()
	forth, back := false, false
	for choice := range uint64(steps) {
		c.step(choice)
		user, now := c.somebody()
		forth, back = forth || now > at, back || now < at
		if now == at || user != c.people[0] {
			t.Errorf("choice %d: from %d to %d", choice, at, now)
		}
		at = now
	}
	if !forth || !back {
		t.Error("the clock goes one way only")
	}
}
