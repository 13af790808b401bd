package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sidestream/mapping"
)

// secret is a text that can be searched for in files.
func secret(n int) string { return fmt.Sprintf("secret-%d-", n) }

// secrets returns which secrets the raw files beside a database hold. It looks
// from a child process: closing the files in this one would drop SQLite's locks.
func secrets(tb testBase, path string) map[string]bool {
	tb.Helper()
	found := map[string]bool{}
	for _, line := range grep(tb, filepath.Dir(path), "secret-[0-9]*-") {
		found[line] = true
	}
	return found
}

func grep(tb testBase, dir, pattern string) []string {
	tb.Helper()
	out, err := exec.Command("grep", "-raoh", "-e", pattern, dir).Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		tb.Fatalf("grep: %v", err)
	}
	return strings.Fields(string(out))
}

func permutations(n int) [][]int {
	if n == 0 {
		return [][]int{nil}
	}
	var all [][]int
	for _, shorter := range permutations(n - 1) {
		for at := range n {
			all = append(all, append(append(append([]int{}, shorter[:at]...), n-1), shorter[at:]...))
		}
	}
	return all
}

func TestStore_unsend_in_every_order(t *testing.T) {
	attachments := `[{"type":"image","payload":{"url":"` + secret(2) + `"}}]`
	original := message("m", secret(1)+strings.Repeat("x", 6000))
	original.Attachments = &attachments
	loud := unsend("m")
	loud.Text = original.Text
	changes := []mapping.Change{original, edit("m", 1, secret(3)), loud, original}
	neighbour := message("n", secret(4))
	elsewhere := message("m", secret(5))
	elsewhere.AccountID = "another account"

	for _, kind := range []mapping.Kind{mapping.KindUnsend, mapping.KindErase} {
		changes[2].Kind = kind
		for _, order := range permutations(len(changes)) {
			for _, atOnce := range []bool{false, true} {
				t.Run(fmt.Sprint(kind, order, atOnce), func(t *testing.T) {
					s := openStore(t, nil)
					commit(t, s, delivery(neighbour, elsewhere))
					var d Delivery
					for _, i := range order {
						d.Changes = append(d.Changes, changes[i])
					}
					if atOnce {
						commit(t, s, d)
					} else {
						for _, c := range d.Changes {
							commit(t, s, delivery(c))
						}
					}
					if n := count(t, s, "SELECT count(*) FROM messages"); n != 5 {
						t.Errorf("%d rows: every change has its place in the log", n)
					}
					if n := count(t, s, "SELECT count(*) FROM messages WHERE message_text IS NOT NULL OR attachments IS NOT NULL"); n != 2 {
						t.Errorf("%d rows with a text, want those of other messages only", n)
					}
					settled(t, s)
					if diff := cmp.Diff(map[string]bool{secret(4): true, secret(5): true}, secrets(t, s.path())); diff != "" {
						t.Error(diff)
					}
				})
			}
		}
	}
}

// The texts of unsent messages are in no file, whatever else has happened, and
// the others are all there.
func TestStore_unsend_leaves_no_copy(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := openAt(t, filepath.Join(tempDir(t), "messages.db"), func(o *Options) { o.UndecodedMaxBytes = 30_000 })
		defer closeStore(t, s)
		unsent, stored := map[int]bool{}, map[int]bool{}
		mid := func(n int) string { return fmt.Sprintf("m_%d", n) }
		someone := rapid.IntRange(1, 30)
		size := rapid.OneOf(rapid.IntRange(0, 300), rapid.IntRange(0, 3000), rapid.IntRange(0, 12_000))
		step := func() Delivery {
			n := someone.Draw(t, "message")
			text := secret(n) + strings.Repeat("x", size.Draw(t, "size"))
			switch rapid.SampledFrom([]string{"message", "message", "edit", "unsend", "undecoded", "undecoded", "undecoded", "resolve"}).Draw(t, "step") {
			case "message":
				stored[n] = true
				return delivery(message(mid(n), text))
			case "edit":
				stored[n] = true
				return delivery(edit(mid(n), int64(rapid.IntRange(1, 3).Draw(t, "edit")), text))
			case "unsend":
				unsent[n] = true
				return delivery(unsend(mid(n)))
			case "undecoded":
				return undecoded("unknown_shape", fmt.Sprintf(`{"novelty":{"mid":"%s","caption":"%s"}}`, mid(n), text))
			default:
				return Delivery{Resolves: []int64{int64(rapid.IntRange(1, 40).Draw(t, "id"))}}
			}
		}
		for range rapid.IntRange(1, 80).Draw(t, "steps") {
			d := step()
			if rapid.IntRange(0, 4).Draw(t, "join") == 0 {
				more := step()
				d = Delivery{
					Changes: append(d.Changes, more.Changes...), Undecoded: append(d.Undecoded, more.Undecoded...),
					Resolves: append(d.Resolves, more.Resolves...),
				}
			}
			commit(t, s, d)
		}
		settled(t, s)
		found := secrets(t, s.path())
		for n := range unsent {
			if found[secret(n)] {
				t.Errorf("the text of %d was unsent and is in a file", n)
			}
		}
		for n := range stored {
			if !unsent[n] && !found[secret(n)] {
				t.Errorf("the text of %d is nowhere", n)
			}
		}
	})
}

