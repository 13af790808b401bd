package testkit

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
)

// Logger returns a logger of all levels whose lines go to tb.Log. Lines that
// come after the test's end are thrown away: tb.Log would panic there.
func Logger(tb testing.TB) *slog.Logger {
	tb.Helper()
	w := &logWriter{tb: tb}
	tb.Cleanup(w.end)
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// logWriter is safe for concurrent use.
type logWriter struct {
	mu    sync.Mutex
	tb    testing.TB
	ended bool
}

func (w *logWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.ended {
		w.tb.Log(strings.TrimRight(string(line), "\n"))
	}
	return len(line), nil
}

func (w *logWriter) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ended = true
}
