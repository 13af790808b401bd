package ops

import (
	"runtime/debug"
	"testing"
)

func TestVersion(t *testing.T) {
	if got := Version("1.2.3"); got != "1.2.3" {
		t.Errorf("got %s, want what the linker wrote", got)
	}
	if got := Version(""); got == "" {
		t.Error("a test binary has no version")
	}
}

func TestBuildVersion(t *testing.T) {
	revision := debug.BuildSetting{Key: "vcs.revision", Value: "0123456789abcdef0123456789abcdef01234567"}
	dirty := debug.BuildSetting{Key: "vcs.modified", Value: "true"}
	for want, info := range map[string]*debug.BuildInfo{
		"v1.4.0":                   {Main: debug.Module{Version: "v1.4.0"}, Settings: []debug.BuildSetting{revision}},
		"devel-0123456789ab":       {Main: debug.Module{Version: "(devel)"}, Settings: []debug.BuildSetting{revision}},
		"devel-0123456789ab-dirty": {Settings: []debug.BuildSetting{revision, dirty}},
		"devel":                    {Main: debug.Module{Version: "(devel)"}},
	} {
		if got := buildVersion(info); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
