package simulate

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
)

// longText is the length in bytes of a long text: far beyond what people may
// send, well inside a MySQL TEXT.
const longText = 20_000

// pick returns one of the choices.
func pick[T any](rng *rand.Rand, choices ...T) T { return choices[rng.IntN(len(choices))] }

// numbered ends a text with its number, which makes it unlike any other.
func numbered(text string, number int) string { return fmt.Sprintf("%s #%06d", text, number) }

// plainText is ASCII without anything that needs escaping.
func plainText(rng *rand.Rand) string {
	return pick(rng,
		"Hello, is this still available?",
		"Thanks, that was quick.",
		"How much is shipping to Lyon?",
		"I ordered on Monday and have heard nothing since.",
		"ok",
		"Do you open on Sundays",
	)
}

// anyText is what people really write.
func anyText(rng *rand.Rand) string {
	return pick(rng,
		plainText(rng),
		"Love it \U0001F60D\U0001F525 \U0001F468\u200D\U0001F469\u200D\U0001F467 \U0001F1E9\U0001F1EA",
		"\u2764\uFE0F",
		"Здравствуйте, сколько стоит доставка?",
		"\u0645\u0631\u062D\u0628\u0627\u060C \u0643\u0645 \u0627\u0644\u0633\u0639\u0631\u061F",
		"\u202B\u05E9\u05DC\u05D5\u05DD (left and right)\u202C",
		"いつ届きますか",
		"cafe\u0301 or caf\u00E9, stra\u00DFe or STRASSE",
		"she said \"yes\", then 'no', then `maybe`",
		`C:\new\table \\ \" \' \0 \u0041 %s %_ {}`,
		"'; DROP TABLE messages; -- /* */",
		"<b>bold</b> &amp; me@example.com http://example.com/a/b?c=d",
		"line one\nline two\r\n\ttabbed\u2028separated",
		"  leading, trailing and zero\u200Bwidth\u00A0 ",
		"[image] https://example.com/not-an-attachment",
		"[message unsent]",
	)
}

// hardText is legal JSON that breaks careless programs: NUL and other control
// characters, and half of a surrogate pair, which JSON can say and UTF-8
// cannot. It returns the text on the wire and the text that it stands for.
func hardText(rng *rand.Rand, number int) (wire json.RawMessage, text string) {
	form := pick(rng,
		`before\u0000after`,
		`\u0000`,
		`bell\u0007 backspace\b escape\u001b delete\u007f`,
		`half \ud83d of an emoji`,
		`the other half \ude00`,
		`no character \uffff\ufffe`,
	)
	wire = json.RawMessage(`"` + numbered(form, number) + `"`)
	if err := json.Unmarshal(wire, &text); err != nil {
		panic("simulate: hard text: " + err.Error()) // Only the constants above come here.
	}
	return wire, text
}

// veryLongText is longText bytes of one alphabet.
func veryLongText(rng *rand.Rand) string {
	word := pick(rng, "long ", "длинно ", "\U0001F40D\U0001F40D ")
	return strings.Repeat(word, longText/len(word))
}
