package rpc

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"unicode"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// explainBody names the field because of which a JSON body could not be read.
// The codec tells a line and a column, which is of little use to a program.
func explainBody(body []byte, v any, cause error) error {
	problem := strings.TrimSpace(strings.ReplaceAll(cause.Error(), "\u00a0", " "))
	problem = strings.TrimPrefix(problem, "proto: ")
	var doc any
	if err := json.Unmarshal(body, &doc); err != nil {
		return fmt.Errorf("%sbody%s%s", bodyMark, bodyMark, "not valid JSON: "+err.Error())
	}
	if m := messageOf(v); m != nil {
		if field, why := misfit(doc, m.ProtoReflect().Descriptor(), ""); why != "" {
			return fmt.Errorf("%s%s%s%s", bodyMark, field, bodyMark, why)
		}
	}
	return fmt.Errorf("%sbody%s%s", bodyMark, bodyMark, problem)
}

// bodyMark sets the field apart in the text of an error: text is all that the
// generated gateway code keeps of one.
const bodyMark = "\x1f"

// splitBodyError takes the text of an error of the gateway apart into field and
// problem.
func splitBodyError(text string) (field, problem string) {
	parts := strings.SplitN(text, bodyMark, 3)
	if len(parts) == 3 {
		return parts[1], parts[2]
	}
	// A query parameter: parsing field "page_size": strconv.ParseInt: ...
	if _, rest, ok := strings.Cut(text, `parsing field "`); ok {
		if field, _, ok := strings.Cut(rest, `"`); ok {
			return field, "has a value that cannot be read" + queryHint(text)
		}
	}
	return "request", text
}

// queryHint shows how a time or a duration is written, told by the complaint about
// the one that was sent.
func queryHint(complaint string) string {
	switch {
	case strings.Contains(complaint, "parsing time"), strings.Contains(complaint, "Timestamp"):
		return "; write a time as RFC 3339 such as 2026-11-22T10:00:00Z"
	case strings.Contains(complaint, "time: "), strings.Contains(complaint, "Duration"):
		return "; write a duration in seconds such as 0.02s"
	}
	return ""
}

// messageOf finds the message that v is, or points to.
func messageOf(v any) proto.Message {
	if m, ok := v.(proto.Message); ok {
		return m
	}
	t := reflect.TypeOf(v)
	if t == nil || t.Kind() != reflect.Pointer || t.Elem().Kind() != reflect.Pointer {
		return nil
	}
	m, _ := reflect.TypeAssert[proto.Message](reflect.New(t.Elem().Elem()))
	return m
}

// fill returns the message that v is, or points to; in the latter case there is
// one afterwards. Nil when v is something else.
func fill(v any) proto.Message {
	if m, ok := v.(proto.Message); ok {
		return m
	}
	m := messageOf(v)
	if m != nil {
		reflect.ValueOf(v).Elem().Set(reflect.ValueOf(m))
	}
	return m
}

// misfit walks a JSON document along a message type and returns the path of the
// first field (in alphabetical order) that the type does not have, or whose
// value has another shape.
func misfit(doc any, d protoreflect.MessageDescriptor, path string) (field, why string) {
	if strings.HasPrefix(string(d.FullName()), "google.protobuf.") {
		return strings.TrimSuffix(path, "."), misfitKnown(doc, d)
	}
	object, ok := doc.(map[string]any)
	if !ok {
		return cmp.Or(strings.TrimSuffix(path, "."), "body"), "must be an object"
	}
	keys := make([]string, 0, len(object))
	for k := range object {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, key := range keys {
		f := d.Fields().ByJSONName(key)
		if f == nil {
			f = d.Fields().ByTextName(key)
		}
		if f == nil {
			return path + spell(key), "unknown field"
		}
		if field, why = misfitField(object[key], f, path+key); why != "" {
			return field, why
		}
	}
	return "", ""
}

// spell quotes a key that would not be legible in a path.
func spell(key string) string {
	for _, c := range key {
		if !unicode.IsLetter(c) && !unicode.IsDigit(c) && c != '_' && c != '-' && c != '@' {
			return strconv.Quote(key)
		}
	}
	return cmp.Or(key, `""`)
}

// misfitKnown asks the codec about a type with a JSON form of its own.
func misfitKnown(doc any, d protoreflect.MessageDescriptor) string {
	t, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	if err != nil {
		return ""
	}
	text, err := json.Marshal(doc)
	if err != nil || protojson.Unmarshal(text, t.New().Interface()) == nil {
		return ""
	}
	switch d.Name() {
	case "Timestamp":
		return "must be a time such as 2026-01-31T09:30:00Z"
	case "Duration":
		return "must be a duration such as 3.5s"
	case "Struct":
		return "must be an object"
	}
	return "must be a " + string(d.Name())
}

// misfitField does the same for one field's value.
func misfitField(value any, f protoreflect.FieldDescriptor, path string) (field, why string) {
	switch {
	case value == nil:
		return "", ""
	case f.IsMap():
		if _, ok := value.(map[string]any); !ok {
			return path, "must be an object"
		}
		return "", ""
	case f.IsList():
		list, ok := value.([]any)
		if !ok {
			return path, "must be a list"
		}
		for i, item := range list {
			if field, why = misfitItem(item, f, fmt.Sprintf("%s[%d]", path, i)); why != "" {
				return field, why
			}
		}
		return "", ""
	}
	return misfitItem(value, f, path)
}

// misfitItem does the same for a single value.
func misfitItem(value any, f protoreflect.FieldDescriptor, path string) (field, why string) {
	if f.Message() != nil {
		return misfit(value, f.Message(), path+".")
	}
	want := ""
	switch value.(type) {
	case string:
		if f.Kind() == protoreflect.BoolKind {
			want = "must be true or false"
		} else if f.Kind() != protoreflect.StringKind && f.Kind() != protoreflect.BytesKind {
			want = mustBeNumber(value)
		}
	case float64:
		if f.Kind() == protoreflect.StringKind || f.Kind() == protoreflect.BytesKind {
			want = "must be a string"
		} else if f.Kind() == protoreflect.BoolKind {
			want = "must be true or false"
		}
	case bool:
		if f.Kind() != protoreflect.BoolKind {
			want = "must not be a boolean"
		}
	default:
		want = "must be a single value"
	}
	if want == "" {
		return "", ""
	}
	return path, want
}

// mustBeNumber allows the strings that stand for numbers in proto3 JSON.
func mustBeNumber(value any) string {
	text, _ := value.(string)
	if text == "NaN" || strings.HasSuffix(text, "Infinity") || json.Valid([]byte(text)) {
		return ""
	}
	return "must be a number"
}
