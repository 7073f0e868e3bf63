package function

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/usherhq/usher/internal/braces"
)

// Template is a text with {{name}} in it. The zero value is the empty text. It
// is immutable.
type Template struct{ segments []braces.Segment }

// ParseTemplate never fails: braces that name nothing are text.
func ParseTemplate(text string) Template { return Template{segments: braces.Split(text)} }

// Names lists what the template needs, each once.
func (t Template) Names() []string {
	var out []string
	for _, s := range t.segments {
		if s.Name != "" && !slices.Contains(out, s.Name) {
			out = append(out, s.Name)
		}
	}
	return out
}

// Value fills the template. One that is nothing but one name keeps the type of
// the value, nil when lookup has none; anything else is text.
func (t Template) Value(lookup func(name string) (any, bool)) any {
	if len(t.segments) == 1 && t.segments[0].Name != "" {
		v, ok := lookup(t.segments[0].Name)
		if !ok {
			return nil
		}
		return v
	}
	return t.text(func(name string) string {
		v, _ := lookup(name)
		return spell(v)
	})
}

func (t Template) text(fill func(name string) string) string {
	var b strings.Builder
	for _, s := range t.segments {
		if s.Name == "" {
			b.WriteString(s.Text)
			continue
		}
		b.WriteString(fill(s.Name))
	}
	return b.String()
}

// spell writes a value as people would; nothing for nil.
func spell(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	default:
		data, err := json.Marshal(v)
		if err != nil {
			return ""
		}
		return string(data)
	}
}

// Select takes a part of a result by a dotted path of names and list indexes; an
// empty path is the whole. ok is false when there is nothing.
func Select(v any, path string) (part any, ok bool) {
	if path == "" {
		return v, v != nil
	}
	for name := range strings.SplitSeq(path, ".") {
		switch box := v.(type) {
		case map[string]any:
			v = box[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(box) {
				return nil, false
			}
			v = box[i]
		default:
			return nil, false
		}
	}
	return v, v != nil
}
