package main

import (
	"strconv"
	"strings"
	"unicode"
)

// shown is a text of a caller for a terminal: on one line, with what does not
// print escaped, so that an id cannot move the cursor, colour the screen or forge
// a line of the answer.
func shown(text string) string {
	clean := !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) || r == unicode.ReplacementChar })
	if clean {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		quoted := strconv.QuoteRune(r)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}

// printable escapes the texts among the arguments of a format.
func printable(args []any) []any {
	for i, arg := range args {
		if text, ok := arg.(string); ok {
			args[i] = shown(text)
		}
	}
	return args
}
