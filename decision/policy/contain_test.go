package policy_test

import (
	"slices"
	"testing"

	"github.com/usherhq/usher/decision/policy"
)

// TestContainment: a policy whose condition holds only where an earlier one's does is
// told of, and no other.
func TestContainment(t *testing.T) {
	leaf := func(op, value string) string {
		return `{"attribute":"x","operator":"` + op + `","value":` + value + `}`
	}
	for _, test := range []struct {
		before, after string
		want          bool
	}{
		{leaf("gte", "1"), leaf("between", "[1, 3]"), true},
		{leaf("gt", "1"), leaf("between", "[1, 3]"), false},
		{leaf("gte", "1"), leaf("in", "[1, 2]"), true},
		{leaf("gte", "1"), leaf("in", "[0, 2]"), false},
		{leaf("between", "[0, 9]"), leaf("between", "[1, 9]"), true},
		{leaf("between", "[0, 9]"), leaf("gte", "1"), false},
		{leaf("gte", "1"), `{"not":` + leaf("lt", "1") + `}`, true},
		{`{"not":` + leaf("lt", "1") + `}`, leaf("gt", "1"), true},
		{`{"not":` + leaf("lte", "1") + `}`, leaf("gte", "1"), false},
		{`{"not":{"any":[` + leaf("lt", "1") + `,` + leaf("gt", "5") + `]}}`, leaf("between", "[2, 3]"), true},
		{leaf("starts_with", `"ab"`), leaf("starts_with", `"abc"`), true},
		{leaf("starts_with", `"abc"`), leaf("starts_with", `"ab"`), false},
		{leaf("contains", `"b"`), leaf("ends_with", `"abc"`), true},
		{leaf("contains", `"b"`), leaf("contains", `"abc"`), false}, // of a list
		{leaf("starts_with", `"a"`), leaf("in", `["ab", "ac"]`), true},
		{leaf("any_of", `["a", "b"]`), leaf("any_of", `["a"]`), true},
		{leaf("any_of", `["a"]`), leaf("any_of", `["a", "b"]`), false},
		{leaf("all_of", `["a"]`), leaf("all_of", `["a", "b"]`), true},
		{leaf("any_of", `["a", "c"]`), leaf("all_of", `["a", "b"]`), true},
		{leaf("in", `["a", "b"]`), `{"any":[` + leaf("equal", `"a"`) + `,` + leaf("equal", `"b"`) + `]}`, true},
		{`{"any":[` + leaf("equal", `"a"`) + `,` + leaf("equal", `"b"`) + `]}`, leaf("in", `["a", "b"]`), true},
		{`{"any":[` + leaf("equal", `"a"`) + `,` + leaf("equal", `"b"`) + `]}`, leaf("in", `["a", "c"]`), false},
		{`{"time":{"from":"08:00","to":"18:00"}}`, `{"time":{"from":"09:00","to":"17:00","days":["MON"]}}`, true},
		{`{"time":{"from":"08:00","to":"18:00","days":["TUE"]}}`, `{"time":{"from":"09:00","to":"17:00"}}`, false},
		{`{"time":{"from":"08:00","to":"18:00"}}`, `{"time":{"from":"09:00","to":"17:00","zone":"Europe/Berlin"}}`, false},
		{`{"time":{"from":"22:00","to":"06:00"}}`, `{"time":{"from":"23:00","to":"05:00"}}`, true},
		{`{"date":{"from":"2026-12-01"}}`, `{"date":{"from":"2026-12-24","to":"2026-12-26"}}`, true},
		{`{"date":{"to":"2026-12-25"}}`, `{"date":{"from":"2026-12-24","to":"2026-12-26"}}`, false},
	} {
		var list []*policy.Policy
		for i, when := range []string{test.before, test.after} {
			p := parse(t, `{"name":"p`+string(rune('a'+i))+`","when":`+when+`,"effect":{"rank":{}}}`)
			p.Rank = float64(i)
			list = append(list, p)
		}
		problems := policy.Check(list, nil)
		if got := slices.ContainsFunc(problems, func(p policy.Problem) bool { return p.Code == policy.CodeShadowed }); got != test.want {
			t.Errorf("%s before %s: shadowed is %v (%v)", test.before, test.after, got, problems)
		}
	}
	for when, want := range map[string]bool{
		`{"all":[{"date":{"to":"2026-12-24"}},{"date":{"from":"2026-12-26"}}]}`:                   true,
		`{"all":[{"date":{"to":"2026-12-24"}},{"date":{"from":"2026-12-24"}}]}`:                   false,
		`{"all":[{"date":{"days":["SAT"]}},{"date":{"days":["SUN"]}}]}`:                           true,
		`{"all":[` + leaf("gte", "5") + `,{"not":` + leaf("gt", "3") + `}]}`:                      true,
		`{"all":[{"date":{"to":"2026-12-24","attribute":"due"}},{"date":{"from":"2026-12-26"}}]}`: false,
	} {
		problems := policy.Check([]*policy.Policy{parse(t, `{"name":"p","when":`+when+`,"effect":{"rank":{}}}`)}, nil)
		if got := slices.ContainsFunc(problems, func(p policy.Problem) bool { return p.Code == policy.CodeNeverTrue }); got != want {
			t.Errorf("%s: never true is %v (%v)", when, got, problems)
		}
	}
}
