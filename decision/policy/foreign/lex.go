package foreign

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// tokenKind is the kind of one word of an expression.
type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenName
	tokenNumber
	tokenString
	tokenSign // operators, brackets, commas
	tokenBad  // told already
)

// token is one word; text is a keyword in lower case, a sign, or a name as it
// stands.
type token struct {
	kind   tokenKind
	text   string
	number float64
	at     int  // byte offset
	tight  bool // no space before it
}

// syntaxError is a fault of an expression at a byte offset.
type syntaxError struct {
	at   int
	text string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("at character %d: %s", e.at+1, e.text) }

// signs are the operators of more than one byte, then those of one.
func signs() []string {
	return []string{"==", "!=", ">=", "<=", "<>", "&&", "||", "=", ">", "<", "+", "-", "*", "/", "%", "^", "!", "(", ")", "[", "]", ","}
}

// lex cuts an expression into words. What is no word is a bad one, with its fault.
func lex(text string) (out []token, faults []*syntaxError) {
	all := signs()
	for at := 0; ; {
		start := at
		for at < len(text) && strings.IndexByte(" \t\r\n", text[at]) >= 0 {
			at++
		}
		if at == len(text) {
			return append(out, token{kind: tokenEnd, at: at}), faults
		}
		t, next, fault := word(text, at, all)
		if fault != nil {
			faults = append(faults, fault)
		}
		t.at, t.tight = at, at == start && at > 0
		out = append(out, t)
		at = next
	}
}

// word reads the word at a byte offset, and the offset after it.
func word(text string, at int, all []string) (token, int, *syntaxError) {
	c := text[at]
	switch {
	case c == '\'' || c == '"':
		return quoted(text, at)
	case isDigit(c) || c == '.' && at+1 < len(text) && isDigit(text[at+1]):
		return number(text, at)
	case isLetter(c):
		end := nameEnd(text, at)
		return token{kind: tokenName, text: text[at:end]}, end, nil
	case strings.HasPrefix(text[at:], "{{"):
		// {{name}} is how an attribute is written outside of expressions, and the
		// only way to write one whose name holds a space or a hyphen.
		name, _, closed := strings.Cut(text[at+2:], "}}")
		if trimmed := strings.TrimSpace(name); closed && trimmed != "" && !strings.ContainsAny(trimmed, "{}") {
			return token{kind: tokenName, text: trimmed}, at + 2 + len(name) + 2, nil
		}
		return token{kind: tokenBad}, at + 2, &syntaxError{at, "{{ is not closed by }} around a name"}
	}
	for _, s := range all {
		if strings.HasPrefix(text[at:], s) {
			return token{kind: tokenSign, text: s}, at + len(s), nil
		}
	}
	r, size := utf8.DecodeRuneInString(text[at:])
	return token{kind: tokenBad}, at + size, &syntaxError{at, fmt.Sprintf("%q has no meaning here", r)}
}

func quoted(text string, at int) (token, int, *syntaxError) {
	quote := text[at]
	var b strings.Builder
	for i := at + 1; i < len(text); i++ {
		switch {
		case text[i] == quote:
			return token{kind: tokenString, text: b.String()}, i + 1, nil
		case text[i] == '\\' && i+1 < len(text) && (text[i+1] == quote || text[i+1] == '\\'):
			i++
		}
		b.WriteByte(text[i])
	}
	return token{kind: tokenBad}, len(text), &syntaxError{at, "the string is not closed"}
}

func number(text string, at int) (token, int, *syntaxError) {
	end := at
	for end < len(text) && (isDigit(text[end]) || text[end] == '.') {
		end++
	}
	end = exponentEnd(text, end)
	f, err := strconv.ParseFloat(text[at:end], 64)
	if err != nil {
		return token{kind: tokenBad}, end, &syntaxError{at, fmt.Sprintf("%q is not a number", text[at:end])}
	}
	if end < len(text) && isLetter(text[end]) {
		end = nameEnd(text, end)
		return token{kind: tokenBad}, end, &syntaxError{at, fmt.Sprintf("%q is neither a number nor a name", text[at:end])}
	}
	return token{kind: tokenNumber, text: text[at:end], number: f}, end, nil
}

// exponentEnd skips an exponent; the letter e without digits after it is none.
func exponentEnd(text string, at int) int {
	if at == len(text) || text[at] != 'e' && text[at] != 'E' {
		return at
	}
	digits := at + 1
	if digits < len(text) && (text[digits] == '+' || text[digits] == '-') {
		digits++
	}
	end := digits
	for end < len(text) && isDigit(text[end]) {
		end++
	}
	if end == digits {
		return at
	}
	return end
}

// nameEnd finds the end of a dotted name. After a dot a part may begin with a
// digit: skills are often numbers.
func nameEnd(text string, at int) int {
	for at < len(text) && (isLetter(text[at]) || isDigit(text[at]) ||
		text[at] == '.' && at+1 < len(text) && (isLetter(text[at+1]) || isDigit(text[at+1]))) {
		at++
	}
	return at
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// isLetter takes every byte of a character outside of ASCII for a letter.
func isLetter(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c == '$' || c >= utf8.RuneSelf
}
