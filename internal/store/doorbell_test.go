package store

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
)

// bell watches the directory as the replicator does.
func bell(t *testing.T, path string) *fsnotify.Watcher {
	t.Helper()
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { watcher.Close() })
	if err := watcher.Add(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	return watcher
}

// rung waits for the next write into the doorbell.
func rung(t *testing.T, watcher *fsnotify.Watcher, path string) {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case event := <-watcher.Events:
			if event.Name == path+"-doorbell" && event.Has(fsnotify.Write) {
				return
			}
		case <-deadline:
			t.Fatal("the doorbell did not ring")
		}
	}
}

func TestDoorbell_rings_when_the_row_can_be_read(t *testing.T) {
	s := openStore(t, nil)
	reader := otherConn(t, s.path())
	watcher := bell(t, s.path())
	for i := range 50 {
		commit(t, s, delivery(message(string(rune('a'+i)), "text")))
		rung(t, watcher, s.path())
		var n int
		if err := reader.QueryRowContext(t.Context(), "SELECT count(*) FROM messages").Scan(&n); err != nil || n != i+1 {
			t.Fatalf("after ring %d: %d rows, %v", i+1, n, err)
		}
	}
	if info, err := os.Stat(s.path() + "-doorbell"); err != nil || info.Size() != 1 {
		t.Errorf("%v, %v; want one byte", info.Size(), err)
	}
}

func TestDoorbell_comes_back_after_it_was_deleted(t *testing.T) {
	s := openStore(t, nil)
	watcher := bell(t, s.path())
	commit(t, s, delivery(message("1", "text")))
	if err := os.Remove(s.path() + "-doorbell"); err != nil {
		t.Fatal(err)
	}
	commit(t, s, delivery(message("2", "text")))
	if _, err := os.Stat(s.path() + "-doorbell"); err != nil {
		t.Fatal(err)
	}
	rung(t, watcher, s.path())
}

func TestDoorbell_that_fails_fails_nothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "messages.db")
	if err := os.Mkdir(path+"-doorbell", 0o700); err != nil {
		t.Fatal(err)
	}
	lines := &logs{}
	s := openAt(t, path, func(o *Options) { o.Logger = lines.logger() })
	defer closeStore(t, s)
	commit(t, s, delivery(message("1", "text")))
	commit(t, s, delivery(message("2", "text")))
	if n := lines.count("does not ring"); n != 1 {
		t.Errorf("%d log lines", n)
	}
	if err := os.Remove(path + "-doorbell"); err != nil {
		t.Fatal(err)
	}
	commit(t, s, delivery(message("3", "text")))
	if n := lines.count("rings again"); n != 1 {
		t.Errorf("%d log lines", n)
	}
}
