package watcher

import (
	"errors"
	"fmt"

	"github.com/fsnotify/fsnotify"
)

// ears are the events of some directories. They listen to what they were
// opened with and nothing else: fsnotify may hold a lock while it hands over an
// error, so adding a directory from the goroutine that reads could wait for
// itself.
type ears struct {
	events <-chan fsnotify.Event
	errors <-chan error
	close  func() error
}

// listen opens the events of directories that exist.
func listen(dirs []string) (*ears, error) {
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("open file events: %w", err)
	}
	for _, dir := range dirs {
		if err := notify.Add(dir); err != nil {
			return nil, errors.Join(fmt.Errorf("listen to directory: %w", err), notify.Close())
		}
	}
	return &ears{events: notify.Events, errors: notify.Errors, close: notify.Close}, nil
}
