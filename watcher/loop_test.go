package watcher

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
)

// rig is a watcher in a synctest bubble: real files for stat, events and
// errors by hand, and a clock that moves only when all wait.
type rig struct {
	*Watcher
	path   string
	events chan fsnotify.Event
	errs   chan error
	start  time.Time
	opened int

	mu     sync.Mutex
	log    bytes.Buffer
	wakes  []wakeup
	refuse error // what opening events fails with
}

type wakeup struct {
	at    time.Duration
	cause string
}

// newRig starts a watcher that ends with the test. It has polled once.
func newRig(t *testing.T, opts Options) *rig {
	t.Helper()
	r := &rig{path: filepath.Join(t.TempDir(), "messages.db"), start: time.Now()}
	opts.OnWake = func(cause string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.wakes = append(r.wakes, wakeup{time.Since(r.start), cause})
	}
	opts.Logger = slog.New(slog.NewTextHandler(r, nil))
	for _, suffix := range []string{"", "-wal", "-doorbell"} {
		r.grow(t, suffix)
	}
	w, err := New(r.path, opts)
	if err != nil {
		t.Fatal(err)
	}
	w.listen = func([]string) (*ears, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.refuse != nil {
			return nil, r.refuse
		}
		r.opened++
		r.events, r.errs = make(chan fsnotify.Event), make(chan error)
		return &ears{events: r.events, errors: r.errs, close: func() error { return nil }}, nil
	}
	r.Watcher = w
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	r.expect(t, CausePoll)
	return r
}

// grow appends to one of the database's files, which no event tells of.
func (r *rig) grow(t *testing.T, suffix string) {
	t.Helper()
	f, err := os.OpenFile(r.path+suffix, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("x"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// event delivers an event on one of the database's files.
func (r *rig) event(suffix string, op fsnotify.Op) {
	r.events <- fsnotify.Event{Name: r.path + suffix, Op: op}
	synctest.Wait()
}

// pass lets time go by.
func (r *rig) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// take returns the wake-ups since the last call.
func (r *rig) take() []wakeup {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	wakes := r.wakes
	r.wakes = nil
	return wakes
}

// fail makes opening events fail with err, or work again.
func (r *rig) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuse = err
}

// expect takes the causes so far and compares them.
func (r *rig) expect(t *testing.T, want ...string) {
	t.Helper()
	wakes := r.take()
	got := make([]string, len(wakes))
	for i, wake := range wakes {
		got[i] = wake.cause
	}
	if !slices.Equal(got, want) {
		t.Fatalf("woken by %v, want %v", got, want)
	}
}

// Write takes a line of the log.
func (r *rig) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(line)
}

// logged counts the lines of a level in the log so far.
func (r *rig) logged(level slog.Level) int {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Count(r.log.String(), "level="+level.String())
}

// bubble runs a test with a clock of its own.
func bubble(t *testing.T, name string, opts Options, test func(t *testing.T, r *rig)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { test(t, newRig(t, opts)) })
	})
}

func TestLoop_polling(t *testing.T) {
	bubble(t, "idles_at_the_rate_of_the_poll", Options{}, func(t *testing.T, r *rig) {
		r.pass(60 * time.Second)
		r.expect(t, slices.Repeat([]string{CausePoll}, 60)...)
		if r.opened != 1 || r.logged(slog.LevelInfo)+r.logged(slog.LevelWarn) > 0 {
			t.Errorf("%d times opened, or something to say", r.opened)
		}
	})
	bubble(t, "listens_to_nothing_where_it_must_not", Options{PollOnly: true}, func(t *testing.T, r *rig) {
		for range 10 {
			r.grow(t, "-doorbell")
			r.pass(time.Second)
			r.expect(t, CausePoll)
		}
		if r.opened != 0 || r.Deaf() {
			t.Errorf("%d times opened, deaf %v", r.opened, r.Deaf())
		}
	})
}

