package simulate_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"sidestream/internal/simulate"
)

// body is a webhook body as a receiver would decode it.
type body struct {
	Object string `json:"object"`
	Entry  []struct {
		ID        string            `json:"id"`
		Time      int64             `json:"time"`
		Messaging []item            `json:"messaging"`
		Changes   []json.RawMessage `json:"changes"`
	} `json:"entry"`
}

type item struct {
	Sender    party `json:"sender"`
	Recipient party `json:"recipient"`
	Timestamp int64 `json:"timestamp"`
	Message   *struct {
		MID       string  `json:"mid"`
		Text      *string `json:"text"`
		IsEcho    bool    `json:"is_echo"`
		IsDeleted bool    `json:"is_deleted"`
	} `json:"message"`
	Edit *struct {
		MID     string          `json:"mid"`
		Text    *string         `json:"text"`
		NumEdit json.RawMessage `json:"num_edit"`
	} `json:"message_edit"`
	Postback *struct {
		MID   string  `json:"mid"`
		Title *string `json:"title"`
	} `json:"postback"`
	Hologram json.RawMessage `json:"hologram"`
}

type party struct {
	ID string `json:"id"`
}

func decode(tb testing.TB, b []byte) body {
	tb.Helper()
	var decoded body
	if err := json.Unmarshal(b, &decoded); err != nil {
		tb.Fatalf("decode %s: %v", b, err)
	}
	return decoded
}

func generate(n int, opts simulate.GeneratorOptions) []simulate.Delivery {
	g := simulate.NewGenerator(opts)
	deliveries := make([]simulate.Delivery, 0, n)
	for range n {
		deliveries = append(deliveries, g.Next())
	}
	return deliveries
}

