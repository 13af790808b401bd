package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sidestream/mapping"
)

const (
	business = "17841400000000001"
	person   = "900000000000077"
)

// from returns a change of a person's conversation with the business.
func from(user string, kind mapping.Kind, id, text string) mapping.Change {
	c := change(kind, id, text)
	c.SenderID = user
	return c
}

// to is the same the other way round.
func to(user string, kind mapping.Kind, id, text string) mapping.Change {
	c := change(kind, id, text)
	c.SenderID, c.RecipientID, c.Direction = business, user, mapping.Outbound
	return c
}

func eraseAll(tb testBase, s *Store, p Person) Erased {
	tb.Helper()
	done, err := s.Erase(context.Background(), p, false)
	if err != nil {
		tb.Fatalf("erase: %v", err)
	}
	if err := s.Scrubbed(context.Background()); err != nil {
		tb.Fatal(err)
	}
	return done
}

// traces is how often the raw files beside a database hold a text.
func traces(tb testing.TB, s *Store, text string) int {
	tb.Helper()
	return len(grep(tb, filepath.Dir(s.path()), text))
}

func TestStore_Erase(t *testing.T) {
	t.Run("takes_a_person_out_of_everything", func(t *testing.T) {
		s := openStore(t, nil)
		edited := from(person, mapping.KindEdit, "m_1", secret(2))
		edited.Version = 1
		images := `[{"type":"image","url":"` + secret(3) + `"}]`
		image := to(person, mapping.KindMessage, "m_2", "")
		image.Attachments = &images
		commit(t, s, delivery(from(person, mapping.KindMessage, "m_1", secret(1)), message("n_1", secret(4)), edited, image,
			from(person, mapping.KindUnsend, "m_3", ""), to("900000000000078", mapping.KindMessage, "n_2", secret(5))))
		commit(t, s, undecoded("unknown_shape", `{"sender":{"id":"`+person+`"},"x":"`+secret(6)+`"}`))
		commit(t, s, undecoded("unknown_shape", `{"sender":{"id":`+person+`},"x":"`+secret(7)+`"}`))
		commit(t, s, undecoded("unknown_shape", `{"novelty":{"mid":"m_2"},"x":"`+secret(8)+`"}`))
		commit(t, s, undecoded("unknown_shape", `{"sender":{"id":"`+person+`1"},"x":"`+secret(9)+`"}`))

		if planned, err := s.Erase(t.Context(), Person{UserID: person}, true); err != nil || planned != (Erased{Messages: 3, Undecoded: 2}) {
			t.Errorf("dry run: %+v, %v", planned, err)
		}
		if done := eraseAll(t, s, Person{UserID: person}); done != (Erased{Messages: 3, Undecoded: 3}) {
			t.Errorf("erased %+v", done)
		}
		if diff := cmp.Diff(map[string]bool{secret(4): true, secret(5): true, secret(9): true}, secrets(t, s.path())); diff != "" {
			t.Error(diff)
		}
		// A longer id that begins with the person's is somebody else.
		if n := traces(t, s, person) - traces(t, s, person+"1"); n != 0 {
			t.Errorf("%d traces of the id", n)
		}
		if n := count(t, s, "SELECT count(*) FROM messages WHERE kind = 'erase' AND version = 0 AND '[erased]' IN (sender_id, recipient_id)"); n != 3 {
			t.Errorf("%d rows of kind erase, want one per message", n)
		}
		if n := count(t, s, "SELECT count(*) FROM messages WHERE sender_id = '[erased]' AND direction = 'inbound' OR recipient_id = '[erased]' AND direction = 'outbound'"); n != 7 {
			t.Errorf("%d rows without the person, want 7", n)
		}
		head := count(t, s, "SELECT max(seq) FROM messages")
		if done := eraseAll(t, s, Person{UserID: person}); done != (Erased{}) {
			t.Errorf("the second time: %+v", done)
		}
		if now := count(t, s, "SELECT max(seq) FROM messages"); now != head {
			t.Error("the second time added rows")
		}
	})
	t.Run("what_comes_late_is_stored_without_the_person", func(t *testing.T) {
		s := openStore(t, nil)
		first := from(person, mapping.KindEdit, "m", secret(1))
		first.Version = 1
		commit(t, s, delivery(first))
		eraseAll(t, s, Person{UserID: person})
		later := from(person, mapping.KindEdit, "m", secret(2))
		later.Version = 2
		commit(t, s, delivery(from(person, mapping.KindMessage, "m", secret(3)), later, from(person, mapping.KindUnsend, "m", ""), first))
		settled(t, s)
		if n := traces(t, s, person); n != 0 || len(secrets(t, s.path())) != 0 {
			t.Errorf("%d traces of the id, texts %v", n, secrets(t, s.path()))
		}
		commit(t, s, delivery(from(person, mapping.KindMessage, "new", secret(4))))
		if n := count(t, s, "SELECT count(*) FROM messages WHERE sender_id = '"+person+"' AND message_text IS NOT NULL"); n != 1 {
			t.Error("a new message is new data")
		}
	})
	t.Run("of_one_account_leaves_the_other", func(t *testing.T) {
		s := openStore(t, nil)
		elsewhere := from(person, mapping.KindMessage, "m", secret(2))
		elsewhere.AccountID, elsewhere.RecipientID = "17841400000000002", "17841400000000002"
		commit(t, s, delivery(from(person, mapping.KindMessage, "m", secret(1)), elsewhere))
		if done := eraseAll(t, s, Person{UserID: person, AccountID: business}); done.Messages != 1 {
			t.Errorf("%+v", done)
		}
		if n := count(t, s, "SELECT count(*) FROM messages WHERE sender_id = '"+person+"'"); n != 1 {
			t.Errorf("%d rows left", n)
		}
	})
	t.Run("refuses_a_business_account", func(t *testing.T) {
		s := openStore(t, nil)
		commit(t, s, delivery(message("m", "text")))
		if _, err := s.Erase(t.Context(), Person{UserID: business}, false); !errors.Is(err, ErrAccount) {
			t.Errorf("got %v", err)
		}
		if _, err := s.Erase(t.Context(), Person{UserID: "900"}, false); err == nil {
			t.Error("an id that would make rows grow was taken")
		}
	})
	t.Run("says_that_a_reader_is_in_the_way", func(t *testing.T) {
		s := openStore(t, nil)
		commit(t, s, delivery(from(person, mapping.KindMessage, "m", secret(1))))
		reader := otherConn(t, s.path())
		run(t, reader, "BEGIN")
		var n int
		if err := reader.QueryRowContext(t.Context(), "SELECT count(*) FROM messages").Scan(&n); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Erase(t.Context(), Person{UserID: person}, false); err != nil {
			t.Fatal(err)
		}
		short, stop := context.WithCancel(t.Context())
		stop()
		if err := s.Scrubbed(short); !errors.Is(err, errReaders) {
			t.Errorf("got %v", err)
		}
		run(t, reader, "ROLLBACK")
		if err := s.Scrubbed(t.Context()); err != nil || len(secrets(t, s.path())) != 0 {
			t.Errorf("%v, %v", err, secrets(t, s.path()))
		}
	})
}

