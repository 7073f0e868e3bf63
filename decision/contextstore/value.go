package contextstore

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"unicode/utf8"
)

// The tags that values begin with. Numbers and lengths follow in binary, so that
// reading costs no parsing, and strings are read without copying them.
const (
	tagNull   = 'n'
	tagTrue   = 't'
	tagFalse  = 'f'
	tagNumber = 'd' // float64, 8 bytes
	tagString = 's' // length, bytes
	tagList   = 'l' // count, values
	tagObject = 'o' // count, then length, bytes and value each, ordered by name
)

// maxDepth bounds how deep lists and objects nest.
const maxDepth = 64

// errRecord is met in a record that no store wrote.
var errRecord = errors.New("contextstore: the record is damaged")

// appendValue encodes a value. The error says what JSON cannot hold; it never
// repeats the value.
func appendValue(b []byte, value any, depth int) ([]byte, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nests deeper than %d", maxDepth)
	}
	switch v := value.(type) {
	case nil:
		return append(b, tagNull), nil
	case bool:
		if v {
			return append(b, tagTrue), nil
		}
		return append(b, tagFalse), nil
	case string:
		if !utf8.ValidString(v) {
			return nil, errors.New("holds text that is not UTF-8")
		}
		return appendText(append(b, tagString), v), nil
	case []any:
		b = binary.AppendUvarint(append(b, tagList), uint64(len(v)))
		for _, item := range v {
			var err error
			if b, err = appendValue(b, item, depth+1); err != nil {
				return nil, err
			}
		}
		return b, nil
	case map[string]any:
		return appendObject(append(b, tagObject), v, depth)
	}
	n, err := number(value)
	if err != nil {
		return nil, err
	}
	return binary.BigEndian.AppendUint64(append(b, tagNumber), math.Float64bits(n)), nil
}

// number takes the numbers that callers hold. All become doubles, as in nearly
// every reader of JSON.
func number(value any) (float64, error) {
	var n float64
	switch v := value.(type) {
	case float64:
		n = v
	case int:
		n = float64(v)
	case int64:
		n = float64(v)
	case json.Number:
		var err error
		if n, err = v.Float64(); err != nil {
			return 0, errors.New("holds a number that is out of range")
		}
	default:
		return 0, fmt.Errorf("holds a %T, which is no JSON", value)
	}
	if math.IsNaN(n) || math.IsInf(n, 0) {
		return 0, errors.New("holds a number that is not finite")
	}
	return n, nil
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendObject(b []byte, m map[string]any, depth int) ([]byte, error) {
	b = binary.AppendUvarint(b, uint64(len(m)))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if !utf8.ValidString(name) {
			return nil, errors.New("holds a name that is not UTF-8")
		}
		var err error
		if b, err = appendValue(appendText(b, name), m[name], depth+1); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// reader takes a record apart. After the first fault it answers zero values.
type reader struct {
	rest string
	bad  bool
}

func (r *reader) fail() { r.bad, r.rest = true, "" }

func (r *reader) take(n uint64) string {
	if n > uint64(len(r.rest)) {
		r.fail()
		return ""
	}
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

func (r *reader) uvarint() uint64 {
	var v uint64
	for shift := 0; shift < 64; shift += 7 {
		if r.rest == "" {
			break
		}
		c := r.rest[0]
		r.rest = r.rest[1:]
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v
		}
	}
	r.fail()
	return 0
}

// count reads how many items follow, each of at least size bytes: a damaged
// record must not make the reader reserve more than there can be.
func (r *reader) count(size uint64) int {
	n := r.uvarint()
	if n > uint64(len(r.rest))/size {
		r.fail()
		return 0
	}
	return int(n) //nolint:gosec // at most the length of a string
}

func (r *reader) text() string {
	s := r.take(r.uvarint())
	if !utf8.ValidString(s) {
		r.fail()
	}
	return s
}

func (r *reader) value(depth int) any {
	tag := r.take(1)
	if r.bad || depth > maxDepth {
		r.fail()
		return nil
	}
	switch tag[0] {
	case tagNull:
		return nil
	case tagTrue:
		return true
	case tagFalse:
		return false
	case tagNumber:
		if raw := r.take(8); !r.bad {
			return math.Float64frombits(binary.BigEndian.Uint64([]byte(raw)))
		}
	case tagString:
		return r.text()
	case tagList:
		list := make([]any, r.count(1))
		for i := range list {
			list[i] = r.value(depth + 1)
		}
		return list
	case tagObject:
		return r.object(depth)
	default:
		r.fail()
	}
	return nil
}

func (r *reader) object(depth int) map[string]any {
	n := r.count(2)
	m := make(map[string]any, n)
	for range n {
		name := r.text()
		m[name] = r.value(depth + 1)
	}
	return m
}

// characters is the length of the properties as compact JSON, in characters. It
// is only counted when size bytes could come out longer than the limit: no byte
// of ours becomes more than 6 characters.
func characters(properties map[string]any, size, limit int) (int, error) {
	if size <= limit/6 {
		return size, nil
	}
	counter := &characterCount{}
	e := json.NewEncoder(counter)
	e.SetEscapeHTML(false)
	if err := e.Encode(properties); err != nil {
		return 0, fmt.Errorf("count characters: %w", err)
	}
	return counter.n - 1, nil // without the line's end
}

// characterCount counts the runes of what is written to it in whole pieces.
type characterCount struct{ n int }

func (c *characterCount) Write(p []byte) (int, error) {
	c.n += utf8.RuneCount(p)
	return len(p), nil
}
