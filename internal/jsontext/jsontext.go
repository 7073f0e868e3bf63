// Package jsontext appends the JSON of strings and numbers that every encoder writes
// alike, for writers by hand that leave the rest to a library. Its functions may be
// used by any number of goroutines.
package jsontext

import (
	"math"
	"strconv"
)

// AppendString appends s in quotes. It appends nothing and returns false when s has a
// byte that one encoder or another escapes.
func AppendString(buf []byte, s string) ([]byte, bool) {
	for i := range len(s) {
		if !isPlain(s[i]) {
			return buf, false
		}
	}
	buf = append(buf, '"')
	buf = append(buf, s...)
	return append(buf, '"'), true
}

// AppendNumber appends a whole number of up to 15 digits, which looks alike in every
// notation. It appends nothing and returns false for any other, -0 among them.
func AppendNumber(buf []byte, f float64) ([]byte, bool) {
	if n := int64(f); float64(n) == f && -1e15 < f && f < 1e15 && (f != 0 || !math.Signbit(f)) {
		return strconv.AppendInt(buf, n, 10), true
	}
	return buf, false
}

// Bits of the bytes that json.Marshal and protojson write as they are: printable ASCII
// without quote, backslash, <, > and &.
const (
	plainLow  uint64 = 0xafffffbb00000000 // of bytes 0 to 63
	plainHigh uint64 = 0x7fffffffefffffff // of bytes 64 to 127
)

func isPlain(c byte) bool {
	return c < 64 && plainLow>>c&1 != 0 || c >= 64 && c < 128 && plainHigh>>(c-64)&1 != 0
}
