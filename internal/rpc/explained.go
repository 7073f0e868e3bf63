package rpc

import (
	"math"
	"unicode/utf8"

	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// Nearly all of an explained answer is what policies and their conditions said:
// thousands of small messages of two kinds. Those are written by hand, here on the
// wire and in explained_json.go as JSON; the rest of the answer is left to the
// libraries, and tests hold the whole to what they would have written.

// explained takes an answer with an explanation apart: the answer without it, the
// explanation without policies, and the policies.
func explained(v any) (rest, record proto.Message, policies []*usherv1.PolicyTrace) {
	r, ok := v.(*usherv1.NextActionsResponse)
	if !ok || len(r.GetExplanation().GetPolicies()) == 0 {
		return nil, nil, nil
	}
	return without(r, "explanation"), without(r.GetExplanation(), "policies"), r.GetExplanation().GetPolicies()
}

// without is a copy of the message that lacks a field and shares the others.
func without(m proto.Message, field protoreflect.Name) proto.Message {
	from := m.ProtoReflect()
	to := from.New()
	from.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if f.Name() != field {
			to.Set(f, v)
		}
		return true
	})
	to.SetUnknown(from.GetUnknown())
	return to.Interface()
}

// wire is the codec of gRPC with explanations written by hand.
type wire struct{ encoding.CodecV2 }

func newWire() wire { return wire{encoding.GetCodecV2("proto")} }

// Marshal writes what the codec beneath would, but for the order of fields.
func (w wire) Marshal(v any) (mem.BufferSlice, error) {
	rest, record, policies := explained(v)
	if rest == nil {
		return w.CodecV2.Marshal(v)
	}
	head, err := proto.Marshal(rest)
	if err != nil {
		return nil, err
	}
	inner, err := proto.Marshal(record)
	if err != nil {
		return nil, err
	}
	size := len(inner)
	sizes := make([]int, len(policies))
	for i, p := range policies {
		sizes[i] = policySize(p)
		size += protowire.SizeTag(fieldPolicies) + protowire.SizeBytes(sizes[i])
	}
	pool := mem.DefaultBufferPool()
	memory := pool.Get(len(head) + protowire.SizeTag(fieldExplanation) + protowire.SizeBytes(size))
	out := wireWriter{buf: (*memory)[:0]}
	out.buf = append(out.buf, head...)
	out.open(fieldExplanation, size)
	out.buf = append(out.buf, inner...)
	for i, p := range policies {
		out.open(fieldPolicies, sizes[i])
		out.policy(p)
	}
	if out.bad {
		pool.Put(memory)
		return w.CodecV2.Marshal(v) // it says which text is not UTF-8
	}
	*memory = out.buf
	return mem.BufferSlice{mem.NewBuffer(memory, pool)}, nil
}

// Fields as decision.proto numbers them.
const (
	fieldExplanation protowire.Number = 12 // of NextActionsResponse
	fieldPolicies    protowire.Number = 13 // of DecisionRecord
)

// wireWriter appends fields. bad is set once a text is not UTF-8.
type wireWriter struct {
	buf []byte
	bad bool
}

// open begins a message of the size.
func (w *wireWriter) open(field protowire.Number, size int) {
	w.buf = protowire.AppendVarint(protowire.AppendTag(w.buf, field, protowire.BytesType), uint64(size)) //nolint:gosec // a size
}

func (w *wireWriter) text(field protowire.Number, s string) {
	if s == "" {
		return
	}
	w.open(field, len(s))
	w.buf = append(w.buf, s...)
	w.bad = w.bad || !utf8.ValidString(s)
}

func (w *wireWriter) policy(p *usherv1.PolicyTrace) {
	w.text(1, p.GetPolicy())
	if p.GetRevision() != 0 {
		w.buf = protowire.AppendVarint(protowire.AppendTag(w.buf, 2, protowire.VarintType), uint64(p.GetRevision())) //nolint:gosec // any bits do
	}
	w.text(3, p.GetState())
	for _, c := range p.GetConditions() {
		w.open(4, conditionSize(c))
		w.condition(c)
	}
	if p.GetException() {
		w.buf = append(protowire.AppendTag(w.buf, 5, protowire.VarintType), 1)
	}
	w.text(6, p.GetCause())
}

