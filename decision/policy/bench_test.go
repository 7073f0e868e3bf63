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

// TestNewFormsAllocateNothing: folding, lists, calendars, dates, schedules, exceptions
// and aliases are as free as an equality.
func TestNewFormsAllocateNothing(t *testing.T) {
	p := parse(t, `{"name":"p","schedule":{"from":"2026-01-01","zone":"Europe/Berlin"},"when":{"all":[
		{"attribute":"tier","operator":"in","value":["GOLD","SILVER"],"fold":true},{"attribute":"customer.city","operator":"contains","value":"ÖL","fold":true},
		{"attribute":"tags","operator":"any_of","value":["b"]},{"attribute":"tiers","operator":"all_of","value":["Gold"],"fold":true},
		{"attribute":"crm.profile.tags","operator":"any_of","value_from":"crm.profile.tags"},{"attribute":"orchestrator.channel","operator":"equal","value":"web"},
		{"time":{"calendar":"always"}},{"date":{"from":"2026-11-01","days":["SUN"]}},{"attribute":"skill.billing.age_seconds","operator":"less_than","value":60}]},
		"exception":{"when":{"attribute":"tier","operator":"equal","value":"IRON","fold":true},"effect":{"rank":{}}},"effect":{"rank":{}}}`)
	calendars := map[string]*policy.Calendar{"always": {Hours: []policy.Hours{{}}, Holidays: []policy.Holiday{{Date: "12-25"}}}}
	set := policy.Compile([]*policy.Policy{p}, 1, policy.WithEnvironment(&policy.Environment{Calendars: calendars}))
	in, f := set.NewInput(), someFacts()
	if allocs := testing.AllocsPerRun(100, func() {
		in.Load(f)
		if set.Eval(in) == nil {
			t.Fatal("no match")
		}
	}); allocs > 0 {
		t.Errorf("%g allocations: %+v", allocs, set.Trace(in, -1))
	}
}

// TestTraceAllocatesTwice: one slab for the policies, one for their conditions.
func TestTraceAllocatesTwice(t *testing.T) {
	set, f := benchSet(t, 100), benchFacts(100)
	in := set.NewInput()
	in.Load(f)
	set.Trace(in, -1) // boxes what has to be boxed
	if allocs := testing.AllocsPerRun(20, func() { set.Trace(in, -1) }); allocs > 2 {
		t.Errorf("%g allocations", allocs)
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
	for _, n := range []int{10, 100, 1000} {
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
