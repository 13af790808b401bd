package watcher_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sidestream/watcher"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// never is a poll or re-check that no test lives to see.
const never = time.Hour

// observer is a running watcher and the causes of its wake-ups in order.
type observer struct {
	*watcher.Watcher
	causes chan string
	stop   func()
}

// observe runs a watcher on path until the test ends, and returns once it
// listens.
func observe(tb testing.TB, path string, opts watcher.Options) *observer {
	tb.Helper()
	o := &observer{causes: make(chan string, 1<<16)}
	opts.OnWake = func(cause string) {
		select {
		case o.causes <- cause:
		default: // a test with fast polls reads no further
		}
	}
	var err error
	o.Watcher, err = watcher.New(path, opts)
	if err != nil {
		tb.Fatalf("new: %v", err)
	}
	ctx, cancel := context.WithCancel(tb.Context())
	done := make(chan error, 1)
	go func() { done <- o.Run(ctx) }()
	stopped := false
	o.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-done:
			if err != nil {
				tb.Errorf("run: %v", err)
			}
		case <-time.After(patience):
			tb.Error("run does not end")
		}
	}
	tb.Cleanup(o.stop)
	o.next(tb, watcher.CausePoll)
	return o
}

// next fails the test unless the next cause is want.
func (o *observer) next(tb testing.TB, want string) {
	tb.Helper()
	select {
	case got := <-o.causes:
		if got != want {
			tb.Fatalf("woken by %s, want %s", got, want)
		}
	case <-time.After(patience):
		tb.Fatalf("no wake-up, want %s", want)
	}
}

// until reads causes up to want, and calls again (where given) every few
// milliseconds meanwhile.
func (o *observer) until(tb testing.TB, want string, again func()) {
	tb.Helper()
	deadline := time.After(patience)
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case got := <-o.causes:
			if got == want {
				return
			}
		case <-ticker.C:
			if again != nil {
				again()
			}
		case <-deadline:
			tb.Fatalf("no wake-up by %s", want)
		}
	}
}

// files makes a database's files in dir and returns the database's path.
func files(tb testing.TB, dir string) string {
	tb.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		tb.Fatal(err)
	}
	path := filepath.Join(dir, "messages.db")
	for _, suffix := range []string{"", "-wal", "-shm", "-doorbell", "-journal"} {
		write(tb, path+suffix)
	}
	return path
}

// write puts one byte at the start of a file, as the writer rings: one event.
func write(tb testing.TB, path string) {
	tb.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{1}, 0); err != nil {
		tb.Fatal(err)
	}
	if err := f.Close(); err != nil {
		tb.Fatal(err)
	}
}

// must fails the test on an error.
func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func TestWatcher_Run_wakes(t *testing.T) {
	t.Run("for_the_doorbell", func(t *testing.T) {
		path := files(t, t.TempDir())
		o := observe(t, path, watcher.Options{PollInterval: never})
		for range 3 {
			write(t, path+"-doorbell")
			o.next(t, watcher.CauseDoorbell)
		}
	})
	t.Run("for_a_doorbell_that_is_made_later", func(t *testing.T) {
		path := files(t, t.TempDir())
		must(t, os.Remove(path+"-doorbell"))
		o := observe(t, path, watcher.Options{PollInterval: never})
		write(t, path+"-doorbell")
		o.next(t, watcher.CauseDoorbell)
	})
	for _, suffix := range []string{"-wal", ""} {
		t.Run("and_checks_again_for_messages.db"+suffix, func(t *testing.T) {
			path := files(t, t.TempDir())
			o := observe(t, path, watcher.Options{PollInterval: never})
			write(t, path+suffix)
			o.next(t, watcher.CauseEvent)
			for range 7 { // 0.25, 0.5, 1, 2, 4, 8, 16 ms
				o.next(t, watcher.CauseRecheck)
			}
			write(t, path+"-doorbell")
			o.next(t, watcher.CauseDoorbell)
		})
	}
	t.Run("for_a_wal_that_was_deleted_and_made_anew", func(t *testing.T) {
		path := files(t, t.TempDir())
		o := observe(t, path, watcher.Options{PollInterval: never, Recheck: watcher.Recheck{First: never}})
		for range 10 {
			must(t, os.Remove(path+"-wal"))
			o.next(t, watcher.CauseEvent)
			must(t, os.Symlink("nowhere", path+"-wal")) // one event, where a file gives two
			o.next(t, watcher.CauseEvent)
		}
	})
	t.Run("once_for_what_nobody_has_taken_yet", func(t *testing.T) {
		path := files(t, t.TempDir())
		o := observe(t, path, watcher.Options{PollInterval: never})
		<-o.Wakeups()
		for range 5 {
			write(t, path+"-doorbell")
			o.next(t, watcher.CauseDoorbell)
		}
		<-o.Wakeups()
		select {
		case <-o.Wakeups():
			t.Error("a second wake-up was waiting")
		default:
		}
	})
	t.Run("by_polling_alone", func(t *testing.T) {
		o := observe(t, files(t, t.TempDir()), watcher.Options{PollInterval: time.Millisecond, PollOnly: true})
		for range 5 {
			o.next(t, watcher.CausePoll)
		}
		if o.Deaf() {
			t.Error("who was not asked to listen is not deaf")
		}
	})
}

