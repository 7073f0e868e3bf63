package policy_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/usherhq/usher/decision/policy"
)

// benchSet is the recipe of the comparison in docs/policies.md: n policies of
// five clauses, of which only the last matches.
func benchSet(tb testing.TB, n int) *policy.Set {
	var policies []*policy.Policy
	for i := range n {
		policies = append(policies, parse(tb, fmt.Sprintf(`{"name":"p%d","rank":%d,"when":{"all":[
			{"attribute":"intent","operator":"equal","value":"intent-%d"},{"attribute":"wait","operator":"greater_than","value":30},
			{"attribute":"hour","operator":"between","value":[8,19]},{"attribute":"vip","operator":"equal","value":false},
			{"attribute":"channel","operator":"starts_with","value":"web"}]},"effect":{"rank":{}}}`, i, i, i)))
	}
	return policy.Compile(policies, 1)
}

func benchFacts(n int) *policy.Facts {
	return &policy.Facts{
		Intent: fmt.Sprintf("intent-%d", n-1), Channel: "web-chat",
		Attributes: map[string]any{"wait": 45.0, "hour": 12.0, "vip": false}, Now: time.Unix(1_800_000_000, 0),
	}
}

func TestEvalAllocatesNothing(t *testing.T) {
	for _, n := range []int{1, 100} {
		set, f := benchSet(t, n), benchFacts(n)
		in := set.NewInput()
		allocs := testing.AllocsPerRun(100, func() {
			in.Load(f)
			if set.Eval(in) == nil {
				t.Fatal("no match")
			}
		})
		if allocs > 0 {
			t.Errorf("%d policies: %g allocations", n, allocs)
		}
	}
}

func BenchmarkEval(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("policies=%d", n), func(b *testing.B) {
			set, f := benchSet(b, n), benchFacts(n)
			in := set.NewInput()
			b.ReportAllocs()
			for b.Loop() {
				in.Load(f)
				if set.Eval(in) == nil {
					b.Fatal("no match")
				}
			}
		})
	}
}

func BenchmarkTrace(b *testing.B) {
	for _, n := range []int{10, 100} {
		b.Run(fmt.Sprintf("policies=%d", n), func(b *testing.B) {
			set, f := benchSet(b, n), benchFacts(n)
			in := set.NewInput()
			in.Load(f)
			b.ReportAllocs()
			for b.Loop() {
				set.Trace(in, n-1)
			}
		})
	}
}

func BenchmarkCEL(b *testing.B) {
	p := parse(b, `{"name":"p","when":{"cel":"intent == 'intent-0' && wait > 30 && hour >= 8 && hour < 20 && !vip && channel.startsWith('web')"},"effect":{"rank":{}}}`)
	set, f := policy.Compile([]*policy.Policy{p}, 1), benchFacts(1)
	in := set.NewInput()
	b.ReportAllocs()
	for b.Loop() {
		in.Load(f)
		if set.Eval(in) == nil {
			b.Fatal("no match")
		}
	}
}
