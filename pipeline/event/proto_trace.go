package event

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

func (w *protoWriter) policies(ps []PolicyTrace) []*usherv1.PolicyTrace {
	out := make([]*usherv1.PolicyTrace, len(ps))
	for i := range ps {
		p := &ps[i]
		out[i] = &usherv1.PolicyTrace{
			Policy: p.Policy, Revision: p.Revision, State: string(p.State), Exception: p.Exception, Cause: p.Cause,
		}
		if len(p.Conditions) > 0 {
			out[i].Conditions = make([]*usherv1.ConditionTrace, len(p.Conditions))
		}
		for j := range p.Conditions {
			c := &p.Conditions[j]
			out[i].Conditions[j] = &usherv1.ConditionTrace{
				Path: c.Path, Attribute: c.Attribute, Operator: c.Operator, Truth: string(c.Truth), Cause: c.Cause,
				Expected: w.optional("policies.conditions.expected", c.Expected),
				Actual:   w.optional("policies.conditions.actual", c.Actual),
				Source:   c.Source, Age: toDuration(c.Age),
			}
		}
	}
	return out
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
