package ops

import (
	"fmt"
	"io"
	"log/slog"
)

// NewLogger returns a logger that writes to w. level is "debug", "info" (also
// where it is empty), "warn" or "error". format is "text" or "json"; empty
// means text where w is a terminal, JSON elsewhere.
func NewLogger(w io.Writer, level, format string, terminal bool) (*slog.Logger, error) {
	options := &slog.HandlerOptions{}
	switch level {
	case "debug":
		options.Level = slog.LevelDebug
	case "", "info":
		options.Level = slog.LevelInfo
	case "warn":
		options.Level = slog.LevelWarn
	case "error":
		options.Level = slog.LevelError
	default:
		return nil, fmt.Errorf("log level %q is none of debug, info, warn, error", level)
	}
	if format == "" {
		format = "json"
		if terminal {
			format = "text"
		}
	}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	default:
		return nil, fmt.Errorf("log format %q is neither text nor json", format)
	}
}
