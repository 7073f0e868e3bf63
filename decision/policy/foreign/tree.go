package foreign

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/internal/jsontree"
)

// sink gathers what a translation has to say about the policy at hand.
type sink struct {
	problems []policy.Problem
	policy   string // id of the policy at hand
	errors   int
	// unread are the paths of values that nothing can be made of: nothing more is
	// said about what stands there.
	unread map[string]bool
}

func (s *sink) add(severity policy.Severity, path, code, description string) {
	for at := path; len(s.unread) > 0; at = at[:max(0, strings.LastIndexAny(at, ".["))] {
		if s.unread[at] {
			return
		}
		if at == "" {
			break
		}
	}
	if severity == policy.Error {
		s.errors++
	}
	s.problems = append(s.problems, policy.Problem{Severity: severity, Policy: s.policy, Path: path, Code: code, Description: description})
}

func (s *sink) err(path, code, format string, args ...any) {
	s.add(policy.Error, path, code, fmt.Sprintf(format, args...))
}

// unreadable records that a value is not of the type wanted.
func (s *sink) unreadable(path string, v any, wanted string) {
	s.err(path, policy.CodeInvalid, "is %s, must be %s", nameOf(v), wanted)
	if s.unread == nil {
		s.unread = map[string]bool{}
	}
	s.unread[path] = true
}

func (s *sink) warn(path, code, format string, args ...any) {
	s.add(policy.Warning, path, code, fmt.Sprintf(format, args...))
}

// readTree decodes JSON; a key that stands twice is a problem.
func readTree(data []byte, path string, out *sink) (any, error) {
	return jsontree.Read(data, jsontree.Options{Root: path, Numbers: true, Twice: func(place string) {
		out.err(place, policy.CodeDuplicateKey, "stands twice")
	}})
}

func join(path, key string) string { return jsontree.Join(path, key) }

func index(path string, i int) string { return jsontree.Index(path, i) }

// object is a JSON object whose fields are taken out one by one; done tells of
// those that nobody took.
type object struct {
	out    *sink
	path   string
	fields map[string]any
	known  []string
}

// asObject reports a value that is no object and then acts like an empty one.
func asObject(v any, path string, out *sink) *object {
	fields, ok := v.(map[string]any)
	if !ok {
		out.unreadable(path, v, "an object")
	}
	return &object{out: out, path: path, fields: fields}
}

func nameOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case json.Number, float64:
		return "a number"
	case bool:
		return "a boolean"
	case []any:
		return "a list"
	default:
		return "an object"
	}
}

// take hands out a field under the first of its spellings that is there. null and
// the empty string count as not given. Two spellings that differ are an error.
func (o *object) take(spellings ...string) (v any, path string, ok bool) {
	path = join(o.path, spellings[0])
	for _, name := range spellings {
		o.known = append(o.known, name)
		one, there := o.fields[name]
		if !there || one == nil || one == "" {
			continue
		}
		if ok && !reflect.DeepEqual(v, one) {
			o.out.err(join(o.path, name), policy.CodeInvalid, "is another spelling of %s, which stands here too", path)
		}
		if ok {
			continue
		}
		v, path, ok = one, join(o.path, name), true
	}
	return v, path, ok
}

// text takes a string; numbers, which ids often are, become strings.
func (o *object) text(spellings ...string) (string, bool) {
	v, path, ok := o.take(spellings...)
	if !ok {
		return "", false
	}
	s, isText := textOf(v)
	if !isText {
		o.out.unreadable(path, v, "a string")
	}
	return s, isText
}

func textOf(v any) (string, bool) {
	switch t := v.(type) {
	case string:
		return t, true
	case json.Number:
		return t.String(), true
	}
	return "", false
}

func (o *object) list(spellings ...string) ([]any, string) {
	v, path, ok := o.take(spellings...)
	if !ok {
		return nil, path
	}
	l, isList := v.([]any)
	if !isList {
		o.out.unreadable(path, v, "a list")
	}
	return l, path
}

// done warns of fields that nobody took.
func (o *object) done() {
	for _, key := range sortedKeys(o.fields) {
		if !slices.Contains(o.known, key) {
			o.out.warn(join(o.path, key), CodeNotTaken, "has no counterpart here and is left out")
		}
	}
}

func sortedKeys(m map[string]any) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// wholeTemplate returns the attribute of a text that is nothing but {{attribute}}.
func wholeTemplate(text string) (string, bool) {
	inner, ok := strings.CutPrefix(strings.TrimSpace(text), "{{")
	inner, closed := strings.CutSuffix(inner, "}}")
	inner = strings.TrimSpace(inner)
	return inner, ok && closed && inner != "" && !strings.ContainsAny(inner, "{}")
}
