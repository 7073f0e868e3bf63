package rpc

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/usherhq/usher/internal/fault"
)

// maxMisfits bounds what is told of one body.
const maxMisfits = 100

// misfits gathers where a JSON document does not fit a message type. What a value
// must be is for the codec to say, which is asked about one field at a time.
type misfits struct {
	found     []fault.Violation
	documents Documents
}

func (w *misfits) add(path, why string) {
	if len(w.found) < maxMisfits {
		w.found = append(w.found, fault.Violation{Field: cmp.Or(path, "body"), Description: why})
	}
}

// member is one field of a JSON object, as it stands there.
type member struct {
	key   string
	value json.RawMessage
}

// membersOf reads an object in its order, twice what is there twice.
func membersOf(raw json.RawMessage) (list []member, ok bool) {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, false
	}
	for d.More() {
		key, err := d.Token()
		m := member{}
		if m.key, ok = key.(string); err != nil || !ok || d.Decode(&m.value) != nil {
			return list, true
		}
		list = append(list, m)
	}
	return list, true
}

// message holds an object against the fields of a message.
func (w *misfits) message(raw json.RawMessage, t protoreflect.MessageType, path string) {
	d := t.Descriptor()
	if strings.HasPrefix(string(d.FullName()), "google.protobuf.") {
		if err := protojson.Unmarshal(raw, t.New().Interface()); err != nil {
			w.add(strings.TrimSuffix(path, "."), wanted(d, raw, err))
		}
		return
	}
	object, ok := membersOf(raw)
	if !ok {
		w.add(strings.TrimSuffix(path, "."), "must be an object")
		return
	}
	defer w.document(raw, d.FullName(), path, len(w.found))
	seen := map[protoreflect.Name]bool{}
	for _, m := range object {
		f := d.Fields().ByJSONName(m.key)
		if f == nil {
			f = d.Fields().ByTextName(m.key)
		}
		switch {
		case f == nil:
			w.add(path+spell(m.key), "unknown field")
		case seen[f.Name()]: // be it in the other spelling
			w.add(path+m.key, "is there twice")
		default:
			seen[f.Name()] = true
			w.field(m, f, t, path+m.key)
		}
	}
}

// document adds what is wrong with a message beside its shape, after what was found
// since. Of what both tell, it is the document that knows the place better.
func (w *misfits) document(raw json.RawMessage, name protoreflect.FullName, path string, since int) {
	find := w.documents[name]
	if find == nil {
		return
	}
	shape, seen := slices.Clone(w.found[since:]), map[string]bool{}
	for _, f := range shape {
		seen[f.Field] = true
	}
	w.found = w.found[:since]
	var more []fault.Violation
	for _, v := range find(raw) {
		if v.Field = path + v.Field; seen[v.Field] {
			continue
		}
		more = append(more, v)
		shape = slices.DeleteFunc(shape, func(f fault.Violation) bool {
			return strings.HasPrefix(v.Field, f.Field+".") || strings.HasPrefix(v.Field, f.Field+"[")
		})
	}
	for _, v := range slices.Concat(shape, more) {
		w.add(v.Field, v.Description)
	}
}

// field holds one member's value against its field.
func (w *misfits) field(m member, f protoreflect.FieldDescriptor, t protoreflect.MessageType, path string) {
	err := protojson.Unmarshal(object(m.key, m.value), t.New().Interface())
	if err == nil {
		return
	}
	before := len(w.found)
	switch {
	case f.IsMap():
		entries, ok := membersOf(m.value)
		if !ok {
			w.add(path, "must be an object")
			return
		}
		for _, e := range entries {
			w.item(e.value, object(m.key, object(e.key, e.value)), f, t, path+"."+spell(e.key))
		}
	case f.IsList():
		var list []json.RawMessage
		if json.Unmarshal(m.value, &list) != nil {
			w.add(path, "must be a list")
			return
		}
		for i, item := range list {
			w.item(item, object(m.key, []byte("["+string(item)+"]")), f, t, fmt.Sprintf("%s[%d]", path, i))
		}
	default:
		w.item(m.value, object(m.key, m.value), f, t, path)
	}
	if len(w.found) == before {
		w.add(path, plain(err))
	}
}

// item holds a single value against its field; alone is the message with this one
// value in it.
func (w *misfits) item(raw, alone json.RawMessage, f protoreflect.FieldDescriptor, t protoreflect.MessageType, path string) {
	err := protojson.Unmarshal(alone, t.New().Interface())
	if err == nil {
		if m := f.Message(); m != nil && !f.IsMap() {
			w.document(raw, m.FullName(), path+".", len(w.found))
		}
		return
	}
	if f.IsMap() {
		f = f.MapValue()
	}
	if f.Message() == nil {
		w.add(path, wantedScalar(f, raw, err))
		return
	}
	before := len(w.found)
	if inner := typeOf(f.Message()); inner != nil {
		w.message(raw, inner, path+".")
	}
	if len(w.found) == before {
		w.add(path, plain(err))
	}
}

// object writes {key: value}.
func object(key string, value json.RawMessage) json.RawMessage {
	name, err := json.Marshal(key)
	if err != nil {
		return value
	}
	return bytes.Join([][]byte{[]byte("{"), name, []byte(":"), value, []byte("}")}, nil)
}

// typeOf finds the generated type of a message, nil when there is none.
func typeOf(d protoreflect.MessageDescriptor) protoreflect.MessageType {
	t, err := protoregistry.GlobalTypes.FindMessageByName(d.FullName())
	if err != nil {
		return nil
	}
	return t
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

// wanted says what a value of a type with a JSON form of its own must be.
func wanted(d protoreflect.MessageDescriptor, raw json.RawMessage, err error) string {
	switch d.Name() {
	case "Timestamp":
		return "must be a time such as 2026-01-31T09:30:00Z"
	case "Duration":
		return "must be a duration such as 3.5s"
	case "Struct":
		if _, ok := membersOf(raw); !ok {
			return "must be an object"
		}
	}
	return plain(err)
}

// wantedScalar says what a single value must be.
func wantedScalar(f protoreflect.FieldDescriptor, raw json.RawMessage, err error) string {
	if raw[0] == '{' || raw[0] == '[' {
		return "must be a single value"
	}
	switch f.Kind() { //nolint:exhaustive // the other kinds are numbers
	case protoreflect.BoolKind:
		return "must be true or false"
	case protoreflect.StringKind, protoreflect.BytesKind:
		if raw[0] != '"' {
			return "must be a string"
		}
		return plain(err)
	case protoreflect.DoubleKind, protoreflect.FloatKind:
		return numeral(raw, "must be a number")
	}
	return numeral(raw, "must be a whole number")
}

// numeral tells a number that is out of range from what is none.
func numeral(raw json.RawMessage, want string) string {
	n, err := strconv.ParseFloat(strings.Trim(string(raw), `"`), 64)
	if (err == nil || errors.Is(err, strconv.ErrRange)) && n == math.Trunc(n) {
		return want + " within the range of the field"
	}
	return want
}
