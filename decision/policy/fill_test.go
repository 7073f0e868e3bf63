package policy_test

import (
	"testing"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/pipeline/event"
)

// TestWhatCannotStandInATemplate wants no target that is empty or a list, and no
// message with a hole: the policy does not match.
func TestWhatCannotStandInATemplate(t *testing.T) {
	p := parse(t, `{"name":"p","effect":{"fixed":{"actions":[
		{"type":"SEND_MESSAGE","payload":{"text":"Hi {{who}}"}},{"type":"TRANSFER_TO_SKILL","target":"{{desk}}"}]}}}`)
	set := policy.Compile([]*policy.Policy{p}, 1)
	for name, c := range map[string]struct {
		who, desk any
		matches   bool
	}{
		"texts":          {"Ada", "d1", true},
		"a number":       {7.0, 4711.0, true},
		"an empty desk":  {"Ada", "", false},
		"a list of one":  {"Ada", []any{"d1"}, false},
		"an object":      {map[string]any{"first": "Ada"}, "d1", false},
		"an empty name":  {"", "d1", true},
		"a list of them": {[]any{"Ada", "Bob"}, "d1", true},
	} {
		in := set.NewInput()
		in.Load(&policy.Facts{Attributes: map[string]any{"who": c.who, "desk": c.desk}})
		if got := set.Next(in) != nil; got != c.matches {
			t.Errorf("%s: matches %v, want %v", name, got, c.matches)
		}
	}
}

// TestFailedLookUpIsNotAbsence wants a function that failed to be an ERROR, also
// for a policy that asks whether there is a value.
func TestFailedLookUpIsNotAbsence(t *testing.T) {
	p := parse(t, `{"name":"p","when":{"attribute":"custom.tier","operator":"exists","value":false},"effect":{"rank":{}}}`)
	set := policy.Compile([]*policy.Policy{p}, 1)
	in := set.NewInput()
	in.Load(&policy.Facts{Failed: map[string]string{"custom.tier": "the service answered 500"}})
	if set.Next(in) != nil {
		t.Error("a failure was taken for absence")
	}
	trace := set.Trace(in, -1)[0]
	if trace.State != event.Errored || trace.Conditions[0].Truth != event.Unknown || trace.Cause == "" {
		t.Errorf("trace %+v", trace)
	}
}
