package braces

import (
	"slices"
	"testing"
)

func TestSplit(t *testing.T) {
	for text, want := range map[string][]Segment{
		"":               nil,
		"plain":          {{Text: "plain"}},
		"{{a}}":          {{Name: "a"}},
		"hi {{ a.b }}!":  {{Text: "hi "}, {Name: "a.b"}, {Text: "!"}},
		"{{a}}{{b}}":     {{Name: "a"}, {Name: "b"}},
		"{{}} {{ }}":     {{Text: "{{}} {{ }}"}},
		"{{a":            {{Text: "{{a"}},
		"a}} {{b}}":      {{Text: "a}} "}, {Name: "b"}},
		"{{{a}}}":        {{Text: "{{{a}}}"}},
		"{{a}} {{b{c}}":  {{Name: "a"}, {Text: " {{b{c}}"}},
		"é {{naïve}} 日本": {{Text: "é "}, {Name: "naïve"}, {Text: " 日本"}},
	} {
		if got := Split(text); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
