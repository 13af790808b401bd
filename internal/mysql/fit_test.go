package mysql

import (
	"slices"
	"strings"
	"testing"
	"time"

	"sidestream/replicator"
)

func TestReplaceUnsupported(t *testing.T) {
	const text = "a ü € ‚Ÿ\u0081 мир \U0001F451 \uFFFD"
	for charset, want := range map[string]string{
		"utf8mb4": text,
		"utf8mb3": "a ü € ‚Ÿ\u0081 мир \uFFFD \uFFFD",
		"utf8":    "a ü € ‚Ÿ\u0081 мир \uFFFD \uFFFD",
		"latin1":  "a ü € ‚Ÿ\u0081 ??? ? ?",
		"ascii":   "a ? ? ??? ??? ? ?",
		"cp1251":  text, // not known here: the server decides
		"":        text,
	} {
		t.Run("of_"+charset, func(t *testing.T) {
			if got := replaceUnsupported(text, charset); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestCutTo(t *testing.T) {
	for name, tt := range map[string]struct {
		value string
		c     column
		want  string
	}{
		"what_fits_stays":                 {"äöü", column{limit: 3}, "äöü"},
		"characters_are_counted":          {"äöüx", column{limit: 3}, "äöü"},
		"bytes_are_counted_for_text":      {"äöü", column{limit: 5, inBytes: true}, "äö"},
		"text_that_fits_stays":            {"äöü", column{limit: 6, inBytes: true}, "äöü"},
		"no_character_is_cut_through":     {"\U0001F451\U0001F451", column{limit: 7, inBytes: true}, "\U0001F451"},
		"less_than_one_character_is_none": {"\U0001F451", column{limit: 3, inBytes: true}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := cutTo(tt.value, tt.c); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestMaxOf(t *testing.T) {
	for columnType, want := range map[string]float64{
		"int(11)": 2147483647, "int": 2147483647, "int(10) unsigned": 4294967295, "int unsigned": 4294967295, "smallint(6)": 32767,
		"mediumint unsigned": 16777215, "tinyint": 127, "bigint(20)": 9223372036854775807, "varchar(36)": 0, "decimal(10,0)": 0,
	} {
		if got := maxOf(columnType); got != want {
			t.Errorf("%s: %v, want %v", columnType, got, want)
		}
	}
}

func TestAnchors(t *testing.T) {
	all := []replicator.Anchor{{Position: 1, Hash: "00aa"}, {Position: 9_000_000_000_000_000_000, Hash: "ffff"}}
	for _, anchors := range [][]replicator.Anchor{nil, all} {
		got, err := decodeAnchors(encodeAnchors(anchors))
		if err != nil || !slices.Equal(got, anchors) {
			t.Errorf("got %v, %v; want %v", got, err, anchors)
		}
	}
	for _, text := range []string{"", "x", "{}", "[1]", `[["1","a"]]`, `[[1,2]]`} {
		if got, err := decodeAnchors(text); err == nil {
			t.Errorf("%s is read as %v", text, got)
		}
	}
}

func TestGrants(t *testing.T) {
	all := strings.Join(Grants("c`rm", "messages", "state", `o'brien\`), "\n")
	for _, want := range []string{"ON `c``rm`.`messages` TO 'o''brien\\\\'@'%'", "ON `state`.`sidestream_cursor` TO"} {
		if !strings.Contains(all, want) {
			t.Errorf("%s lacks %s", all, want)
		}
	}
}

func TestLockWait(t *testing.T) {
	for seconds, want := range map[int]int{60: 5, 10: 5, 8: 4, 3: 1, 1: 1} {
		if got := lockWait(time.Duration(seconds) * time.Second); got != want {
			t.Errorf("read timeout %d s: %d s, want %d", seconds, got, want)
		}
	}
}