func TestGenerator_Next(t *testing.T) {
	const many = 1_500
	deliveries := generate(many, simulate.GeneratorOptions{Seed: 1})

	t.Run("the_seed_decides_everything", func(t *testing.T) {
		for i, again := range generate(200, simulate.GeneratorOptions{Seed: 1}) {
			if !bytes.Equal(again.Body, deliveries[i].Body) {
				t.Fatalf("same seed, another delivery:\n%s", cmp.Diff(deliveries[i], again))
			}
		}
		if other := generate(1, simulate.GeneratorOptions{Seed: 2}); bytes.Equal(other[0].Body, deliveries[0].Body) {
			t.Error("another seed, the same delivery")
		}
	})

	t.Run("bodies_are_ascii_with_lower_case_escapes", func(t *testing.T) {
		pairs := 0
		for _, d := range deliveries {
			for i := 0; i < len(d.Body); i++ {
				switch b := d.Body[i]; {
				case b >= utf8.RuneSelf, b < ' ', b == '@', b == '/':
					t.Fatalf("byte %q stands unescaped in a body", b)
				case b != '\\':
				case d.Body[i+1] == 'u':
					if digits := d.Body[i+2 : i+6]; bytes.ContainsAny(digits, "ABCDEF") {
						t.Fatalf("escaped in upper case: %s", digits)
					}
					i += 5
				default:
					i++
				}
			}
			if bytes.Contains(d.Body, []byte(`\ud83d\ude0d`)) {
				pairs++
			}
		}
		if pairs == 0 {
			t.Error("no surrogate pair in any body")
		}
	})

	t.Run("a_body_says_what_the_delivery_says", func(t *testing.T) {
		for _, d := range deliveries {
			said := 0
			for _, e := range decode(t, d.Body).Entry {
				for _, it := range e.Messaging {
					sameEvent(t, e.ID, it, d.Sent[said])
					said++
				}
				for range e.Changes {
					if kind := d.Sent[said].Kind; kind != simulate.KindTest && kind != simulate.KindCounted {
						t.Errorf("a change says %s", kind)
					}
					said++
				}
			}
			if said != len(d.Sent) {
				t.Fatalf("the body says %d events, the delivery %d", said, len(d.Sent))
			}
		}
	})

	t.Run("ids_look_like_real_ones_and_are_unique", func(t *testing.T) {
		alphanumeric := regexp.MustCompile(`^[A-Za-z0-9]{164}$`)
		userID := regexp.MustCompile(`^9\d{16}$`)
		seen := make(map[string]bool)
		for _, d := range deliveries {
			for _, sent := range d.Sent {
				if sent.Kind != simulate.KindMessage || d.Repeat {
					continue
				}
				if !alphanumeric.MatchString(sent.MessageID) || !userID.MatchString(sent.UserID) {
					t.Fatalf("message %q of user %q", sent.MessageID, sent.UserID)
				}
				if seen[sent.MessageID] {
					t.Fatalf("message id %s twice", sent.MessageID)
				}
				seen[sent.MessageID] = true
			}
		}
		for mid := range seen {
			plain := strings.NewReplacer("ZA", "Z", "ZB", "+", "ZC", "/", "ZD", "=").Replace(mid)
			line, err := base64.StdEncoding.DecodeString(plain)
			form := regexp.MustCompile(`^ig_dm_item:1:IGMessageID:` + simulate.DefaultAccountID + `:\d{39}:\d{35}$`)
			if err != nil || !form.Match(line) {
				t.Fatalf("message id holds %q, %v", line, err)
			}
			break
		}
	})

	t.Run("every_kind_text_and_attachment_turns_up", func(t *testing.T) {
		var all strings.Builder
		kinds := make(map[simulate.Kind]int)
		longest, nul, several, repeats := 0, false, 0, 0
		for _, d := range deliveries {
			all.Write(d.Body)
			if len(d.Sent) > 1 {
				several++
			}
			if d.Repeat {
				repeats++
			}
			for _, sent := range d.Sent {
				kinds[sent.Kind]++
				longest = max(longest, len(sent.Text))
				nul = nul || strings.ContainsRune(sent.Text, 0)
			}
		}
		for _, kind := range []simulate.Kind{
			simulate.KindMessage, simulate.KindEdit, simulate.KindUnsend, simulate.KindTest, simulate.KindCounted, simulate.KindUndecoded,
		} {
			if kinds[kind] == 0 {
				t.Errorf("no event of kind %s", kind)
			}
		}
		if longest < 20_000 || longest > 21_000 || !nul || several == 0 || repeats == 0 {
			t.Errorf("longest text %d, NUL %v, %d with several events, %d repeats", longest, nul, several, repeats)
		}
		for _, part := range []string{
			`"image"`, `"video"`, `"audio"`, `"file"`, `"share"`, `"ig_post"`, `"ig_reel"`, `"ig_story"`, `"story_mention"`,
			`"template"`, `"like_heart"`, `"ephemeral"`, `"fallback"`, `"unsupported_type"`, `"payload":null`,
			`"is_unsupported":true`, `"quick_reply"`, `"reply_to":{"mid"`, `"reply_to":{"story"`, `"referral":{`, `"postback"`,
			`"is_deleted":true,"is_echo":true`, `"num_edit":1`, `"num_edit":"1"`, `"num_edit":0`, `"unreact"`, `"read"`, `"optin"`,
			`"random_mid"`, `"comments"`, `\ud83d of`, `\u0000`, `\"yes\"`, `\\new`,
		} {
			if !strings.Contains(all.String(), part) {
				t.Errorf("no %s in any body", part)
			}
		}
	})

	t.Run("every_text_has_a_number_of_its_own", func(t *testing.T) {
		number := regexp.MustCompile(`#\d{6,}$`)
		seen := make(map[string]bool)
		for _, d := range deliveries {
			for _, sent := range d.Sent {
				if d.Repeat || sent.Text == "" || sent.Kind == simulate.KindTest {
					continue
				}
				n := number.FindString(sent.Text)
				if n == "" || seen[n] {
					t.Fatalf("text ends with %q", sent.Text[max(0, len(sent.Text)-20):])
				}
				seen[n] = true
			}
		}
	})

	t.Run("a_repeat_has_the_same_events_and_another_time", func(t *testing.T) {
		for i, d := range deliveries {
			if !d.Repeat {
				continue
			}
			original := slices.IndexFunc(deliveries[:i], func(o simulate.Delivery) bool {
				return slices.EqualFunc(o.Sent, d.Sent, func(a, b simulate.Sent) bool {
					return a.Kind == b.Kind && a.MessageID == b.MessageID && a.Timestamp == b.Timestamp && a.Text == b.Text
				})
			})
			if original < 0 {
				t.Fatal("a repeat of nothing")
			}
			if was, is := decode(t, deliveries[original].Body).Entry[0], decode(t, d.Body).Entry[0]; is.Messaging != nil && is.Time <= was.Time {
				t.Errorf("a repeat at %d of what was sent at %d", is.Time, was.Time)
			}
		}
	})

	t.Run("an_unsent_message_is_left_alone", func(t *testing.T) {
		unsent := make(map[string]bool)
		for _, d := range deliveries {
			if d.Repeat {
				continue
			}
			for _, sent := range d.Sent {
				if unsent[sent.MessageID] && sent.Kind != simulate.KindMessage {
					t.Fatalf("a %s after the unsend", sent.Kind)
				}
				unsent[sent.MessageID] = unsent[sent.MessageID] || sent.Kind == simulate.KindUnsend
			}
		}
	})

	t.Run("edits_and_unsends_also_arrive_ahead_of_their_message", func(t *testing.T) {
		seen, early := make(map[string]bool), make(map[simulate.Kind]int)
		for _, d := range deliveries {
			for _, sent := range d.Sent {
				if sent.Kind == simulate.KindMessage {
					seen[sent.MessageID] = true
				} else if sent.MessageID != "" && !seen[sent.MessageID] {
					early[sent.Kind]++
				}
			}
		}
		if early[simulate.KindEdit] == 0 || early[simulate.KindUnsend] == 0 {
			t.Errorf("early events: %v", early)
		}
	})
}

