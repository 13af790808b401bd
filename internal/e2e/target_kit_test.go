package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	appreplicator "sidestream/internal/app/replicator"
	"sidestream/internal/mysql"
	"sidestream/internal/sqlite"
	"sidestream/internal/store"
	"sidestream/internal/testkit"
	"sidestream/internal/testkit/mariadb"
	"sidestream/mapping"
	"sidestream/replicator"
)

var errNone = errors.New("no failure")

// stranger is the username in rows that are not ours.
const stranger = "a stranger"

// site is one installation whose writer and loop run inside the test, so that
// each step of the loop is the test's to take, while operator commands run as
// they do in a terminal.
type site struct {
	*rig
	store   *store.Store
	wakeups chan struct{}

	mu    sync.Mutex
	texts []string
}

func newSite(t *testing.T, db mariadb.DB, extra ...string) *site {
	t.Helper()
	s := &site{rig: newRig(t, db, extra...), wakeups: make(chan struct{}, 1)}
	var err error
	if s.store, err = store.Open(t.Context(), store.Options{Path: s.path()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.store.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *site) path() string { return filepath.Join(s.dir, "messages.db") }

// change is a change of the n-th message.
func change(n int, kind mapping.Kind, text string) mapping.Change {
	c := mapping.Change{
		MessageID: fmt.Sprintf("mid.%05d", n), Kind: kind, AccountID: "1784", SenderID: fmt.Sprint(900 + n%7), RecipientID: "1784",
		Direction: mapping.Inbound, Timestamp: 1_790_000_000_000 + int64(n)*1000,
	}
	if text != "" {
		c.Text = &text
	}
	return c
}

func (s *site) commit(t *testing.T, changes ...mapping.Change) {
	t.Helper()
	if _, err := s.store.Commit(t.Context(), store.Delivery{Changes: changes}); err != nil {
		t.Fatal(err)
	}
	select {
	case s.wakeups <- struct{}{}:
	default:
	}
}

// say stores n more messages; their texts are what the CRM should hold.
func (s *site) say(t *testing.T, n int) {
	t.Helper()
	var texts []string
	for range n {
		texts = append(texts, fmt.Sprintf("text %05d", s.said()+len(texts)+1))
	}
	s.sayTexts(t, texts...)
}

func (s *site) sayTexts(t *testing.T, texts ...string) {
	t.Helper()
	first := s.said() + 1
	var changes []mapping.Change
	for i, text := range texts {
		changes = append(changes, change(first+i, mapping.KindMessage, text))
	}
	s.mu.Lock()
	s.texts = append(s.texts, texts...)
	s.mu.Unlock()
	s.commit(t, changes...)
}

func (s *site) said() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.texts)
}

// targetOptions are those of the CRM behind the site's database.
func (s *site) targetOptions() mysql.Options {
	return mysql.Options{
		Addresses: []string{s.db.Addr}, User: s.db.User, Password: func() (string, error) { return s.db.Password, nil },
		Database: s.db.Name, Table: "messages", Source: "main", ReadTimeout: 20 * time.Second,
	}
}

// loop returns a replicator, as after a restart of its process.
func (s *site) loop(t *testing.T, adjust ...func(*mysql.Options, *replicator.Options)) *replicator.Replicator {
	t.Helper()
	source, err := sqlite.New(sqlite.Options{Path: s.path()})
	if err != nil {
		t.Fatal(err)
	}
	mapper, err := mapping.New(mapping.Options{})
	if err != nil {
		t.Fatal(err)
	}
	to, lo := s.targetOptions(), replicator.Options{Source: source, Mapper: mapper, Wakeups: s.wakeups, MaxBackoff: 200 * time.Millisecond, Logger: testkit.Logger(t)}
	for _, a := range adjust {
		a(&to, &lo)
	}
	target, err := mysql.New(to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = target.Close()
		_ = source.Close()
	})
	lo.Target = target
	r, err := replicator.New(lo)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// carryOn steps until everything is applied, through failures that pass.
func carryOn(t *testing.T, r *replicator.Replicator) {
	t.Helper()
	testkit.EventuallyNil(t, patient, func() error {
		for {
			progress, err := r.Step(t.Context())
			if err != nil || !progress {
				return err
			}
		}
	}, "applied everything")
}

// stopsAt steps until the loop fails with a reason, and returns the failure.
func stopsAt(t *testing.T, r *replicator.Replicator, reason string) replicator.Failure {
	t.Helper()
	var last replicator.Failure
	testkit.EventuallyNil(t, patient, func() error {
		_, err := r.Step(t.Context())
		if err == nil {
			return errNone
		}
		last = *replicator.AsFailure(err)
		if last.Reason != reason {
			return err
		}
		return nil
	}, "failed with "+reason)
	return last
}

// blockedAt is stopsAt for what needs a person: the next step has to be named.
func blockedAt(t *testing.T, r *replicator.Replicator, reason string) replicator.Failure {
	t.Helper()
	f := stopsAt(t, r, reason)
	if f.Class != replicator.Blocked || f.Hint == "" {
		t.Errorf("not blocked with a next step: %s, hint %q", f.Error(), f.Hint)
	}
	t.Logf("%s; next: %s", f.Error(), f.Hint)
	return f
}

// running runs a replicator until the returned function is called.
func running(t *testing.T, r *replicator.Replicator) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// appliedAll waits until a running replicator has applied everything.
func (s *site) appliedAll(t *testing.T, r *replicator.Replicator, head int64) {
	t.Helper()
	testkit.EventuallyNil(t, patient, func() error {
		state := r.State()
		if state.Cursor.Position < head {
			return fmt.Errorf("position %d of %d, phase %s", state.Cursor.Position, head, state.Phase)
		}
		return nil
	}, "applied everything")
}

// want fails the test unless the CRM holds exactly what was said, in order,
// beside strangers' rows.
func (s *site) want(t *testing.T) {
	t.Helper()
	s.wantTexts(t, s.texts...)
}

func (s *site) wantTexts(t *testing.T, texts ...string) {
	t.Helper()
	var got []string
	for _, row := range s.db.Rows(t, "SELECT message FROM messages WHERE username <> ? ORDER BY id", stranger) {
		got = append(got, row[0])
	}
	if !slices.Equal(got, texts) {
		missing := slices.DeleteFunc(slices.Clone(texts), func(text string) bool { return slices.Contains(got, text) })
		t.Errorf("the CRM holds %d messages, want %d; missing %d: %.300q", len(got), len(texts), len(missing), missing)
	}
}

// meddle adds n rows of a stranger.
func (s *site) meddle(t *testing.T, n int) {
	t.Helper()
	s.db.Exec(t, "INSERT INTO messages (user_id, username, direction, message) VALUES "+strings.TrimSuffix(strings.Repeat("('x','"+stranger+"','in','a stranger''s'),", n), ","))
}

// command runs an operator's command and fails the test unless it exits with
// the code.
func (s *site) command(t *testing.T, code int, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	got := appreplicator.Run(t.Context(), append(args, "-c", s.config), nil, &out, &errs, "test")
	if got != code {
		t.Errorf("replicator %s: exit %d, want %d\n%s%s", strings.Join(args, " "), got, code, out.String(), errs.String())
	}
	t.Logf("$ replicator %s\n%s", strings.Join(args, " "), out.String())
	return out.String() + errs.String()
}
