package console

import "testing"

func TestDuration(t *testing.T) {
	for text, want := range map[string]string{"400d": "9600h0m0s", "36h": "36h0m0s", "1s": "1s"} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || d.String() != want {
			t.Errorf("%s: %v, %v", text, d, err)
		}
	}
	for _, text := range []string{"", "0d", "0s", "-1d", "-1h", "soon", "5", "999999d"} {
		if err := new(Duration).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0 dogs", 1: "1 dog", 2: "2 dogs"} {
		if got := Count(n, "dog", "dogs"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