func TestWatcher_Run_does_not_wake(t *testing.T) {
	for name, act := range map[string]func(path string) error{
		"for_shm":             func(path string) error { return os.WriteFile(path+"-shm", []byte("x"), 0o644) },
		"for_a_changed_mode":  func(path string) error { return os.Chmod(path+"-wal", 0o600) },
		"for_a_changed_time":  func(path string) error { return os.Chtimes(path+"-doorbell", time.Now(), time.Now()) },
		"for_another_file":    func(path string) error { return os.WriteFile(path+"x-wal", []byte("x"), 0o644) },
		"for_a_longer_name":   func(path string) error { return os.WriteFile(path+"-wal2", []byte("x"), 0o644) },
		"for_a_new_directory": func(path string) error { return os.Mkdir(path+".d", 0o755) },
		"for_a_lost_doorbell": func(path string) error { return os.Rename(path+"-doorbell", path+"-gone") },
	} {
		t.Run(name, func(t *testing.T) {
			path := files(t, t.TempDir())
			o := observe(t, path, watcher.Options{PollInterval: never})
			must(t, act(path))
			write(t, path+"-doorbell")
			o.next(t, watcher.CauseDoorbell)
		})
	}
	t.Run("for_wal_while_the_doorbell_rings", func(t *testing.T) {
		path := files(t, t.TempDir())
		o := observe(t, path, watcher.Options{PollInterval: never, Recheck: watcher.Recheck{Last: never}})
		for range 5 {
			write(t, path+"-doorbell")
			o.next(t, watcher.CauseDoorbell)
			write(t, path+"-wal")
		}
	})
}

func TestWatcher_Run_notices_another_file(t *testing.T) {
	renameOver := func(tb testing.TB, path string) {
		tb.Helper()
		write(tb, path+"-new")
		must(tb, os.Rename(path+"-new", path))
	}
	t.Run("renamed_over_the_database", func(t *testing.T) {
		path := files(t, t.TempDir())
		o := observe(t, path, watcher.Options{PollInterval: never, Recheck: watcher.Recheck{First: never}})
		for range 3 {
			renameOver(t, path)
			o.next(t, watcher.CauseReplaced)
		}
	})
	t.Run("renamed_over_the_database_by_polling_alone", func(t *testing.T) {
		path := files(t, t.TempDir())
		o := observe(t, path, watcher.Options{PollInterval: time.Millisecond, PollOnly: true})
		renameOver(t, path)
		o.until(t, watcher.CauseReplaced, nil)
	})
	t.Run("made_after_the_database_was_deleted", func(t *testing.T) {
		path := files(t, t.TempDir())
		o := observe(t, path, watcher.Options{PollInterval: never, Recheck: watcher.Recheck{First: never}})
		must(t, os.Remove(path))
		o.next(t, watcher.CauseEvent)
		write(t, path)
		o.next(t, watcher.CauseReplaced)
	})
	t.Run("but_not_in_the_first_one", func(t *testing.T) {
		path := files(t, t.TempDir())
		must(t, os.Remove(path))
		o := observe(t, path, watcher.Options{PollInterval: never, Recheck: watcher.Recheck{First: never}})
		write(t, path)
		o.next(t, watcher.CauseEvent)
	})
}

