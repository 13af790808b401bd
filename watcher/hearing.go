package watcher

import (
	"os"
	"time"
)

// silentPolls is how many polls in a row must find a change without an event
// before events count as deaf. One or two are no proof: the event may be on its
// way.
const silentPolls = 3

// hearing compares what polling finds with what events told. Nothing but the
// report of deafness depends on it.
type hearing struct {
	files  map[string]*trace
	silent int
	deaf   bool
}

// trace is what is known of one file.
type trace struct {
	last  stamp
	heard bool
}

// stamp is what a write changes.
type stamp struct {
	exists  bool
	size    int64
	changed time.Time
}

// stampOf looks at a file without opening it: closing a database file behind
// SQLite's back would drop the locks that SQLite holds in this process.
func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	return stamp{exists: true, size: info.Size(), changed: info.ModTime()}
}

// begin starts anew with the files that writers write at each commit: changes
// from now on should be heard.
func (h *hearing) begin(p place) {
	h.files, h.silent = make(map[string]*trace, len(p.roles)), 0
	for path, role := range p.roles {
		if role == wal || role == doorbell {
			h.files[path] = &trace{last: stampOf(path)}
		}
	}
}

// heard notes an event. One of mode or time alone explains what the next poll
// finds; only one that tells of content shows that events work, because our
// own process causes the others.
func (h *hearing) heard(path string, content bool) {
	if file, ok := h.files[path]; ok {
		file.heard = true
	}
	if content {
		h.silent, h.deaf = 0, false
	}
}

// poll looks for changes of which nothing was heard.
func (h *hearing) poll() {
	missed := false
	for path, file := range h.files {
		now := stampOf(path)
		missed = missed || (now != file.last && !file.heard)
		file.last, file.heard = now, false
	}
	if missed {
		h.silent++
		h.deaf = h.deaf || h.silent >= silentPolls
	}
}