// SQLite leaves copies of rows in the gaps of undecoded's pages when it merges
// them. The text of a body that was replayed is such a copy, and has to go when
// its message is unsent.
func TestStore_unsend_reaches_stale_copies(t *testing.T) {
	for seed := range uint64(100) {
		s := openAt(t, filepath.Join(t.TempDir(), "messages.db"), nil)
		left := churn(t, s, rand.New(rand.NewPCG(seed, seed)))
		closeStore(t, s) // empties the wal, which holds them all
		var stale, unsends []string
		found := secrets(t, s.path())
		for n := range left {
			if found[secret(n)] {
				stale = append(stale, secret(n))
			}
			unsends = append(unsends, fmt.Sprint("m", n))
		}
		if len(stale) == 0 {
			continue
		}
		s = openAt(t, s.path(), nil)
		for _, id := range unsends {
			commit(t, s, delivery(unsend(id)))
		}
		closeStore(t, s)
		found = secrets(t, s.path())
		for _, one := range stale {
			if found[one] {
				t.Errorf("%s is still in a file", one)
			}
		}
		return
	}
	t.Error("no stale copy in any run: this SQLite needs no rewriting of undecoded")
}

// churn adds to undecoded and resolves rows of it, and returns the numbers of
// the secrets that were resolved and should be nowhere in the database.
func churn(t *testing.T, s *Store, random *rand.Rand) map[int]bool {
	t.Helper()
	left, open := map[int]bool{}, []int(nil)
	for n := 0; n < 100; {
		if len(open) == 0 || random.IntN(3) > 0 {
			n++
			commit(t, s, undecoded("a", fmt.Sprintf(`{"mid":"m%d","text":"%s%s"}`, n, secret(n), strings.Repeat("x", random.IntN(1500)))))
			open = append(open, n)
			continue
		}
		i := random.IntN(len(open))
		commit(t, s, Delivery{Resolves: []int64{int64(open[i])}})
		left[open[i]] = true
		open = append(open[:i], open[i+1:]...)
	}
	return left
}

func TestStore_unsend_of_undecoded(t *testing.T) {
	t.Run("deletes_bodies_that_quote_the_message", func(t *testing.T) {
		s := openStore(t, nil)
		commit(t, s, undecoded("a", `{"x":{"mid":"m\/1","text":"a"}}`))
		commit(t, s, undecoded("b", `{"mid":"m/10","text":"longer"}`))
		commit(t, s, undecoded("c", `{"mid":"other","reply_to": {"mid" : "m/1"},"text":"a reply"}`))
		commit(t, s, undecoded("d", `{"novel_id":"m/1","reply_to":{"mid":"m/1"}`))
		commit(t, s, delivery(unsend("m/1")))
		if diff := cmp.Diff([]int64{2, 3}, ids(t, s)); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("keeps_no_body_that_comes_late", func(t *testing.T) {
		lines := &logs{}
		s := openStore(t, func(o *Options) { o.Logger = lines.logger() })
		commit(t, s, delivery(unsend("m1")))
		commit(t, s, undecoded("a", `{"mid":"m1","text":"a"}`))
		commit(t, s, undecoded("b", `{"mid":"m2","reply_to":{"mid":"m1"}}`))
		if diff := cmp.Diff([]int64{1}, ids(t, s)); diff != "" {
			t.Error(diff)
		}
		if lines.count("quote an unsent or erased message") != 1 {
			t.Error("nothing in the log says so")
		}
	})
	t.Run("keeps_reasons_times_and_ids_of_the_others", func(t *testing.T) {
		s := openStore(t, nil)
		for i := range 5 {
			commit(t, s, undecoded(fmt.Sprint("reason-", i), fmt.Sprintf(`{"mid":"m%d"}`, i)))
		}
		before, err := s.ListUndecoded(t.Context(), 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		commit(t, s, delivery(unsend("m2")))
		after, err := s.ListUndecoded(t.Context(), 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(append(before[:2:2], before[3:]...), after); diff != "" {
			t.Error(diff)
		}
		commit(t, s, undecoded("next", "{}"))
		if got := ids(t, s); got[len(got)-1] != 6 {
			t.Errorf("ids %v: one was given twice", got)
		}
	})
}

func TestQuoted(t *testing.T) {
	for body, want := range map[string][]string{
		``:                              nil,
		`{}`:                            nil,
		`{"a":"b"}`:                     {"{", "a", ":", "b"},
		`{"a":"say \"hi\" \\"}`:         {"{", "a", ":", `say "hi" \`},
		`{"a":"m\/1"}`:                  {"{", "a", ":", "m/1"},
		`"reply_to":{"mid":"X"}`:        {"", "reply_to", ":{", "mid", ":"},
		`"reply_to" : { "mid" : "X"}`:   {"", "reply_to", " : { ", "mid", " : "},
		`"forward_of":{"mid":"X"}`:      {"", "forward_of", ":{", "mid", ":", "X"},
		`"reply_to":{"story":{"id":"X"`: {"", "reply_to", ":{", "story", ":{", "id", ":", "X"},
		`{"cut":"off`:                   {"{", "cut", ":"},
		`{"bad":"\u12"}`:                {"{", "bad", ":", `\u12`},
	} {
		var got []string
		for text := range quoted([]byte(body)) {
			got = append(got, text)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", body, diff)
		}
	}
}

func FuzzQuoted(f *testing.F) {
	f.Add([]byte(`{"mid":"m\/1","reply_to":{"mid":"x"}}`))
	f.Add([]byte(`\"""\\"`))
	f.Fuzz(func(_ *testing.T, body []byte) {
		for range quoted(body) {
		}
	})
}
