package replicator

import (
	"context"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"

	"sidestream/internal/app/console"
	"sidestream/replicator"
)

// fileInterval is how often a secret's file is looked at, beatInterval how
// often the heartbeat URL is asked, progressInterval how often the bar moves.
const (
	fileInterval     = time.Second
	beatInterval     = time.Minute
	progressInterval = 100 * time.Millisecond
)

// watchFile calls changed when the file's time or size differs from the last
// look. Without a path it waits for the end.
func watchFile(ctx context.Context, path string, changed func()) error {
	if path == "" {
		<-ctx.Done()
		return nil
	}
	last := fingerprint(path)
	for tick(ctx, fileInterval) {
		if now := fingerprint(path); now != last {
			last = now
			changed()
		}
	}
	return nil
}

type print struct {
	size int64
	time time.Time
}

func fingerprint(path string) print {
	info, err := os.Stat(path)
	if err != nil {
		return print{}
	}
	return print{size: info.Size(), time: info.ModTime()}
}

// tick waits; it returns false when ctx ended.
func tick(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// heartbeat asks ops.heartbeat_url once a minute while replication works: who
// is not asked any more knows that something is wrong.
func (d *daemon) heartbeat(ctx context.Context) error {
	url := d.config.Ops.HeartbeatURL
	if url == "" {
		<-ctx.Done()
		return nil
	}
	client := &http.Client{Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	for tick(ctx, beatInterval) {
		if phase := d.loop.State().Phase; phase != replicator.Idle && phase != replicator.Running {
			continue
		}
		if err := beat(ctx, client, url); err != nil && ctx.Err() == nil {
			// The URL can be a capability by itself, and the error quotes it.
			d.logger.Warn("heartbeat not delivered", "next", "check ops.heartbeat_url")
		}
	}
	return nil
}

func beat(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

// progress shows a bar on a terminal until the returned function is called.
func (d *daemon) progress(ctx context.Context, w io.Writer) func() {
	if !console.IsTerminal(w) {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		bar := progressbar.NewOptions64(-1, progressbar.OptionSetWriter(w), progressbar.OptionSetDescription("applying"), progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionClearOnFinish())
		begun := int64(-1)
		for tick(ctx, progressInterval) {
			cursor := d.loop.State().Cursor
			if !cursor.Known {
				continue
			}
			if begun < 0 {
				begun = cursor.Position
			}
			if pending, err := d.source.Pending(ctx, cursor.Position); err == nil {
				bar.ChangeMax64(pending.Head - begun)
			}
			_ = bar.Set64(cursor.Position - begun)
		}
		_ = bar.Finish()
	}()
	return func() {
		cancel()
		<-done
	}
}
