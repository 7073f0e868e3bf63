package policy

import (
	"encoding/json"
	"math"
	"strings"
)

// kind is the type of a value as conditions see it.
type kind uint8

const (
	kindMissing kind = iota
	kindString
	kindNumber
	kindBool
	kindList
	kindOther // there, but of no type that a condition can compare
)

func (k kind) String() string {
	switch k {
	case kindMissing:
		return "missing"
	case kindString:
		return "a string"
	case kindNumber:
		return "a number"
	case kindBool:
		return "a boolean"
	case kindList:
		return "a list"
	default:
		return "an object"
	}
}

// from says who brought a value. Its zero value is the request, and the clock.
type from uint8

const (
	fromRequest from = iota
	fromFound
	fromLive
)

// value is a typed union: comparisons never look at the any it came from, CEL
// and traces do.
type value struct {
	kind kind
	from from
	num  float64 // also 1 and 0 of a boolean
	str  string
	raw  any
}

// valueOf types v. Numbers of every Go kind become float64; NaN and infinities
// compare with nothing and count as another type.
func valueOf(v any) value {
	switch t := v.(type) {
	case nil:
		return value{}
	case string:
		return value{kind: kindString, str: t, raw: v}
	case float64:
		return numberOf(t, v)
	case bool:
		return boolOf(t, v)
	case []any:
		return value{kind: kindList, raw: v}
	case int:
		return numberOf(float64(t), float64(t))
	case int64:
		return numberOf(float64(t), float64(t))
	case int32:
		return numberOf(float64(t), float64(t))
	case float32:
		return numberOf(float64(t), float64(t))
	case []string:
		list := make([]any, len(t))
		for i, s := range t {
			list[i] = s
		}
		return value{kind: kindList, raw: list}
	case json.Number:
		f, err := t.Float64()
		if err != nil {
			return value{kind: kindOther, raw: v}
		}
		return numberOf(f, f)
	default:
		return value{kind: kindOther, raw: v}
	}
}

func numberOf(f float64, raw any) value {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return value{kind: kindOther, raw: raw}
	}
	return value{kind: kindNumber, num: f, raw: raw}
}

func boolOf(b bool, raw any) value {
	if b {
		return value{kind: kindBool, num: 1, raw: raw}
	}
	return value{kind: kindBool, raw: raw}
}

// list returns the elements; only for kindList.
func (v *value) list() []any {
	l, _ := v.raw.([]any)
	return l
}

func (v *value) scalar() bool {
	return v.kind == kindString || v.kind == kindNumber || v.kind == kindBool
}

// same reports equality of two values of one scalar kind.
func (v *value) same(o *value) bool {
	if v.kind != o.kind || !v.scalar() {
		return false
	}
	if v.kind == kindString {
		return v.str == o.str
	}
	return v.num == o.num
}

// truth is three-valued, ordered so that AND is min, OR is max and NOT is 2-x.
type truth int8

const (
	isFalse truth = iota
	isUnknown
	isTrue
)

func truthOf(b bool) truth {
	if b {
		return isTrue
	}
	return isFalse
}

func negate(t truth) truth { return isTrue - t }

// alike reports equality of two values of one scalar kind, of strings without
// regard to case when fold is set.
func alike(a, b *value, fold bool) bool {
	if fold && a.kind == kindString && b.kind == kindString {
		return strings.EqualFold(a.str, b.str)
	}
	return a.same(b)
}

func equalTo(fold bool) func(a, b *value) truth {
	return func(a, b *value) truth {
		if !a.scalar() || a.kind != b.kind {
			return isUnknown
		}
		return truthOf(alike(a, b, fold))
	}
}

// order compares two numbers or two strings; ok is false for anything else.
func order(a, b *value) (sign int, ok bool) {
	if a.kind != b.kind {
		return 0, false
	}
	switch a.kind {
	case kindNumber:
		switch {
		case a.num < b.num:
			return -1, true
		case a.num > b.num:
			return 1, true
		}
		return 0, true
	case kindString:
		return strings.Compare(a.str, b.str), true
	default:
		return 0, false
	}
}

// memberOf reports whether a is an element of the list b.
func memberOf(fold bool) func(a, b *value) truth {
	return func(a, b *value) truth {
		if !a.scalar() || b.kind != kindList {
			return isUnknown
		}
		return truthOf(contained(a, b.list(), fold))
	}
}

// contains reports whether the string or list a holds b.
func contains(fold bool) func(a, b *value) truth {
	member, part := memberOf(fold), textual(either(fold, containsFold, strings.Contains))
	return func(a, b *value) truth {
		if a.kind == kindList {
			return member(b, a)
		}
		return part(a, b)
	}
}
