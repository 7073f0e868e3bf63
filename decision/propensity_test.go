package decision_test

import (
	"math"
	"slices"
	"strconv"
	"testing"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/pipeline/event"
)

// Over 100,000 decisions of a frozen model the drawn shares are what the record says:
// by chi-square beyond the 0.1 % point seldom enough. No logged propensity is 0, the
// same request replays to the same arm, and what is eligible sums to 1 after policies
// took candidates away.
func TestLoggedPropensitiesAreHonest(t *testing.T) {
	w := newWorld()
	w.modes["account"] = exploring(0.2)
	w.model = teach(t, "m1", []lesson{
		{Intent: "refund", Arm: "a", Reward: 1, Times: 40}, {Intent: "refund", Arm: "b", Reward: 0.4, Times: 40}, {Intent: "sales", Arm: "c", Reward: 1, Times: 40},
	})
	w.set = policy.Compile([]*policy.Policy{{Name: "no d", Enabled: true, Effect: policy.Effect{Deny: &policy.Deny{Targets: []string{"d"}}}}}, 1)
	e := w.engine(t)
	const decisions = 100_000
	drawn, expected := map[string]float64{}, map[string]float64{}
	for i := range decisions {
		intent := []string{"refund", "sales", "other"}[i%3]
		r := &decision.Request{Account: "acme", RequestID: "r" + strconv.Itoa(i), Intent: intent, Candidates: offers("a", "b", "c", "d")}
		d := inquire(t, e, r)
		if d.Propensity <= 0 || d.Drawn != d.Chosen {
			t.Fatalf("%s was drawn and %s done with %g", d.Drawn, d.Chosen, d.Propensity)
		}
		sum := 0.0
		for j := range d.Candidates {
			c := &d.Candidates[j]
			sum += c.Probability
			expected[intent+c.Key()] += c.Probability
		}
		if math.Abs(sum-1) > 1e-12 {
			t.Fatalf("probabilities sum to %g", sum)
		}
		drawn[intent+d.Chosen]++
		if i%1000 == 0 {
			if again := inquire(t, e, r); again.Chosen != d.Chosen || again.Propensity != d.Propensity {
				t.Fatalf("%s with %g became %s with %g", d.Chosen, d.Propensity, again.Chosen, again.Propensity)
			}
		}
	}
	chi, cells := 0.0, 0
	for key, want := range expected {
		if want == 0 {
			if drawn[key] != 0 {
				t.Errorf("%s was drawn and could not be", key)
			}
			continue
		}
		cells++
		chi += (drawn[key] - want) * (drawn[key] - want) / want
	}
	if cells != 9 || chi > 22.46 { // 6 degrees of freedom, p = 0.001
		t.Errorf("chi-square %.1f over %d cells: drawn %v, expected %v", chi, cells, drawn, expected)
	}
}

// What a policy puts in the place of the model's choice is logged apart: the model's
// choice stays in the record, nothing was drawn, the propensity is the policy's, and the
// verdict of every candidate that lost names the policy.
func TestOverridesAreLoggedApart(t *testing.T) {
	w := newWorld()
	w.modes["account"] = exploring(0.2)
	w.model = teach(t, "m1", []lesson{{Arm: "a", Reward: 1, Times: 40}, {Arm: "b", Times: 40}})
	w.set = policy.Compile([]*policy.Policy{{
		Name: "complaints", Enabled: true, When: &policy.Condition{Attribute: "intent", Operator: policy.Equal, Value: "complaint"},
		Effect: policy.Effect{Fixed: &policy.Fixed{Actions: []event.Action{{Type: "TRANSFER_TO_SKILL", Target: "b"}}}},
	}}, 1)
	e := w.engine(t)
	for i := range 200 {
		d := inquire(t, e, &decision.Request{Account: "acme", RequestID: strconv.Itoa(i), Intent: "complaint", Candidates: offers("a", "b")})
		if d.ModelOnly != "a" || d.Chosen != "b" || d.Drawn != "" || d.Propensity != 1 || d.Explored || d.DecidedBy != event.DecidedByPolicy {
			t.Fatalf("model %q, drawn %q, chosen %q with %g, explored %v, by %s", d.ModelOnly, d.Drawn, d.Chosen, d.Propensity, d.Explored, d.DecidedBy)
		}
		at := slices.IndexFunc(d.Candidates, func(c event.Candidate) bool { return c.Key() == "a" })
		if d.Candidates[at].Verdict != decision.VerdictFixed+"complaints" || d.Candidates[at].Probability != 0 || d.Candidates[at].Score == 0 {
			t.Fatalf("%+v", d.Candidates[at])
		}
	}
}
