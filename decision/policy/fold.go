package policy

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Folding compares rune by rune under Unicode's simple case folding, as
// strings.EqualFold does, which keeps the number of runes: what follows counts runes
// and makes no copy.

// prefixFold reports whether s begins with part, whatever the case.
func prefixFold(s, part string) bool {
	end := runes(s, utf8.RuneCountInString(part))
	return end >= 0 && strings.EqualFold(s[:end], part)
}

// suffixFold reports whether s ends with part, whatever the case.
func suffixFold(s, part string) bool {
	start := len(s)
	for range utf8.RuneCountInString(part) {
		if start == 0 {
			return false
		}
		_, width := utf8.DecodeLastRuneInString(s[:start])
		start -= width
	}
	return strings.EqualFold(s[start:], part)
}

// containsFold reports whether part is somewhere in s, whatever the case.
func containsFold(s, part string) bool {
	n := utf8.RuneCountInString(part)
	end := runes(s, n)
	if end < 0 {
		return false
	}
	first, _ := utf8.DecodeRuneInString(part)
	first = foldRune(first)
	for start := 0; ; {
		r, width := utf8.DecodeRuneInString(s[start:])
		if (n == 0 || foldRune(r) == first) && strings.EqualFold(s[start:end], part) {
			return true
		}
		if end == len(s) {
			return false
		}
		start += width
		_, width = utf8.DecodeRuneInString(s[end:])
		end += width
	}
}

// runes returns where the first n runes of s end, -1 when it has fewer.
func runes(s string, n int) int {
	at := 0
	for range n {
		if at == len(s) {
			return -1
		}
		_, width := utf8.DecodeRuneInString(s[at:])
		at += width
	}
	return at
}

// foldRune returns the one that stands for all runes which differ in case only.
func foldRune(r rune) rune {
	least := r
	for at := unicode.SimpleFold(r); at != r; at = unicode.SimpleFold(at) {
		least = min(least, at)
	}
	return least
}

// appendFold writes s with every rune folded.
func appendFold(to []byte, s string) []byte {
	for _, r := range s {
		switch {
		case 'a' <= r && r <= 'z':
			to = append(to, byte(r-'a'+'A'))
		case r < utf8.RuneSelf:
			to = append(to, byte(r))
		default:
			to = utf8.AppendRune(to, foldRune(r))
		}
	}
	return to
}

// words is a set of strings, folded or as they are.
type words struct {
	set  map[string]struct{}
	fold bool
}

func (w *words) add(s string) {
	if w.set == nil {
		w.set = map[string]struct{}{}
	}
	if w.fold {
		s = string(appendFold(nil, s))
	}
	w.set[s] = struct{}{}
}

// has allocates nothing for strings of up to 128 bytes.
func (w *words) has(s string) bool {
	if !w.fold {
		_, ok := w.set[s]
		return ok
	}
	var buffer [128]byte
	_, ok := w.set[string(appendFold(buffer[:0], s))]
	return ok
}
