package event

import (
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// policies allocates by the slab: there may be thousands of conditions.
func (w *protoWriter) policies(ps []PolicyTrace) []*usherv1.PolicyTrace {
	total := 0
	for i := range ps {
		total += len(ps[i].Conditions)
	}
	out, policies := make([]*usherv1.PolicyTrace, len(ps)), make([]usherv1.PolicyTrace, len(ps))
	refs, conditions := make([]*usherv1.ConditionTrace, total), make([]usherv1.ConditionTrace, total)
	var values valueSlab
	values.grow(ps)
	at := 0
	for i := range ps {
		p, to := &ps[i], &policies[i]
		out[i] = to
		to.Policy, to.Revision, to.State, to.Exception, to.Cause = p.Policy, p.Revision, string(p.State), p.Exception, p.Cause
		if len(p.Conditions) == 0 {
			continue
		}
		end := at + len(p.Conditions)
		to.Conditions = refs[at:end:end]
		for j := range p.Conditions {
			c, message := &p.Conditions[j], &conditions[at+j]
			to.Conditions[j] = message
			message.Path, message.Attribute, message.Operator = c.Path, c.Attribute, c.Operator
			message.Truth, message.Cause, message.Source = string(c.Truth), c.Cause, c.Source
			message.Expected = values.take(w, "policies.conditions.expected", c.Expected)
			message.Actual = values.take(w, "policies.conditions.actual", c.Actual)
			message.Age = toDuration(c.Age)
		}
		at = end
	}
	return out
}

// valueSlab holds the texts and numbers of a trace and what wraps them.
type valueSlab struct {
	values  []structpb.Value
	texts   []structpb.Value_StringValue
	numbers []structpb.Value_NumberValue
}

// grow makes room for all of a trace at once.
func (s *valueSlab) grow(ps []PolicyTrace) {
	texts, numbers := 0, 0
	count := func(v any) {
		switch v.(type) {
		case string:
			texts++
		case float64:
			numbers++
		}
	}
	for i := range ps {
		for j := range ps[i].Conditions {
			count(ps[i].Conditions[j].Expected)
			count(ps[i].Conditions[j].Actual)
		}
	}
	s.values = make([]structpb.Value, texts+numbers)
	s.texts, s.numbers = make([]structpb.Value_StringValue, texts), make([]structpb.Value_NumberValue, numbers)
}

func (s *valueSlab) take(w *protoWriter, field string, v any) *structpb.Value {
	switch t := v.(type) {
	case string:
		if !utf8.ValidString(t) {
			return w.value(field, v)
		}
		kind, out := &s.texts[0], &s.values[0]
		s.texts, s.values = s.texts[1:], s.values[1:]
		kind.StringValue, out.Kind = t, kind
		return out
	case float64:
		kind, out := &s.numbers[0], &s.values[0]
		s.numbers, s.values = s.numbers[1:], s.values[1:]
		kind.NumberValue, out.Kind = t, kind
		return out
	default:
		return w.optional(field, v)
	}
}

func policiesFromProto(ps []*usherv1.PolicyTrace) []PolicyTrace {
	var out []PolicyTrace
	for _, p := range ps {
		one := PolicyTrace{
			Policy: p.GetPolicy(), Revision: p.GetRevision(), State: Truth(p.GetState()),
			Exception: p.GetException(), Cause: p.GetCause(),
		}
		for _, c := range p.GetConditions() {
			one.Conditions = append(one.Conditions, ConditionTrace{
				Path: c.GetPath(), Attribute: c.GetAttribute(), Operator: c.GetOperator(),
				Expected: c.GetExpected().AsInterface(), Actual: c.GetActual().AsInterface(),
				Truth: Truth(c.GetTruth()), Cause: c.GetCause(), Source: c.GetSource(), Age: c.GetAge().AsDuration(),
			})
		}
		out = append(out, one)
	}
	return out
}

func callsToProto(calls []Call) []*usherv1.FunctionCall {
	var out []*usherv1.FunctionCall
	for i := range calls {
		out = append(out, CallToProto(&calls[i]))
	}
	return out
}

// CallToProto translates the call of a function to its message.
func CallToProto(c *Call) *usherv1.FunctionCall {
	return &usherv1.FunctionCall{
		Function: c.Function, Attribute: c.Attribute, Result: string(c.Result), Latency: toDuration(c.Latency),
		Detail: c.Detail, Fallback: c.Fallback, Age: toDuration(c.Age),
	}
}

func callsFromProto(calls []*usherv1.FunctionCall) []Call {
	var out []Call
	for _, c := range calls {
		out = append(out, Call{
			Function: c.GetFunction(), Attribute: c.GetAttribute(), Result: CallResult(c.GetResult()),
			Latency: c.GetLatency().AsDuration(), Detail: c.GetDetail(), Fallback: c.GetFallback(), Age: c.GetAge().AsDuration(),
		})
	}
	return out
}

// toDuration leaves zero out: most records have none of the durations that say
// how old something is or how long it holds.
func toDuration(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}