// sameEvent compares an item with what the generator says about it.
func sameEvent(tb testing.TB, account string, it item, sent simulate.Sent) {
	tb.Helper()
	user, other := it.Sender.ID, it.Recipient.ID
	if sent.Outbound {
		user, other = other, user
	}
	if account != sent.AccountID || user != sent.UserID || other != account {
		tb.Errorf("account %s, user %s and %s; the delivery says %+v", account, user, other, sent)
	}
	var kind simulate.Kind
	var mid string
	var text *string
	switch {
	case it.Message != nil && it.Message.IsDeleted:
		kind, mid = simulate.KindUnsend, it.Message.MID
	case it.Message != nil:
		kind, mid, text = simulate.KindMessage, it.Message.MID, it.Message.Text
	case it.Postback != nil:
		kind, mid, text = simulate.KindMessage, it.Postback.MID, it.Postback.Title
	case it.Edit != nil && it.Edit.Text != nil:
		kind, mid, text = simulate.KindEdit, it.Edit.MID, it.Edit.Text
	case it.Hologram != nil:
		kind = simulate.KindUndecoded
	default:
		kind = simulate.KindCounted
	}
	if it.Timestamp != sent.Timestamp {
		tb.Errorf("timestamp %d; the delivery says %d", it.Timestamp, sent.Timestamp)
	}
	if it.Edit != nil && strings.Trim(string(it.Edit.NumEdit), `"`) != strconv.Itoa(sent.Version) {
		tb.Errorf("num_edit %s; the delivery says %d", it.Edit.NumEdit, sent.Version)
	}
	if kind != sent.Kind || mid != sent.MessageID {
		tb.Errorf("an item is a %s of %q; the delivery says %s of %q", kind, mid, sent.Kind, sent.MessageID)
	}
	if (text == nil) != (sent.Text == "") || (text != nil && *text != sent.Text) {
		tb.Errorf("text %v; the delivery says %q", text, sent.Text)
	}
	if it.Message != nil && !it.Message.IsDeleted && it.Message.IsEcho != sent.Outbound {
		tb.Errorf("is_echo is %v for %+v", it.Message.IsEcho, sent)
	}
}

func TestGenerator_options(t *testing.T) {
	t.Run("chosen_shapes_alone_are_made", func(t *testing.T) {
		for _, d := range generate(100, simulate.GeneratorOptions{
			Shapes: []simulate.Shape{simulate.ShapePlain}, MaxEvents: 1, RedeliverOnceIn: -1, AccountID: "17", Users: 2,
		}) {
			if len(d.Sent) != 1 || d.Repeat || d.Sent[0].Kind != simulate.KindMessage || d.Sent[0].AccountID != "17" {
				t.Fatalf("got %+v", d.Sent)
			}
		}
	})
	t.Run("a_shape_that_needs_an_earlier_message_starts_with_a_text", func(t *testing.T) {
		for _, shape := range []simulate.Shape{simulate.ShapeEdit, simulate.ShapeUnsend, simulate.ShapeReply} {
			first := generate(1, simulate.GeneratorOptions{Shapes: []simulate.Shape{shape}})[0].Sent[0]
			if first.Kind != simulate.KindMessage || first.Text == "" {
				t.Errorf("%s starts with %+v", shape, first)
			}
		}
	})
	t.Run("everybody_who_writes_is_named_beforehand", func(t *testing.T) {
		g := simulate.NewGenerator(simulate.GeneratorOptions{Users: 7})
		ids := g.UserIDs()
		if len(ids) != 7 {
			t.Fatalf("%d users", len(ids))
		}
		for range 300 {
			for _, sent := range g.Next().Sent {
				if sent.Kind == simulate.KindMessage && !slices.Contains(ids, sent.UserID) {
					t.Fatalf("%s writes unannounced", sent.UserID)
				}
			}
		}
	})
	t.Run("a_given_clock_is_used", func(t *testing.T) {
		now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
		d := generate(1, simulate.GeneratorOptions{Now: func() time.Time { return now }})[0]
		if d.Sent[0].Timestamp != now.UnixMilli() || decode(t, d.Body).Entry[0].Time != now.UnixMilli() {
			t.Errorf("got %s", d.Body)
		}
	})
}

func BenchmarkGenerator(b *testing.B) {
	g := simulate.NewGenerator(simulate.GeneratorOptions{})
	b.ReportAllocs()
	for b.Loop() {
		g.Next()
	}
}
