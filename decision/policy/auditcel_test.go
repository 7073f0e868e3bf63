package policy

import (
	"strings"
	"testing"

	"github.com/usherhq/usher/pipeline/event"
)

// TestCostOfExpressions: plain arithmetic is never too costly, nested macros are, with
// or without an environment to check against.
func TestCostOfExpressions(t *testing.T) {
	sound := []string{
		"a*a + b*b == 25.0",
		"math.sqrt(a*a+b*b) == 5.0",
		"(a/b)+(c/d) > 1.0",
		"a*b + c*d > 100.0",
		"a + b + c + d + e + f + g > 1.0",
		"(a + b) * (c + d) == e && (a - b) * (c - d) != e",
		"tags.exists(t, t.startsWith(prefix + '-'))",
		"(first + ' ' + last).lowerAscii().contains('ann')",
		"attributes['a b'] + attributes['c d'] > 2.0",
	}
	costly := map[string]string{
		"l.all(x, l.all(y, l.all(z, x + y + z >= 0.0)))": "within each other multiply",
		"l.exists(x, (x + x + x + x + x + x + x + x + x + x + x + x + x + x + x + x + x + x).matches('^(a|b)*c(d|e)*f(g|h)*i(j|k)*l(m|n)*$'))": "the limit is",
	}
	for _, env := range []*Environment{nil, {}} {
		for _, text := range sound {
			if found := Check([]*Policy{expressing(text)}, env); HasErrors(found) {
				t.Errorf("%s with environment %v: %v", text, env != nil, found)
			}
		}
		for text, want := range costly {
			found := Check([]*Policy{expressing(text)}, env)
			if len(found) != 1 || found[0].Code != CodeTooCostly || !strings.Contains(found[0].Description, want) {
				t.Errorf("%s with environment %v: %v; want %s", text, env != nil, found, want)
				continue
			}
			if strings.Count(text, "l.") < 2 && strings.Contains(found[0].Description, "multiply") {
				t.Errorf("%s blames macros that are not there: %s", text, found[0].Description)
			}
		}
	}
}

func expressing(text string) *Policy {
	return &Policy{
		Name: "p", Enabled: true, When: &Condition{CEL: text},
		Effect: Effect{Rank: &Rank{}},
	}
}

// TestArithmeticIsFinite: what is no number compares with nothing, and a power is what
// Go takes for one.
func TestArithmeticIsFinite(t *testing.T) {
	for _, test := range []struct {
		text string
		want truth
		why  string
	}{
		{"a / b > 1.0", isUnknown, "the result of / is not a finite number"},
		{"!(a / b > 1.0)", isUnknown, "the result of / is not a finite number"},
		{"a / b > 1.0 || a == 4.0", isTrue, ""},
		{"b / b == b / b", isUnknown, "the result of / is not a finite number"},
		{"math.sqrt(-a) < 1.0", isUnknown, "the result of math.sqrt is not a finite number"},
		{"1.0 / 0.0 > 1.0", isUnknown, "the result of / is not a finite number"},
		{"math.pow(10.0, 400) > 1.0", isUnknown, "the result of math.pow is not a finite number"},
		{"math.pow(2, a) == 16.0 && math.pow(a, 0.5) == 2.0 && math.pow(a, -1) == 0.25", isTrue, ""},
		{"math.pow('2', a) == 16.0", isUnknown, ""},
		{"l.map(x, x / 2.0) == [1.0, 2.0]", isTrue, ""},
	} {
		set := Compile([]*Policy{expressing(test.text)}, 1)
		in := set.NewInput()
		in.Load(&Facts{Attributes: map[string]any{"a": 4.0, "b": 0.0, "l": []any{2.0, 4.0}}})
		trace := set.Trace(in, -1)[0]
		if test.text == "math.pow('2', a) == 16.0" {
			if trace.State != event.Invalid {
				t.Errorf("%s: %+v", test.text, trace)
			}
			continue
		}
		c := trace.Conditions[0]
		if got := map[event.Truth]truth{event.True: isTrue, event.False: isFalse, event.Unknown: isUnknown}[c.Truth]; got != test.want || c.Cause != test.why {
			t.Errorf("%s is %s because of %q, want %d because of %q", test.text, c.Truth, c.Cause, test.want, test.why)
		}
		if test.why != "" && trace.State != event.Errored {
			t.Errorf("%s: the policy is %s", test.text, trace.State)
		}
	}
}
