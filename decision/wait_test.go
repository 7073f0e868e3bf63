package decision_test

import (
	"context"
	"slices"
	"strconv"
	"testing"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/model/explore"
	"github.com/usherhq/usher/pipeline/event"
)

// priced is a world where skill a is worth a little more than skill b.
func priced(t testing.TB, price, waitA, waitB float64) *world {
	w := newWorld()
	w.model = teach(t, "m1", []lesson{{Arm: "a", Reward: 0.9, Times: 500}, {Arm: "b", Reward: 0.7, Times: 500}})
	w.modes["account"] = decision.Mode{Kind: decision.ModeOn}
	w.accounts["acme"] = decision.Account{WaitPrices: map[string]float64{"default": price}}
	w.skills = map[string]event.Skill{
		"a": {AgentsOnline: 5, QueueSize: 9, Load: 1, WaitSeconds: waitA, At: w.now},
		"b": {AgentsOnline: 5, QueueSize: 1, Load: 1, WaitSeconds: waitB, At: w.now},
	}
	return w
}

func ask(t testing.TB, w *world, request string) *event.Decision {
	t.Helper()
	d, err := w.engine(t).Decide(context.Background(), &decision.Request{
		Account: "acme", RequestID: request,
		Candidates: []event.Candidate{{Action: event.Action{Target: "a"}}, {Action: event.Action{Target: "b"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestRankingFollowsTheQueue(t *testing.T) {
	for _, c := range []struct {
		name        string
		price, a, b float64 // seconds
		lost        string  // skill whose state is not known
		best        string
		reason      string
	}{
		{name: "no price", price: 0, a: 1800, b: 0, best: "a"},
		{name: "no queue", price: 0.02, a: 0, b: 0, best: "a"},
		{name: "equal queues cancel out", price: 0.02, a: 1800, b: 1800, best: "a"},
		{name: "a long queue", price: 0.02, a: 1800, b: 60, best: "b", reason: decision.ReasonWaitPriced},
		{name: "a queue not worth leaving", price: 0.02, a: 120, b: 0, best: "a"},
		{name: "nothing known of the busy one", price: 0.02, a: 1800, b: 0, lost: "a", best: "a", reason: decision.ReasonWaitUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := priced(t, c.price, c.a, c.b)
			delete(w.skills, c.lost)
			d := ask(t, w, "r-1")
			if d.ModelOnly != c.best {
				t.Errorf("the best is %q, want %q: %+v", d.ModelOnly, c.best, d.Candidates)
			}
			for _, r := range []string{decision.ReasonWaitPriced, decision.ReasonWaitUnknown} {
				if got := slices.Contains(d.Reasons, r); got != (r == c.reason) {
					t.Errorf("reasons %v; %s must be there: %v", d.Reasons, r, r == c.reason)
				}
			}
			for i, wait := range []float64{c.a, c.b} {
				one := &d.Candidates[i]
				want := c.price * wait / 60
				if one.Key() == c.lost {
					want = 0
				}
				if diff := one.WaitCost - want; diff > 1e-12 || diff < -1e-12 {
					t.Errorf("%s costs %g, want %g", one.Key(), one.WaitCost, want)
				}
				if diff := one.Priority - (one.Score - one.WaitCost); diff > 1e-12 || diff < -1e-12 {
					t.Errorf("%s: priority %g is not score %g minus cost %g", one.Key(), one.Priority, one.Score, one.WaitCost)
				}
				at := slices.IndexFunc(one.Factors, func(f event.Factor) bool { return f.Name == "wait" })
				if (at >= 0) != (want > 0) || at >= 0 && one.Factors[at].Value != -one.WaitCost {
					t.Errorf("%s: factors %v do not tell a cost of %g", one.Key(), one.Factors, want)
				}
			}
		})
	}
}

// A price must not make what is logged dishonest: the arms are drawn as often as
// their logged probabilities say.
func TestPropensitiesStayExactUnderAPrice(t *testing.T) {
	w := priced(t, 0.02, 1800, 60)
	share := 0.4
	w.modes["account"] = decision.Mode{Kind: decision.ModeOn, Exploration: &share}
	const n = 20_000
	drawn := map[string]int{}
	var logged event.Decision
	for i := range n {
		d := ask(t, w, "r-"+strconv.Itoa(i))
		drawn[d.Chosen]++
		logged = *d
		if d.Propensity != d.Candidates[slices.IndexFunc(d.Candidates, func(c event.Candidate) bool { return c.Key() == d.Chosen })].Probability {
			t.Fatal("the propensity is not the probability of the chosen one")
		}
	}
	var chi float64
	for i := range logged.Candidates {
		c := &logged.Candidates[i]
		expected := n * c.Probability
		chi += (float64(drawn[c.Key()]) - expected) * (float64(drawn[c.Key()]) - expected) / expected
	}
	if chi > 10.83 { // p 0.001, one degree of freedom
		t.Errorf("drawn %v against %+v: chi-square %.1f", drawn, logged.Candidates, chi)
	}
	if p := logged.Candidates[0].Probability; p < explore.DefaultConfig().Floor || p > 0.21 {
		t.Errorf("the busy one is drawn with probability %g; half of the exploration is its share", p)
	}
}

func TestAQueueThatIsGoneCostsNothing(t *testing.T) {
	w := priced(t, 0.02, 1800, 60)
	w.skills["a"] = event.Skill{AgentsOnline: 5, Load: 0.8, WaitSeconds: 1800, At: w.now}
	if d := ask(t, w, "r-1"); d.ModelOnly != "a" || d.Candidates[0].WaitCost != 0 {
		t.Errorf("somebody is free there, yet %q is best at cost %g", d.ModelOnly, d.Candidates[0].WaitCost)
	}
}

func TestTheQueueIsReadWhereHandleTimeIsKnown(t *testing.T) {
	w := priced(t, 0.02, 0, 60)
	w.skills["a"] = event.Skill{AgentsOnline: 5, QueueSize: 9, Load: 1, HandleSeconds: 600, At: w.now}
	// The last hour was quiet, yet ten conversations of ten minutes go before five agents.
	d := ask(t, w, "r-1")
	if d.ModelOnly != "b" || d.Candidates[0].WaitCost < 0.399 || d.Candidates[0].WaitCost > 0.401 {
		t.Errorf("%q is best at cost %g, want b and 0.02 x 20 minutes", d.ModelOnly, d.Candidates[0].WaitCost)
	}
}

func TestStaleStateHasNoPrice(t *testing.T) {
	// What the source does not vouch for is not there; see skillstate.MaxAge.
	w := priced(t, 0.02, 1800, 60)
	w.skills = nil
	d := ask(t, w, "r-1")
	if d.ModelOnly != "a" || d.Candidates[0].WaitCost != 0 {
		t.Errorf("without live state %q is best at cost %g", d.ModelOnly, d.Candidates[0].WaitCost)
	}
	if !slices.Contains(d.Reasons, decision.ReasonWaitUnknown) {
		t.Errorf("the record does not say that nothing was known: %v", d.Reasons)
	}
}

// Of two that are worth the same the first, with the shorter queue, is best with a price
// and without: what taking the price off and putting it back rounds is no reason.
func TestATieIsNotTheWaitsDoing(t *testing.T) {
	d := &drawn{scores: map[string]model.Score{"a": {Value: 0.1, Known: true}, "b": {Value: 0.1, Known: true}}}
	for seconds := range 300 {
		w := priced(t, 0.7, 0, float64(seconds))
		got := inquire(t, w.replaying(t, d), &decision.Request{Account: "acme", RequestID: "r-1", Candidates: offers("a", "b")})
		if got.ModelOnly != "a" || has(got, decision.ReasonWaitPriced) {
			t.Fatalf("%d s: %q is best, reasons %v", seconds, got.ModelOnly, got.Reasons)
		}
	}
}
