// Package jsontree reads JSON as a tree of maps, lists and scalars and knows the
// place of everything in it. encoding/json silently keeps the last of two equal
// keys; here the reader is told, for the condition that would be lost might be the
// one that matters.
package jsontree

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// MaxDepth is how deep a document may nest.
const MaxDepth = 100

// Options say how to read. The zero value reads like encoding/json.
type Options struct {
	// Root is the place of the whole document, empty for none.
	Root string
	// Numbers keeps numbers as json.Number, as they are written: an id of twenty
	// digits must not lose its last ones. They are float64 otherwise.
	Numbers bool
	// At, when set, is called with each place in the order of the document.
	At func(place string)
	// Twice, when set, is called with the place of each key that stands twice.
	Twice func(place string)
}

// Read reads one document, with nothing behind it. Objects become map[string]any,
// lists []any. Errors say at which byte the text stops being JSON.
func Read(data []byte, o Options) (any, error) {
	r := reader{dec: json.NewDecoder(bytes.NewReader(data)), o: o}
	if o.Numbers {
		r.dec.UseNumber()
	}
	tree, err := r.value(o.Root, 0)
	if err != nil {
		return nil, err
	}
	if _, err := r.dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the document")
	}
	return tree, nil
}

// Join is the place of a field: "a.b", or "b" at the root.
func Join(place, key string) string {
	if place == "" {
		return key
	}
	return place + "." + key
}

// Index is the place of a list's element: "a[0]".
func Index(place string, i int) string { return place + "[" + strconv.Itoa(i) + "]" }

type reader struct {
	dec *json.Decoder
	o   Options
}

func (r *reader) value(place string, depth int) (any, error) {
	if depth > MaxDepth {
		return nil, fmt.Errorf("nested more than %d deep", MaxDepth)
	}
	if r.o.At != nil {
		r.o.At(place)
	}
	token, err := r.token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		return r.object(place, depth)
	case json.Delim('['):
		return r.array(place, depth)
	}
	return token, nil
}

func (r *reader) object(place string, depth int) (any, error) {
	out := map[string]any{}
	for r.dec.More() {
		token, err := r.token()
		if err != nil {
			return nil, err
		}
		key, _ := token.(string)
		at := Join(place, key)
		v, err := r.value(at, depth+1)
		if err != nil {
			return nil, err
		}
		if _, twice := out[key]; twice && r.o.Twice != nil {
			r.o.Twice(at)
		}
		out[key] = v
	}
	_, err := r.token()
	return out, err
}

func (r *reader) array(place string, depth int) (any, error) {
	out := []any{}
	for r.dec.More() {
		v, err := r.value(Index(place, len(out)), depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	_, err := r.token()
	return out, err
}

func (r *reader) token() (json.Token, error) {
	token, err := r.dec.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("at byte %d: %w", r.dec.InputOffset(), err)
	}
	return token, nil
}
