package event_test

import (
	"fmt"
	"testing"

	"github.com/usherhq/usher/pipeline/event"
)

// TestUnknownAttributes: a condition is counted as UNKNOWN for the attributes that kept
// it from being told, and for no other.
func TestUnknownAttributes(t *testing.T) {
	for _, test := range []struct {
		name      string
		condition event.ConditionTrace
		unknown   string
		failed    string
	}{
		{"true", event.ConditionTrace{Attribute: "a", Truth: event.True}, "[]", "  false"},
		{"plain", event.ConditionTrace{Attribute: "a", Operator: "equal", Truth: event.Unknown, Cause: "missing"}, "[a]", "  false"},
		{"a failed look-up", event.ConditionTrace{Attribute: "a", Operator: "equal", Truth: event.Unknown, Cause: "function f: slow"}, "[a]", "a function f: slow true"},
		{"an expression", event.ConditionTrace{Attribute: "a, b, c", Operator: "cel", Truth: event.Unknown, Cause: event.MissingAttributes([]string{"a", "c"})}, "[a c]", "  false"},
		{"an expression on a failed look-up", event.ConditionTrace{Attribute: "a, b", Operator: "cel", Truth: event.Unknown, Cause: "b: function f: slow"}, "[b]", "b function f: slow true"},
		{"an expression that failed", event.ConditionTrace{Attribute: "a, b", Operator: "cel", Truth: event.Unknown, Cause: "no such overload"}, "[a b]", "  false"},
		{"a policy's own fault", event.ConditionTrace{Path: "policy", Truth: event.Unknown, Cause: "is not valid"}, "[]", "  false"},
	} {
		if got := fmt.Sprint(test.condition.Unknown()); got != test.unknown {
			t.Errorf("%s: unknown for %s, want %s", test.name, got, test.unknown)
		}
		name, why, ok := test.condition.Failed()
		if got := fmt.Sprint(name, " ", why, " ", ok); got != test.failed && ok {
			t.Errorf("%s: failed %q, want %q", test.name, got, test.failed)
		} else if ok != (test.failed != "  false") {
			t.Errorf("%s: failed is %v", test.name, ok)
		}
	}
}
