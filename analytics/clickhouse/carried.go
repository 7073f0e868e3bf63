package clickhouse

import (
	"encoding/binary"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/usherhq/usher/pipeline/event"
)

// maxCarried bounds what is looked at in one dead letter.
const maxCarried = 10_000

// carried lists the texts in a dead letter that may be ids: of JSON every string, of
// a protobuf message every field that is text, of anything else its words.
func carried(d *event.DeadLetter) []string {
	c := carrier{seen: map[string]bool{}}
	c.text(string(d.Key))
	for _, value := range d.Headers {
		c.text(value)
	}
	c.words(d.Detail)
	var document any
	if json.Unmarshal(d.Value, &document) == nil {
		c.json(document)
	} else {
		c.fields(d.Value, 0)
		c.words(string(d.Value))
	}
	return c.found
}

type carrier struct {
	found []string
	seen  map[string]bool
}

func (c *carrier) text(s string) {
	if s != "" && len(c.found) < maxCarried && !c.seen[s] {
		c.seen[s] = true
		c.found = append(c.found, s)
	}
}

func (c *carrier) json(v any) {
	switch v := v.(type) {
	case string:
		c.text(v)
		var inner any // a document inside a text
		if strings.HasPrefix(v, "{") && json.Unmarshal([]byte(v), &inner) == nil {
			c.json(inner)
		}
	case []any:
		for _, one := range v {
			c.json(one)
		}
	case map[string]any:
		for key, one := range v {
			c.text(key)
			c.json(one)
		}
	}
}

// words takes what stands between characters that ids hardly have, whole and in parts.
func (c *carrier) words(s string) {
	for word := range strings.FieldsFuncSeq(s, func(r rune) bool {
		return r <= ' ' || r == utf8.RuneError || strings.ContainsRune(`"'{}[]()<>,;`, r)
	}) {
		c.text(word)
		for part := range strings.FieldsFuncSeq(word, func(r rune) bool { return strings.ContainsRune("=:/&?#|", r) }) {
			c.text(part)
		}
	}
}

// maxNesting bounds the messages inside of messages.
const maxNesting = 8

// fields walks what may be a protobuf message, without its description.
func (c *carrier) fields(b []byte, depth int) {
	for len(b) > 0 && depth < maxNesting {
		tag, n := binary.Uvarint(b)
		if n <= 0 || tag>>3 == 0 {
			return
		}
		b = b[n:]
		switch tag & 7 {
		case 0:
			if _, n = binary.Uvarint(b); n <= 0 {
				return
			}
		case 1:
			n = 8
		case 5:
			n = 4
		case 2:
			length, used := binary.Uvarint(b)
			if used <= 0 || length > uint64(len(b)-used) {
				return
			}
			n = used + int(length) //nolint:gosec // within b
			if inner := b[used:n]; utf8.Valid(inner) {
				c.text(string(inner))
			}
			c.fields(b[used:n], depth+1)
		default:
			return
		}
		if n > len(b) {
			return
		}
		b = b[n:]
	}
}
