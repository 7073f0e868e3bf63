package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/go-faster/jx"

	"github.com/usherhq/usher/internal/fault"
)

// The readers below are written by hand because decoding bounds how fast a
// partition can be read: they are several times faster than reflection. A test
// holds them to encoding/json, field for field. As there, null leaves a field
// alone, unknown fields are skipped and the last of two equal keys wins; unlike
// there, names match exactly.

// readJSON reads one document that must fill data to its end.
func readJSON[T any](data []byte, read func(*jx.Decoder, *T) error) (*T, error) {
	d := jx.GetDecoder()
	defer jx.PutDecoder(d)
	d.ResetBytes(data)
	v := new(T)
	err := read(d, v)
	if err == nil {
		if end := d.Skip(); !errors.Is(end, io.EOF) {
			err = errors.New("data follows the document")
		}
	}
	if err != nil {
		return nil, jsonFault(data, err)
	}
	return v, nil
}

// jsonFault tells broken JSON from sound JSON with a value of the wrong type.
// Only poison events pay for the second look.
func jsonFault(data []byte, err error) *DecodeError {
	if !json.Valid(data) {
		return &DecodeError{Reason: ReasonMalformed, Detail: "not a JSON document: " + err.Error(), Cause: err}
	}
	if at, ok := errors.AsType[*fieldError](err); ok {
		return &DecodeError{Reason: ReasonField, Field: at.path, Detail: at.cause.Error(), Cause: err}
	}
	return &DecodeError{Reason: ReasonField, Detail: err.Error(), Cause: err}
}

func invalid(err error) *DecodeError {
	out := &DecodeError{Reason: ReasonInvalid, Detail: err.Error(), Cause: err}
	if f, ok := errors.AsType[*fault.Error](err); ok && len(f.Violations) > 0 {
		out.Field = f.Violations[0].Field
	}
	return out
}

// fieldError carries the path of the field that could not be read.
type fieldError struct {
	path  string
	cause error
}

func (e *fieldError) Error() string { return e.path + ": " + e.cause.Error() }
func (e *fieldError) Unwrap() error { return e.cause }

func at(field string, err error) error {
	if err == nil {
		return nil
	}
	if inner, ok := errors.AsType[*fieldError](err); ok {
		return &fieldError{field + "." + inner.path, inner.cause}
	}
	return &fieldError{field, err}
}

// object reads an object field by field; null reads as an empty one.
func object(d *jx.Decoder, field func(d *jx.Decoder, key []byte) error) error {
	if d.Next() == jx.Null {
		return d.Null()
	}
	return d.ObjBytes(func(d *jx.Decoder, key []byte) error {
		if d.Next() == jx.Null {
			return d.Null()
		}
		if err := field(d, key); err != nil {
			return at(string(key), err)
		}
		return nil
	})
}

// list reads an array element by element into a fresh slice; null gives nil.
func list[T any](d *jx.Decoder, into *[]T, read func(*jx.Decoder, *T) error) error {
	out := []T{}
	err := d.Arr(func(d *jx.Decoder) error {
		var v T
		if d.Next() == jx.Null {
			if err := d.Null(); err != nil {
				return err
			}
		} else if err := read(d, &v); err != nil {
			return err
		}
		out = append(out, v)
		return nil
	})
	*into = out
	return err
}

// dict reads an object into a fresh map.
func dict[T any](d *jx.Decoder, into *map[string]T, read func(*jx.Decoder, *T) error) error {
	out := map[string]T{}
	err := d.ObjBytes(func(d *jx.Decoder, key []byte) error {
		name := string(key)
		var v T
		if d.Next() == jx.Null {
			if err := d.Null(); err != nil {
				return err
			}
		} else if err := read(d, &v); err != nil {
			return at(name, err)
		}
		out[name] = v
		return nil
	})
	*into = out
	return err
}

func readString(d *jx.Decoder, into *string) (err error) {
	*into, err = d.Str()
	return err
}

// readFloat reads the text itself: the library's own float reader takes 1+0 for
// a number, its skipper knows the grammar.
func readFloat(d *jx.Decoder, into *float64) error {
	if kind := d.Next(); kind != jx.Number {
		return fmt.Errorf("is a JSON %s, want a number", kind)
	}
	raw, err := d.Raw()
	if err != nil {
		return err
	}
	if f, ok := shortFloat(raw); ok {
		*into = f
		return nil
	}
	*into, err = strconv.ParseFloat(string(raw), 64)
	return err
}

// shortFloat reads plain decimals of up to 15 digits exactly and without an
// allocation: such a mantissa and such a power of ten are both exact floats, so
// their quotient is correctly rounded.
func shortFloat(raw []byte) (float64, bool) {
	digits := raw
	if digits[0] == '-' {
		digits = digits[1:]
	}
	if len(digits) > 16 {
		return 0, false
	}
	var mantissa int64
	scale, fraction := 1.0, false
	for _, c := range digits {
		switch {
		case c == '.':
			fraction = true
		case c < '0' || c > '9':
			return 0, false
		default:
			mantissa = mantissa*10 + int64(c-'0')
			if fraction {
				scale *= 10
			}
		}
	}
	if mantissa >= 1<<53 {
		return 0, false
	}
	f := float64(mantissa) / scale
	if len(digits) < len(raw) {
		f = -f
	}
	return f, true
}

func readBool(d *jx.Decoder, into *bool) (err error) {
	*into, err = d.Bool()
	return err
}

func readInt(d *jx.Decoder, into *int) (err error) {
	*into, err = d.Int()
	return err
}

func readInt64(d *jx.Decoder, into *int64) (err error) {
	*into, err = d.Int64()
	return err
}

func readTime(d *jx.Decoder, into *time.Time) error {
	text, err := d.StrBytes()
	if err != nil {
		return err
	}
	if err := into.UnmarshalText(text); err != nil {
		return err
	}
	*into = into.UTC()
	return nil
}

// readAny reads any JSON value as string, float64, bool, nil, []any or
// map[string]any.
func readAny(d *jx.Decoder, into *any) error {
	switch d.Next() {
	case jx.String:
		s, err := d.Str()
		*into = s
		return err
	case jx.Number:
		var f float64
		err := readFloat(d, &f)
		*into = f
		return err
	case jx.Bool:
		b, err := d.Bool()
		*into = b
		return err
	case jx.Null:
		*into = nil
		return d.Null()
	case jx.Array:
		var l []any
		err := list(d, &l, readAny)
		*into = l
		return err
	case jx.Object:
		var m map[string]any
		err := dict(d, &m, readAny)
		*into = m
		return err
	default:
		return d.Skip() // reports what is wrong with the text
	}
}