// A second process erases while the writer goes on.
func TestStore_Erase_beside_a_writer(t *testing.T) {
	writer := openStore(t, nil)
	for i := range 3 * eraseBatch {
		commit(t, writer, delivery(from(person, mapping.KindMessage, fmt.Sprint("p", i), secret(0)), message(fmt.Sprint("q", i), "others")))
	}
	eraser := openAt(t, writer.path(), nil)
	defer closeStore(t, eraser)
	stop, stopped := make(chan struct{}), sync.WaitGroup{}
	stopped.Add(1)
	written := 0
	go func() {
		defer stopped.Done()
		for ; ; written++ {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := writer.Commit(t.Context(), delivery(message(fmt.Sprint("load", written), "others"))); err != nil {
				t.Errorf("commit: %v", err)
				return
			}
		}
	}()
	done := eraseAll(t, eraser, Person{UserID: person})
	close(stop)
	stopped.Wait()
	if done.Messages != 3*eraseBatch {
		t.Errorf("erased %d", done.Messages)
	}
	settled(t, writer)
	if n := traces(t, writer, person); n != 0 || secrets(t, writer.path())[secret(0)] {
		t.Errorf("%d traces of the id", n)
	}
	if n := count(t, writer, "SELECT count(*) FROM messages WHERE message_text = 'others'"); n != 3*eraseBatch+written {
		t.Errorf("%d messages of others, want %d", n, 3*eraseBatch+written)
	}
}

// Erasures and unsends among other histories leave the others whole.
func TestStore_Erase_property(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := openAt(t, filepath.Join(tempDir(t), "messages.db"), nil)
		defer closeStore(t, s)
		users := []string{"900000000000001", "900000000000002", "900000000000003"}
		kept, gone := map[int]bool{}, map[int]bool{}
		owner := map[int]int{}
		for n := range rapid.IntRange(1, 40).Draw(t, "messages") {
			u := rapid.IntRange(0, 2).Draw(t, "user")
			text := secret(n) + strings.Repeat("x", rapid.IntRange(0, 3000).Draw(t, "size"))
			commit(t, s, delivery(from(users[u], mapping.KindMessage, fmt.Sprint("m", n), text)))
			owner[n], kept[n] = u, true
			if rapid.IntRange(0, 9).Draw(t, "erase") == 0 {
				u := rapid.IntRange(0, 2).Draw(t, "whom")
				eraseAll(t, s, Person{UserID: users[u]})
				for m, o := range owner {
					if o == u {
						delete(kept, m)
						gone[m] = true
					}
				}
			}
		}
		settled(t, s)
		found := secrets(t, s.path())
		for n := range gone {
			if found[secret(n)] {
				t.Errorf("the text of %d was erased and is in a file", n)
			}
		}
		for n := range kept {
			if !found[secret(n)] {
				t.Errorf("the text of %d is nowhere", n)
			}
		}
	})
}
