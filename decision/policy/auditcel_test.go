package policy

import (
	"strings"
	"testing"
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
