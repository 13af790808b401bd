package ops

import (
	"bytes"
	"strings"
	"testing"
)

func TestNewLogger(t *testing.T) {
	for name, tc := range map[string]struct {
		level, format string
		terminal      bool
		want          string
	}{
		"json_where_nobody_watches": {"", "", false, `"level":"INFO","msg":"shown"`},
		"text_on_a_terminal":        {"", "", true, "level=INFO msg=shown"},
		"json_on_a_terminal":        {"info", "json", true, `"level":"INFO","msg":"shown"`},
		"text_in_a_file":            {"debug", "text", false, "level=DEBUG msg=hidden"},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			logger, err := NewLogger(&out, tc.level, tc.format, tc.terminal)
			if err != nil {
				t.Fatal(err)
			}
			logger.Debug("hidden")
			logger.Info("shown")
			if !strings.Contains(out.String(), tc.want) {
				t.Errorf("%q is not in %s", tc.want, out.String())
			}
			if tc.level != "debug" && strings.Contains(out.String(), "hidden") {
				t.Error("debug lines are shown")
			}
		})
	}
	t.Run("levels_hide_what_is_below_them", func(t *testing.T) {
		for level, want := range map[string]int{"debug": 4, "info": 3, "warn": 2, "error": 1} {
			var out bytes.Buffer
			logger, err := NewLogger(&out, level, "text", false)
			if err != nil {
				t.Fatal(err)
			}
			logger.Debug("a")
			logger.Info("b")
			logger.Warn("c")
			logger.Error("d")
			if got := strings.Count(out.String(), "\n"); got != want {
				t.Errorf("%s: %d lines, want %d", level, got, want)
			}
		}
	})
	t.Run("refuses_what_it_does_not_know", func(t *testing.T) {
		if _, err := NewLogger(&bytes.Buffer{}, "verbose", "", false); err == nil {
			t.Error("level verbose passes")
		}
		if _, err := NewLogger(&bytes.Buffer{}, "info", "yaml", false); err == nil {
			t.Error("format yaml passes")
		}
	})
}