func TestLoop_rechecks(t *testing.T) {
	series := slices.Repeat([]string{CauseRecheck}, 7)
	bubble(t, "double_from_a_quarter_to_sixteen_milliseconds", Options{}, func(t *testing.T, r *rig) {
		r.event("-wal", fsnotify.Write)
		r.pass(time.Second / 2)
		want := []wakeup{{0, CauseEvent}}
		at := time.Duration(0)
		for wait := 250 * time.Microsecond; wait <= 16*time.Millisecond; wait *= 2 {
			at += wait
			want = append(want, wakeup{at, CauseRecheck})
		}
		if got := r.take(); !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
	bubble(t, "begin_anew_with_each_event", Options{}, func(t *testing.T, r *rig) {
		r.event("-wal", fsnotify.Write)
		r.pass(2 * time.Millisecond)
		r.expect(t, CauseEvent, CauseRecheck, CauseRecheck, CauseRecheck)
		r.event("", fsnotify.Write)
		r.pass(time.Second / 2)
		r.expect(t, append([]string{CauseEvent}, series...)...)
	})
	bubble(t, "end_with_the_doorbell", Options{}, func(t *testing.T, r *rig) {
		r.event("-wal", fsnotify.Write)
		r.event("-doorbell", fsnotify.Write)
		r.pass(time.Second / 2)
		r.expect(t, CauseEvent, CauseDoorbell)
	})
	bubble(t, "are_not_needed_while_the_doorbell_rings", Options{}, func(t *testing.T, r *rig) {
		r.event("-doorbell", fsnotify.Write)
		r.expect(t, CauseDoorbell)
		for range 5 {
			r.event("-wal", fsnotify.Write)
			r.event("-wal", fsnotify.Write)
			r.pass(15 * time.Millisecond)
			r.event("-doorbell", fsnotify.Write)
			r.pass(50 * time.Millisecond)
			r.expect(t, CauseDoorbell)
		}
	})
	bubble(t, "are_back_when_a_ring_stays_out", Options{}, func(t *testing.T, r *rig) {
		r.event("-doorbell", fsnotify.Write)
		r.event("-wal", fsnotify.Write)
		r.pass(10 * time.Millisecond)
		r.event("-wal", fsnotify.Write) // does not put the check off
		r.expect(t, CauseDoorbell)
		r.pass(6 * time.Millisecond)
		r.expect(t, CauseRecheck)
		r.event("-wal", fsnotify.Write)
		r.pass(time.Second / 2)
		r.expect(t, append([]string{CauseEvent}, series...)...)
	})
	bubble(t, "stay_where_others_write_too", Options{Foreign: true}, func(t *testing.T, r *rig) {
		r.event("-doorbell", fsnotify.Write)
		r.event("-wal", fsnotify.Write)
		r.event("-doorbell", fsnotify.Write)
		r.pass(time.Second / 2)
		r.expect(t, append([]string{CauseDoorbell, CauseEvent, CauseDoorbell}, series...)...)
	})
	bubble(t, "are_back_with_another_file", Options{}, func(t *testing.T, r *rig) {
		r.event("-doorbell", fsnotify.Write)
		r.grow(t, "-new")
		if err := os.Rename(r.path+"-new", r.path); err != nil {
			t.Fatal(err)
		}
		r.event("", fsnotify.Create)
		r.pass(time.Second / 2)
		r.expect(t, append([]string{CauseDoorbell, CauseReplaced}, series...)...)
	})
}

func TestLoop_lost_events(t *testing.T) {
	bubble(t, "wake_at_once_and_listen_anew_with_the_poll", Options{}, func(t *testing.T, r *rig) {
		for range 3 {
			r.errs <- fsnotify.ErrEventOverflow
		}
		r.expect(t, CauseOverflow, CauseOverflow, CauseOverflow)
		r.event("-doorbell", fsnotify.Write)
		r.expect(t, CauseDoorbell)
		if r.opened != 1 || r.logged(slog.LevelWarn) != 1 {
			t.Errorf("%d times opened and %d warnings before the poll", r.opened, r.logged(slog.LevelWarn))
		}
		r.pass(time.Second)
		r.expect(t, CausePoll)
		if r.opened != 2 {
			t.Errorf("%d times opened", r.opened)
		}
		r.event("-doorbell", fsnotify.Write)
		r.expect(t, CauseDoorbell)
	})
	for name, end := range map[string]func(r *rig){
		"survive_the_end_of_events": func(r *rig) { close(r.events) },
		"survive_the_end_of_errors": func(r *rig) { close(r.errs) },
	} {
		bubble(t, name, Options{}, func(t *testing.T, r *rig) {
			end(r)
			r.expect(t, CauseOverflow)
			r.pass(time.Second)
			r.expect(t, CausePoll)
			r.event("-doorbell", fsnotify.Write)
			r.expect(t, CauseDoorbell)
		})
	}
}

func TestLoop_without_events(t *testing.T) {
	limit := &os.SyscallError{Syscall: "inotify_init1", Err: syscall.EMFILE}
	bubble(t, "polls_says_so_once_and_tries_again", Options{}, func(t *testing.T, r *rig) {
		r.fail(limit)
		r.errs <- errors.New("trouble")
		r.expect(t, CauseOverflow)
		before := r.logged(slog.LevelWarn)
		for range 10 {
			r.grow(t, "-doorbell")
			r.pass(time.Second)
			r.expect(t, CausePoll)
			if !r.Deaf() {
				t.Fatal("not deaf without events")
			}
		}
		if got := r.logged(slog.LevelWarn) - before; got != 1 {
			t.Errorf("%d warnings", got)
		}
		r.fail(nil)
		r.pass(time.Second)
		if r.Deaf() || r.opened != 2 {
			t.Errorf("deaf %v, %d times opened", r.Deaf(), r.opened)
		}
	})
	bubble(t, "a_missing_directory_is_not_deafness", Options{}, func(t *testing.T, r *rig) {
		dir := filepath.Dir(r.path)
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		r.events <- fsnotify.Event{Name: dir, Op: fsnotify.Remove}
		r.expect(t, CauseEvent)
		r.pass(10 * time.Second)
		r.expect(t, slices.Repeat([]string{CausePoll}, 10)...)
		if r.Deaf() || r.logged(slog.LevelWarn) != 0 || r.logged(slog.LevelInfo) != 1 {
			t.Errorf("deaf %v, %d warnings", r.Deaf(), r.logged(slog.LevelWarn))
		}
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		r.pass(time.Second)
		if r.opened != 2 {
			t.Errorf("%d times opened", r.opened)
		}
	})
	bubble(t, "nor_one_that_goes_while_we_look", Options{}, func(t *testing.T, r *rig) {
		r.fail(&fs.PathError{Op: "add", Path: "data", Err: fs.ErrNotExist})
		r.errs <- errors.New("trouble")
		before := r.logged(slog.LevelWarn)
		r.pass(5 * time.Second)
		if r.Deaf() || r.logged(slog.LevelWarn) != before {
			t.Errorf("deaf %v, %d warnings", r.Deaf(), r.logged(slog.LevelWarn)-before)
		}
	})
}

func TestLoop_deafness(t *testing.T) {
	// unheard makes one poll find a change that no event told of.
	unheard := func(t *testing.T, r *rig, suffix string) {
		t.Helper()
		r.grow(t, suffix)
		r.pass(time.Second)
		r.expect(t, CausePoll)
	}
	for _, suffix := range []string{"-doorbell", "-wal"} {
		bubble(t, "is_three_changes_without_an_event_on_"+suffix[1:], Options{}, func(t *testing.T, r *rig) {
			unheard(t, r, suffix)
			r.pass(time.Minute) // polls that find nothing change nothing
			r.take()
			unheard(t, r, suffix)
			if r.Deaf() {
				t.Fatal("deaf after two")
			}
			for range 5 {
				unheard(t, r, suffix)
				if !r.Deaf() {
					t.Fatal("not deaf after three")
				}
			}
			if r.logged(slog.LevelWarn) != 1 {
				t.Errorf("%d warnings", r.logged(slog.LevelWarn))
			}
		})
	}
	bubble(t, "ends_with_an_event", Options{}, func(t *testing.T, r *rig) {
		for range 3 {
			unheard(t, r, "-wal")
		}
		r.event("-wal", fsnotify.Chmod) // our own process opening the file looks like this
		if !r.Deaf() {
			t.Error("an event without content ended it")
		}
		r.event("-doorbell", fsnotify.Write)
		if r.Deaf() {
			t.Error("still deaf")
		}
	})
	bubble(t, "begins_anew_with_each_event", Options{}, func(t *testing.T, r *rig) {
		for range 5 {
			unheard(t, r, "-wal")
			unheard(t, r, "-wal")
			if r.Deaf() {
				t.Fatal("deaf although events arrive")
			}
			r.event("-doorbell", fsnotify.Write)
			r.expect(t, CauseDoorbell)
		}
	})
	bubble(t, "is_not_a_change_that_an_event_explains", Options{}, func(t *testing.T, r *rig) {
		for range 5 {
			r.event("-wal", fsnotify.Chmod)
			unheard(t, r, "-wal")
		}
		if r.Deaf() {
			t.Error("deaf")
		}
	})
	bubble(t, "is_explained_by_an_event_for_one_poll_only", Options{Recheck: Recheck{First: time.Hour}}, func(t *testing.T, r *rig) {
		r.event("-wal", fsnotify.Write)
		r.expect(t, CauseEvent)
		for range 3 {
			unheard(t, r, "-wal")
		}
		if r.Deaf() {
			t.Error("deaf after two")
		}
		unheard(t, r, "-wal")
		if !r.Deaf() {
			t.Error("not deaf after three")
		}
	})
	bubble(t, "outlasts_new_ears", Options{}, func(t *testing.T, r *rig) {
		for range 3 {
			unheard(t, r, "-wal")
		}
		r.errs <- fsnotify.ErrEventOverflow
		r.pass(time.Second)
		if r.opened != 2 || !r.Deaf() {
			t.Errorf("%d times opened, deaf %v", r.opened, r.Deaf())
		}
	})
}

func TestCauses(t *testing.T) {
	want := []string{"doorbell", "event", "recheck", "poll", "replaced", "overflow"}
	if got := Causes(); !slices.Equal(got, want) {
		t.Errorf("causes are metric labels: got %v, want %v", got, want)
	}
}
