package policytest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/internal/jsontree"
)

// strict decodes JSON and refuses fields that nobody reads, and keys that stand
// twice: a misspelt expectation would be one that always holds. Every fault goes to
// check, with its place; what has none is decoded all the same, so that it can be
// looked at further. It reports whether the text is no JSON at all.
func strict(data []byte, into any, check *fault.Check) (broken bool) {
	d := decoder{check: check}
	tree, err := jsontree.Read(data, jsontree.Options{Numbers: true, Twice: func(place string) { d.fault(place, "stands twice") }})
	if err != nil {
		check.Add("", "is not JSON: %s", err)
		return true
	}
	tree = d.fits("", tree, reflect.TypeOf(into).Elem())
	if d.faults > 0 {
		if data, err = json.Marshal(tree); err != nil {
			return true // a fault was added
		}
	}
	if err := json.Unmarshal(data, into); err != nil {
		check.Add("", "%s", err)
		return true
	}
	return false
}

// decoder compares a document with the Go type that reads it.
type decoder struct {
	check  *fault.Check
	faults int
}

func (d *decoder) fault(at, format string, args ...any) {
	d.faults++
	d.check.Add(at, format, args...)
}

// shorthand is a type that a text stands for, too.
type shorthand interface {
	// full is what it is when it is no text.
	full() reflect.Type
}

// fits adds what keeps a value from being read as the type, and returns the value
// without it.
func (d *decoder) fits(at string, value any, t reflect.Type) any {
	if value == nil || t == reflect.TypeFor[json.RawMessage]() {
		return value
	}
	if short, ok := reflect.TypeAssert[shorthand](reflect.Zero(t)); ok {
		if _, text := value.(string); text {
			return value
		}
		t = short.full()
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return d.leaf(at, value, t)
	}
	switch t.Kind() {
	case reflect.Pointer:
		return d.fits(at, value, t.Elem())
	case reflect.Struct, reflect.Map:
		if object, ok := value.(map[string]any); ok {
			d.members(at, object, t)
			return object
		}
		d.fault(at, "is %s, must be an object {...}", kind(value))
		return nil
	case reflect.Slice:
		list, ok := value.([]any)
		if !ok {
			d.fault(at, "is %s, must be a list [...]", kind(value))
			return nil
		}
		for i := range list {
			list[i] = d.fits(fmt.Sprintf("%s[%d]", at, i), list[i], t.Elem())
		}
		return list
	default:
		return d.leaf(at, value, t)
	}
}

func (d *decoder) members(at string, object map[string]any, t reflect.Type) {
	var known map[string]reflect.Type
	if t.Kind() == reflect.Struct {
		known = fields(t)
	}
	for _, name := range sortedKeys(object) {
		inner, ok := known[name]
		switch {
		case known == nil:
			inner = t.Elem()
		case !ok:
			d.fault(jsontree.Join(at, name), "is not a field here, only %s", strings.Join(sortedKeys(known), ", "))
			delete(object, name)
			continue
		}
		object[name] = d.fits(jsontree.Join(at, name), object[name], inner)
	}
}

// fields are the types of a struct's JSON fields by name.
func fields(t reflect.Type) map[string]reflect.Type {
	out := map[string]reflect.Type{}
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
			out[name] = f.Type
		}
	}
	return out
}

// leaf tries a value that has no members of ours.
func (d *decoder) leaf(at string, value any, t reflect.Type) any {
	text, err := json.Marshal(value)
	if err == nil {
		err = json.Unmarshal(text, reflect.New(t).Interface())
	}
	if err == nil {
		return value
	}
	want := "a whole number"
	switch {
	case t == reflect.TypeFor[time.Time]():
		want = "a time such as 2026-11-23T10:00:00Z"
	case t.Kind() == reflect.String:
		want = "a text"
	case t.Kind() == reflect.Bool:
		want = "true or false"
	case t.Kind() == reflect.Float64:
		want = "a number"
	}
	d.fault(at, "is %s, must be %s", text, want)
	return nil
}

func kind(value any) string {
	switch value.(type) {
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	case string:
		return "a text"
	case json.Number:
		return "a number"
	}
	return "true or false"
}
