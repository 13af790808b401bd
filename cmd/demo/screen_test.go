package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sidestream/internal/simulate"
)

func TestScreen_cut(t *testing.T) {
	s := &screen{width: 20}
	for text, want := range map[string]string{
		"short":                     "short",
		"two\nlines\tand tab":       "two lines and tab",
		"\x1b[2Jclears the screen":  "[2Jclears the scree…",
		"\u202eturned around\u202c": "turned around",
		"0123456789012345678":       "0123456789012345678",
		"01234567890123456789":      "0123456789012345678…",
		"いつ届きますか、早くお願いします": "いつ届きますか、早…",
	} {
		if got := s.cut(text, 0); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestScreen_second(t *testing.T) {
	var out bytes.Buffer
	s := newScreen(&out, false)
	changes, seconds := int64(12), 0.0341
	now := numbers{sent: 41, acknowledged: 40, inSource: 40, inCRM: 28}
	s.second(time.Second, now, nil)
	now.status = status{LagChanges: &changes, LagSeconds: &seconds}
	s.second(1999*time.Millisecond, now, nil)
	s.second(3*time.Second, now, errors.New("no answer"))
	want := strings.Join([]string{
		"   time      sent  acknowledged   in SQLite  in the CRM   lag",
		"    1 s        41            40          40          28   not known",
		"    2 s        41            40          40          28   12 changes, 34 ms",
		"    3 s        41            40          40          28   no answer",
		"",
	}, "\n")
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestScreen_way_in_the_order_of_time(t *testing.T) {
	var out bytes.Buffer
	newScreen(&out, false).way(journey{
		text: "hello", answered: 5 * time.Millisecond, applied: 4 * time.Millisecond,
		row: contact{id: 7, username: "ada", message: "hello"},
	})
	want := strings.Join([]string{
		"   0.0 ms  webhook    hello",
		"   4.0 ms  CRM        row 7, ada: hello",
		"   5.0 ms  SQLite     committed, and only then answered with 200",
		"",
	}, "\n")
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestExpectedRows(t *testing.T) {
	// speak lets an account say some texts.
	speak := func(account string, texts ...string) *lane {
		l := &lane{account: account, expected: simulate.NewExpected(simulate.Rules{})}
		for _, text := range texts {
			l.expected.Acknowledged(simulate.Delivery{Sent: []simulate.Sent{
				{Kind: simulate.KindMessage, AccountID: account, MessageID: text, Text: text},
			}})
		}
		return l
	}
	lanes := []*lane{speak("a", "a1", "a2", "a3"), speak("b", "b1", "b2")}
	for name, c := range map[string]struct {
		commits []string
		want    string
	}{
		"by_the_commits":                         {[]string{"b", "a", "a", "b", "a"}, "b1 a1 a2 b2 a3"},
		"what_was_never_committed_comes_last":    {[]string{"b", "a"}, "b1 a1 a2 a3 b2"},
		"what_nobody_sent_is_not_expected":       {[]string{"c", "a", "a", "b", "b", "a", "a", "a"}, "a1 a2 b1 b2 a3"},
		"without_any_commit_account_for_account": {nil, "a1 a2 a3 b1 b2"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, row := range expectedRows(lanes, c.commits) {
				got = append(got, row.Message)
			}
			if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}
