package watcher_test

import (
	"context"
	"log/slog"
	"os"

	"sidestream/watcher"
)

func ExampleWatcher() {
	ctx := context.Background() // a real program's ends with a signal
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))

	w, err := watcher.New("data/messages.db", watcher.Options{Logger: log})
	if err != nil {
		log.Error("start", "err", err)
		return
	}
	go func() {
		for {
			select {
			case <-w.Wakeups():
				// Read until there is nothing more.
			case <-ctx.Done():
				return
			}
		}
	}()
	if err := w.Run(ctx); err != nil {
		log.Error("watch", "err", err)
	}
}
