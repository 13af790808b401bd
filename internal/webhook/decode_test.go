package webhook_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sidestream/internal/webhook"
	"sidestream/mapping"
)

// delivery puts one event into an entry of the account.
func delivery(event string) []byte {
	return fmt.Appendf(nil, `{"object":"instagram","entry":[{"id":"%s","time":%d,"messaging":[%s]}]}`, account, sent, event)
}

// fromPerson is an event with both parties and the given members.
func fromPerson(members string) string {
	return fmt.Sprintf(`{"sender":{"id":"%s"},"recipient":{"id":"%s"},"timestamp":%d,%s}`, person, account, int64(happened), members)
}

func TestDecode_odd_json(t *testing.T) {
	t.Parallel()
	digits := strings.Repeat("1234567890", 40)
	deep := strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000)
	tooDeep := strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000)
	for _, test := range []struct {
		name    string
		body    []byte
		changes []mapping.Change
		ignored map[string]int
		reasons []string
	}{
		{
			name:    "the_last_of_two_equal_keys_counts",
			body:    delivery(fromPerson(`"message":{"mid":"first","text":"a"},"message":{"mid":"mid-1","text":"b","text":"c"}`)),
			changes: []mapping.Change{inbound(text("c"))},
		},
		{
			name:    "a_huge_number_is_an_id_digit_by_digit",
			body:    delivery(fromPerson(`"message":{"mid":` + digits + `,"text":"a"}`)),
			changes: []mapping.Change{inbound(mid(digits), text("a"))},
		},
		{
			name:    "an_id_beyond_reason_is_refused",
			body:    delivery(fromPerson(`"message":{"mid":"` + digits + digits + `","text":"a"}`)),
			reasons: []string{webhook.ReasonLongID},
		},
		{
			name:    "an_account_id_beyond_reason_is_refused_once_for_the_entry",
			body:    []byte(`{"object":"instagram","entry":[{"id":"` + digits + `","messaging":[1,2,3]}]}`),
			reasons: []string{webhook.ReasonMalformedEntry},
		},
		{
			name:    "an_id_with_a_fraction_is_refused",
			body:    delivery(fromPerson(`"message":{"mid":1.5,"text":"a"}`)),
			reasons: []string{webhook.ReasonMalformedEvent},
		},
		{
			name:    "bytes_that_are_not_utf8_become_replacement_characters",
			body:    delivery(fromPerson(`"message":{"mid":"mid-1","text":"a` + "\xff\xc3" + `b"}`)),
			changes: []mapping.Change{inbound(text("a\uFFFD\uFFFDb"))},
		},
		{
			name:    "deep_nesting_in_a_key_that_nobody_reads",
			body:    delivery(fromPerson(`"message":{"mid":"mid-1","text":"a","new":` + deep + `}`)),
			changes: []mapping.Change{inbound(text("a"))},
		},
		{
			name:    "nesting_beyond_the_decoder_is_kept_whole",
			body:    delivery(fromPerson(`"message":{"mid":"mid-1","text":"a","new":` + tooDeep + `}`)),
			reasons: []string{webhook.ReasonNotJSON},
		},
		{name: "empty", body: []byte{}, reasons: []string{webhook.ReasonNotJSON}},
		{name: "two_values", body: []byte(`{} {}`), reasons: []string{webhook.ReasonNotJSON}},
		{name: "null", body: []byte(`null`), reasons: []string{webhook.ReasonNotObject}},
		{name: "no_entries", body: []byte(`{"object":"instagram","entry":[]}`)},
		{name: "an_empty_array", body: []byte(` [ ] `)},
		{name: "an_empty_list", body: delivery("")},
		{
			name:    "one_item_with_two_kinds_is_both",
			body:    delivery(fromPerson(`"message":{"mid":"mid-1","text":"a"},"postback":{"mid":"mid-2","title":"b"},"referral":{}`)),
			changes: []mapping.Change{inbound(text("a")), inbound(mid("mid-2"), text("b"))},
			ignored: map[string]int{"referral": 1},
		},
		{
			name:    "a_postback_without_a_title_shows_its_payload",
			body:    delivery(fromPerson(`"postback":{"mid":"mid-1","payload":"ICE_1"}`)),
			changes: []mapping.Change{inbound(text("ICE_1"))},
		},
		{
			name:    "an_empty_postback_is_refused",
			body:    delivery(fromPerson(`"postback":{"mid":"mid-1"}`)),
			reasons: []string{webhook.ReasonNoContent},
		},
		{
			name:    "a_postback_without_id_and_time_is_refused",
			body:    delivery(`{"sender":{"id":"902"},"postback":{"title":"b"}}`),
			reasons: []string{webhook.ReasonNoMID},
		},
		{
			name:    "an_edit_of_attachments_alone_has_no_text",
			body:    delivery(fromPerson(`"message_edit":{"mid":"mid-1","num_edit":1,"attachments":[{"type":"image"}]}`)),
			changes: []mapping.Change{inbound(edit(1, ""), attached(`[{"type":"image"}]`), func(c *mapping.Change) { c.Text = nil })},
		},
		{
			name:    "an_edit_with_a_number_below_zero_is_refused",
			body:    delivery(fromPerson(`"message_edit":{"mid":"mid-1","num_edit":-1,"text":"a"}`)),
			reasons: []string{webhook.ReasonBadEdit},
		},
		{
			name:    "an_edit_of_number_zero_is_none_even_with_a_text",
			body:    delivery(fromPerson(`"message_edit":{"mid":"mid-1","num_edit":0,"text":"a"}`)),
			ignored: map[string]int{"noop_edit": 1},
		},
		{
			name: "account_0_is_the_test_button_whoever_writes",
			body: []byte(`{"object":"instagram","entry":[{"id":"0","messaging":[` + fromPerson(`"message":{"mid":"mid-1","text":"a"}`) + `]}]}`),
			changes: []mapping.Change{inbound(text("a"), between("0", person, account),
				func(c *mapping.Change) { c.Kind = mapping.KindTest })},
		},
		{
			name:    "random_mid_alone_is_no_test",
			body:    delivery(`{"sender":{"id":"12334"},"timestamp":1790000000000,"message":{"mid":"random_mid","text":"a"}}`),
			changes: []mapping.Change{inbound(mid("random_mid"), text("a"), between(account, "12334", account))},
		},
		{
			name: "the_field_tells_an_echo_where_nothing_else_does",
			body: []byte(`{"object":"instagram","entry":[{"changes":[{"field":"message_echoes","value":` +
				`{"sender":{"id":"17841400000000042"},"recipient":{"id":"900000000000017"},"timestamp":1790000000000,` +
				`"message":{"mid":"mid-1","text":"a"}}}]}]}`),
			changes: []mapping.Change{outbound(text("a"))},
		},
		{
			name:    "a_thousand_refused_events_are_kept_one_by_one",
			body:    delivery(strings.Repeat("1,", 999) + "1"),
			reasons: slices.Repeat([]string{webhook.ReasonMalformedEvent}, 1000),
		},
		{
			name:    "more_refused_events_are_kept_as_the_whole_delivery",
			body:    delivery(strings.Repeat("1,", 5000) + fromPerson(`"message":{"mid":"mid-1","text":"a"}`)),
			changes: []mapping.Change{inbound(text("a"))},
			reasons: []string{webhook.ReasonTooMany},
		},
		{
			name:    "flags_as_strings_and_numbers",
			body:    delivery(fromPerson(`"message":{"mid":"mid-1","is_deleted":"true","is_echo":0}`)),
			changes: []mapping.Change{inbound(unsend)},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got := webhook.Decode(test.body, received)
			if diff := cmp.Diff(test.changes, got.Changes); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.ignored, got.Ignored); diff != "" {
				t.Errorf("ignored (-want +got):\n%s", diff)
			}
			var reasons []string
			for _, u := range got.Undecoded {
				reasons = append(reasons, u.Reason)
			}
			if diff := cmp.Diff(test.reasons, reasons); diff != "" {
				t.Errorf("reasons (-want +got):\n%s", diff)
			}
			checkDecoded(t, test.body, got)
		})
	}
}