func policySize(p *usherv1.PolicyTrace) int {
	n := textSize(p.GetPolicy()) + textSize(p.GetState()) + textSize(p.GetCause())
	if p.GetRevision() != 0 {
		n += 1 + protowire.SizeVarint(uint64(p.GetRevision())) //nolint:gosec // any bits do
	}
	for _, c := range p.GetConditions() {
		n += 1 + protowire.SizeBytes(conditionSize(c))
	}
	if p.GetException() {
		n += 2
	}
	return n
}

func (w *wireWriter) condition(c *usherv1.ConditionTrace) {
	w.text(1, c.GetPath())
	w.text(2, c.GetAttribute())
	w.text(3, c.GetOperator())
	w.value(4, c.GetExpected())
	w.value(5, c.GetActual())
	w.text(6, c.GetTruth())
	w.text(7, c.GetCause())
	w.text(8, c.GetSource())
	if c.GetAge() != nil {
		w.message(9, c.GetAge())
	}
}

func conditionSize(c *usherv1.ConditionTrace) int {
	return textSize(c.GetPath()) + textSize(c.GetAttribute()) + textSize(c.GetOperator()) +
		fieldSize(c.GetExpected()) + fieldSize(c.GetActual()) + textSize(c.GetTruth()) +
		textSize(c.GetCause()) + textSize(c.GetSource()) + ageSize(c.GetAge())
}

// textSize is what a text takes in a field below 16; an empty one is left out.
func textSize(s string) int {
	if s == "" {
		return 0
	}
	return 1 + protowire.SizeBytes(len(s))
}

func ageSize(d *durationpb.Duration) int {
	if d == nil {
		return 0
	}
	return 1 + protowire.SizeBytes(proto.Size(d))
}

func fieldSize(v *structpb.Value) int {
	if v == nil {
		return 0
	}
	return 1 + protowire.SizeBytes(valueSize(v))
}

func valueSize(v *structpb.Value) int {
	switch k := v.GetKind().(type) {
	case *structpb.Value_StringValue:
		return 1 + protowire.SizeBytes(len(k.StringValue))
	case *structpb.Value_NumberValue:
		return 1 + 8
	case *structpb.Value_BoolValue:
		return 1 + 1
	case *structpb.Value_ListValue:
		return 1 + protowire.SizeBytes(listSize(k.ListValue))
	default:
		return proto.Size(v)
	}
}

func listSize(l *structpb.ListValue) (n int) {
	for _, v := range l.GetValues() {
		n += fieldSize(v)
	}
	return n
}

func (w *wireWriter) value(field protowire.Number, v *structpb.Value) {
	if v == nil {
		return
	}
	w.open(field, valueSize(v))
	switch k := v.GetKind().(type) {
	case *structpb.Value_StringValue:
		w.open(3, len(k.StringValue))
		w.buf = append(w.buf, k.StringValue...)
		w.bad = w.bad || !utf8.ValidString(k.StringValue)
	case *structpb.Value_NumberValue:
		w.buf = protowire.AppendFixed64(protowire.AppendTag(w.buf, 2, protowire.Fixed64Type), math.Float64bits(k.NumberValue))
	case *structpb.Value_BoolValue:
		w.buf = protowire.AppendVarint(protowire.AppendTag(w.buf, 4, protowire.VarintType), protowire.EncodeBool(k.BoolValue))
	case *structpb.Value_ListValue:
		w.open(6, listSize(k.ListValue))
		for _, element := range k.ListValue.GetValues() {
			w.value(1, element)
		}
	default:
		w.append(v)
	}
}

func (w *wireWriter) message(field protowire.Number, m proto.Message) {
	w.open(field, proto.Size(m))
	w.append(m)
}

func (w *wireWriter) append(m proto.Message) {
	out, err := proto.MarshalOptions{}.MarshalAppend(w.buf, m)
	w.buf, w.bad = out, w.bad || err != nil
}
