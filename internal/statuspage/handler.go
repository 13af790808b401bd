package statuspage

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// Path is where the JSON is served.
const Path = "/status"

// timeout bounds the making of one status, which may read the source.
const timeout = 5 * time.Second

// Handler serves what current returns as JSON. current is called once per
// request, from many goroutines, and has five seconds.
func Handler(current func(context.Context) Status) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "only GET", http.StatusMethodNotAllowed)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		var body bytes.Buffer
		encoder := json.NewEncoder(&body)
		encoder.SetEscapeHTML(false)
		// People read it with curl, too.
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(current(ctx)); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		// A client that is gone by now needs no answer.
		_, _ = body.WriteTo(w)
	})
}

// Get asks the program that listens on addr for one page and returns the HTTP
// status and the body.
type Get func(ctx context.Context, addr, path string) (status int, body []byte, err error)

// Fetch asks the replicator that listens on addr for its status. ctx bounds
// the wait. Fields that a newer replicator has added are left out.
func Fetch(ctx context.Context, get Get, addr string) (Status, error) {
	code, body, err := get(ctx, addr, Path)
	if err != nil {
		return Status{}, fmt.Errorf("ask the replicator on %s: %w", addr, err)
	}
	if code != http.StatusOK {
		return Status{}, fmt.Errorf("ask the replicator on %s: it answered %d %s", addr, code, http.StatusText(code))
	}
	var s Status
	if err := json.Unmarshal(body, &s); err != nil {
		return Status{}, fmt.Errorf("read the answer of %s: %w", addr, err)
	}
	if s.State == "" {
		return Status{}, fmt.Errorf("read the answer of %s: it is not a replicator's status", addr)
	}
	return s, nil
}