func TestDecode_times(t *testing.T) {
	t.Parallel()
	for stamp, want := range map[string]int64{
		`1790000000000`:            1_790_000_000_000,
		`1790000000`:               1_790_000_000_000,
		`"1790000000"`:             1_790_000_000_000,
		`1.79e12`:                  1_790_000_000_000,
		`1790000000.5`:             1_790_000_000_500,
		`5.5`:                      5_500,
		`1`:                        1_000,
		`-9223372036854775`:        sent,
		`-9223372036854775808`:     sent,
		`999999999999`:             sent, // as seconds it is after year 9999
		`1000000000000`:            1_000_000_000_000,
		`0`:                        sent,
		`-1790000000000`:           sent,
		`1e400`:                    sent,
		`99999999999999999999`:     sent,
		`"NaN"`:                    sent,
		`"2026-09-21T14:13:20Z"`:   sent,
		`null`:                     sent,
		`{"ms":1}`:                 sent,
		`[1790000000000]`:          sent,
		`"\u0031790000000000"`:     sent,
		`true`:                     sent,
		`253402300799999`:          253_402_300_799_999,
		`253402300800000`:          sent,
		`"1790000000000","x":"\""`: 1_790_000_000_000,
	} {
		body := delivery(fmt.Sprintf(`{"sender":{"id":"%s"},"timestamp":%s,"message":{"mid":"mid-1","text":"a"}}`, person, stamp))
		got := webhook.Decode(body, received)
		if len(got.Changes) != 1 || got.Changes[0].Timestamp != want {
			t.Errorf("timestamp %s: %+v, want %d", stamp, got.Changes, want)
		}
	}
}

// TestDecode_redelivery_keeps_the_identity: a delivery that comes again may
// carry another entry.time.
func TestDecode_redelivery_keeps_the_identity(t *testing.T) {
	t.Parallel()
	identity := func(body string, received time.Time) string {
		got := webhook.Decode([]byte(body), received)
		if len(got.Changes) != 1 {
			t.Fatalf("%d changes from %s", len(got.Changes), body)
		}
		return got.Changes[0].MessageID
	}
	postback := func(sender, stamp, payload string) string {
		return fmt.Sprintf(`{"sender":{"id":"%s"},%s"postback":{"title":"a","payload":"%s"}}`, sender, stamp, payload)
	}
	const stamp = `"timestamp":1790000000000,`
	first := identity(string(delivery(postback(person, stamp, "P"))), received)
	again := identity(strings.ReplaceAll(string(delivery(postback(person, stamp, "P"))), "000123", "984000"), received.Add(time.Hour))
	if first != again {
		t.Errorf("redelivered as %s, was %s", again, first)
	}
	for name, body := range map[string]string{
		"sender":  postback(person+"1", stamp, "P"),
		"time":    postback(person, `"timestamp":1790000000001,`, "P"),
		"payload": postback(person, stamp, "Q"),
	} {
		if identity(string(delivery(body)), received) == first {
			t.Errorf("another %s has the same id", name)
		}
	}
}