func TestWatcher_Run_finds_the_directory(t *testing.T) {
	fast := watcher.Options{PollInterval: 2 * time.Millisecond}
	t.Run("that_is_made_later", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "not", "yet")
		o := observe(t, filepath.Join(dir, "messages.db"), fast)
		path := files(t, dir)
		o.until(t, watcher.CauseDoorbell, func() { write(t, path+"-doorbell") })
	})
	t.Run("that_is_deleted_and_made_anew", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "data")
		path := files(t, dir)
		o := observe(t, path, fast)
		for range 10 {
			must(t, os.RemoveAll(dir))
			files(t, dir)
			drain(o.causes)
			o.until(t, watcher.CauseDoorbell, func() { write(t, path+"-doorbell") })
		}
	})
	t.Run("that_is_renamed_and_made_anew", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "data")
		path := files(t, dir)
		o := observe(t, path, fast)
		must(t, os.Rename(dir, dir+".old"))
		files(t, dir)
		drain(o.causes)
		o.until(t, watcher.CauseDoorbell, func() { write(t, path+"-doorbell") })
	})
	t.Run("that_a_link_points_to_by_now", func(t *testing.T) {
		base := t.TempDir()
		files(t, filepath.Join(base, "blue"))
		files(t, filepath.Join(base, "green"))
		link := filepath.Join(base, "data")
		must(t, os.Symlink("blue", link))
		path := filepath.Join(link, "messages.db")
		o := observe(t, path, fast)
		must(t, os.Symlink("green", link+".new"))
		must(t, os.Rename(link+".new", link))
		o.until(t, watcher.CauseReplaced, nil)
		o.until(t, watcher.CauseDoorbell, func() { write(t, path+"-doorbell") })
	})
	t.Run("that_the_database_is_linked_to_by_now", func(t *testing.T) {
		base := t.TempDir()
		blue, green := files(t, filepath.Join(base, "blue")), files(t, filepath.Join(base, "green"))
		path := filepath.Join(base, "link.db")
		must(t, os.Symlink(blue, path))
		o := observe(t, path, watcher.Options{PollInterval: never, Recheck: watcher.Recheck{First: never}})
		must(t, os.Symlink(green, path+".new"))
		must(t, os.Rename(path+".new", path))
		o.next(t, watcher.CauseReplaced)
		write(t, green+"-wal")
		o.next(t, watcher.CauseEvent)
	})
	t.Run("that_the_database_is_linked_to", func(t *testing.T) {
		base := t.TempDir()
		target := files(t, filepath.Join(base, "real"))
		path := filepath.Join(base, "link.db")
		must(t, os.Symlink(target, path))
		write(t, path+"-doorbell")
		o := observe(t, path, watcher.Options{PollInterval: never, Recheck: watcher.Recheck{First: never}})
		write(t, target+"-wal")
		o.next(t, watcher.CauseEvent)
		write(t, target+"-doorbell")
		o.next(t, watcher.CauseDoorbell)
		write(t, path+"-doorbell")
		o.next(t, watcher.CauseDoorbell)
	})
}

// drain forgets the causes so far.
func drain(causes chan string) {
	for {
		select {
		case <-causes:
		default:
			return
		}
	}
}

func TestWatcher_Run_ends_with_its_context(t *testing.T) {
	before := goleak.IgnoreCurrent()
	path := files(t, t.TempDir())
	o := observe(t, path, watcher.Options{PollInterval: time.Millisecond})
	write(t, path+"-wal")
	o.until(t, watcher.CauseEvent, nil)
	o.stop()
	goleak.VerifyNone(t, before)
}

func TestWatcher_Run_refuses_to_run_twice_at_once(t *testing.T) {
	o := observe(t, files(t, t.TempDir()), watcher.Options{PollInterval: never})
	if err := o.Run(t.Context()); err == nil {
		t.Error("a second run began")
	}
	o.stop()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := o.Run(ended); err != nil {
		t.Errorf("a run after the first one: %v", err)
	}
}

func TestNew_refuses(t *testing.T) {
	for want, opts := range map[string]watcher.Options{
		"watcher: PollInterval -1s is negative":                   {PollInterval: -time.Second},
		"watcher: Recheck.First -1s is negative":                  {Recheck: watcher.Recheck{First: -time.Second}},
		"watcher: Recheck.Last 1ms is below Recheck.First 1s":     {Recheck: watcher.Recheck{First: time.Second, Last: time.Millisecond}},
		"watcher: Recheck.Last -1ms is below Recheck.First 250µs": {Recheck: watcher.Recheck{Last: -time.Millisecond}},
	} {
		if _, err := watcher.New("messages.db", opts); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if _, err := watcher.New("", watcher.Options{}); err == nil {
		t.Error("an empty path passed")
	}
}
