// Package braces splits texts with {{name}} in them.
package braces

import "strings"

// Segment is literal text, or the name of what is to be filled in.
type Segment struct{ Text, Name string }

// Split never fails: braces that name nothing are text. An empty text has no
// segments.
func Split(text string) []Segment {
	var out []Segment
	for {
		before, rest, ok := strings.Cut(text, "{{")
		name, after, closed := strings.Cut(rest, "}}")
		name = strings.TrimSpace(name)
		if !ok || !closed || name == "" || strings.ContainsAny(name, "{}") {
			break
		}
		if before != "" {
			out = append(out, Segment{Text: before})
		}
		out = append(out, Segment{Name: name})
		text = after
	}
	if text != "" {
		out = append(out, Segment{Text: text})
	}
	return out
}
