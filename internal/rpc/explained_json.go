package rpc

import (
	"bytes"
	"strconv"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/usherhq/usher/internal/jsontext"
	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// Marshal writes what the gateway would, but for the order of fields.
func (c *codec) Marshal(v any) ([]byte, error) {
	rest, record, policies := explained(v)
	if rest == nil {
		return c.JSONPb.Marshal(v)
	}
	head, err := c.JSONPb.Marshal(rest)
	if err != nil {
		return nil, err
	}
	inner, err := c.JSONPb.Marshal(record)
	if err != nil {
		return nil, err
	}
	at := memberAt(inner, noPolicies)
	if at < 0 || len(head) < 3 {
		return c.JSONPb.Marshal(v)
	}
	const condition = 224 // more than most take
	size := len(head) + len(inner)
	for _, p := range policies {
		size += condition * (1 + len(p.GetConditions()))
	}
	w := textWriter{buf: make([]byte, 0, size)}
	w.buf = append(append(w.buf, head[:len(head)-1]...), `,"explanation":`...)
	w.buf = append(append(w.buf, inner[:at]...), `"policies":[`...)
	for i, p := range policies {
		w.comma(i)
		w.policy(p)
	}
	w.buf = append(w.buf, ']')
	w.buf = append(append(w.buf, inner[at+len(noPolicies):]...), '}')
	return w.buf, w.err
}

// noPolicies is how an explanation without policies says so.
const noPolicies = `"policies":[]`

// memberAt finds a member of the document itself, not of an object inside it.
func memberAt(document []byte, member string) int {
	depth := 0
	for i := 0; i < len(document); i++ {
		switch document[i] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case '"':
			if depth == 1 && bytes.HasPrefix(document[i:], []byte(member)) {
				return i
			}
			for i++; i < len(document) && document[i] != '"'; i++ {
				if document[i] == '\\' {
					i++
				}
			}
		}
	}
	return -1
}

// textWriter appends JSON as protojson writes it with every field, and keeps the first
// fault.
type textWriter struct {
	buf []byte
	err error
}

func (w *textWriter) comma(i int) {
	if i > 0 {
		w.buf = append(w.buf, ',')
	}
}

func (w *textWriter) policy(p *usherv1.PolicyTrace) {
	w.text(`{"policy":`, p.GetPolicy())
	w.buf = strconv.AppendInt(append(w.buf, `,"revision":"`...), p.GetRevision(), 10)
	w.text(`","state":`, p.GetState())
	w.buf = append(w.buf, `,"conditions":[`...)
	for i, c := range p.GetConditions() {
		w.comma(i)
		w.condition(c)
	}
	w.buf = strconv.AppendBool(append(w.buf, `],"exception":`...), p.GetException())
	w.text(`,"cause":`, p.GetCause())
	w.buf = append(w.buf, '}')
}

func (w *textWriter) condition(c *usherv1.ConditionTrace) {
	w.text(`{"path":`, c.GetPath())
	w.text(`,"attribute":`, c.GetAttribute())
	w.text(`,"operator":`, c.GetOperator())
	w.value(`,"expected":`, c.GetExpected())
	w.value(`,"actual":`, c.GetActual())
	w.text(`,"truth":`, c.GetTruth())
	w.text(`,"cause":`, c.GetCause())
	w.text(`,"source":`, c.GetSource())
	if c.GetAge() != nil {
		w.buf = append(w.buf, `,"age":`...)
		w.other(c.GetAge())
	}
	w.buf = append(w.buf, '}')
}

// text leaves what needs escaping to the library: it is rare.
func (w *textWriter) text(name, s string) {
	w.buf = append(w.buf, name...)
	var ok bool
	if w.buf, ok = jsontext.AppendString(w.buf, s); !ok {
		w.other(structpb.NewStringValue(s))
	}
}

func (w *textWriter) value(name string, v *structpb.Value) {
	switch k := v.GetKind().(type) {
	case *structpb.Value_StringValue:
		w.text(name, k.StringValue)
	case *structpb.Value_BoolValue:
		w.buf = strconv.AppendBool(append(w.buf, name...), k.BoolValue)
	case *structpb.Value_NumberValue:
		var ok bool
		if w.buf, ok = jsontext.AppendNumber(append(w.buf, name...), k.NumberValue); !ok {
			w.other(v)
		}
	case *structpb.Value_ListValue:
		w.buf = append(append(w.buf, name...), '[')
		for i, element := range k.ListValue.GetValues() {
			w.comma(i)
			w.value("", element)
		}
		w.buf = append(w.buf, ']')
	default:
		if v != nil {
			w.buf = append(w.buf, name...)
			w.other(v)
		}
	}
}

func (w *textWriter) other(m proto.Message) {
	text, err := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}.Marshal(m)
	if w.err == nil {
		w.err = err
	}
	w.buf = append(w.buf, text...)
}
