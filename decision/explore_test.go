package decision_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/pipeline/event"
)

// drawn is a world in replay, where scores and bounds are what the test says.
type drawn struct {
	scores map[string]model.Score
	spent  map[string]bool
	caps   map[string]float64
}

func (d *drawn) Scores(keys []string, out []model.Score) (string, bool) {
	for i, key := range keys {
		out[i] = d.scores[key]
	}
	return "m1", true
}

func (d *drawn) Spent(key string) bool       { return d.spent[key] }
func (d *drawn) ShareCap(key string) float64 { return d.caps[key] }

func (w *world) replaying(t testing.TB, d *drawn) *decision.Engine {
	t.Helper()
	e, err := decision.New(decision.DefaultConfig(), decision.Deps{
		Policies: w, Models: w, Control: w, Now: func() time.Time { return w.now }, NewID: w.newID, Scores: d, Past: d, Skills: w,
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func offers(keys ...string) []event.Candidate {
	out := make([]event.Candidate, len(keys))
	for i, key := range keys {
		out[i].Target = key
	}
	return out
}

func exploring(share float64) decision.Mode {
	return decision.Mode{Kind: decision.ModeOn, Exploration: &share}
}

func inquire(t interface {
	Helper()
	Fatal(args ...any)
}, e *decision.Engine, r *decision.Request,
) *event.Decision {
	t.Helper()
	d, err := e.Decide(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func has(d *event.Decision, reason string) bool { return slices.Contains(d.Reasons, reason) }

// Whatever bounds exploration, the probabilities are a distribution over the eligible
// candidates, the chosen one's is above 0 and is the propensity, a bound holds unless
// policy alone would choose the arm, and the reason says what was bounded.
func TestBoundedExplorationIsExact(t *testing.T) {
	keys := []string{"a", "b", "c", "d"}
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld()
		share := rapid.SampledFrom([]float64{0, 0.005, 0.3, 1}).Draw(rt, "exploration")
		w.modes["account"] = exploring(share)
		if rapid.Bool().Draw(rt, "default share") {
			w.modes["account"] = decision.Mode{Kind: decision.ModeOn}
		}
		w.set = policy.Compile([]*policy.Policy{{
			Name: "not a", Enabled: rapid.Bool().Draw(rt, "denies"), Effect: policy.Effect{Deny: &policy.Deny{Targets: []string{"a"}}},
		}}, 1)
		past := &drawn{scores: map[string]model.Score{}, spent: map[string]bool{}, caps: map[string]float64{}}
		for _, key := range keys {
			past.scores[key] = model.Score{Value: rapid.Float64Range(0, 1).Draw(rt, "value"), StdErr: rapid.Float64Range(0, 1).Draw(rt, "error")}
			past.spent[key] = rapid.Bool().Draw(rt, "spent")
			if rapid.Bool().Draw(rt, "new") {
				past.caps[key] = decision.ShareCap(rapid.Int64Range(0, 199).Draw(rt, "positives"))
			}
		}
		r := &decision.Request{
			Account: "acme", RequestID: rapid.StringMatching(`[a-z0-9]{1,8}`).Draw(rt, "request"), Candidates: offers(keys...),
			NoExploration: rapid.IntRange(0, 4).Draw(rt, "flag") == 0,
		}
		if rapid.Bool().Draw(rt, "has baseline") {
			r.Baseline = &event.Action{Target: rapid.SampledFrom(keys).Draw(rt, "baseline")}
		}
		d := inquire(rt, w.replaying(t, past), r)
		checkProbabilities(rt, d)
		checkBounds(rt, past, r, d)
	})
}

func checkBounds(t *rapid.T, past *drawn, r *decision.Request, d *event.Decision) {
	proven := slices.ContainsFunc(d.Candidates, func(c event.Candidate) bool { return c.Eligible && past.caps[c.Key()] == 0 })
	if r.NoExploration && (d.Propensity != 1 || d.Explored || !has(d, decision.ReasonNoExploration)) {
		t.Fatalf("flagged, and drawn with %g: %v", d.Propensity, d.Reasons)
	}
	for i := range d.Candidates {
		c := &d.Candidates[i]
		key := c.Key()
		bound := past.caps[key]
		if bound > 0 && proven && key != d.PolicyOnly {
			if c.Probability > bound+1e-12 {
				t.Fatalf("%s may have %g and has %g", key, bound, c.Probability)
			}
			if c.Eligible && c.ShareCap != bound {
				t.Fatalf("%s may have %g, the record says %g", key, bound, c.ShareCap)
			}
		} else if c.ShareCap != 0 {
			t.Fatalf("%s is bounded by %g although nothing bounds it", key, c.ShareCap)
		}
		if past.spent[key] && key == d.Chosen && d.Explored {
			t.Fatalf("%s was tried although it has no draw left: %v", key, d.Reasons)
		}
	}
	if d.Explored != (d.Chosen != d.ModelOnly) && !has(d, decision.ReasonArmRamp) {
		t.Fatalf("explored %v, chosen %s, best %s: %v", d.Explored, d.Chosen, d.ModelOnly, d.Reasons)
	}
}

// A new arm gets 2 % at first and its full share after 200 positives, also when it
// looks best by far; with nobody proven, and where policy would choose it, all.
func TestANewArmComesInSlowly(t *testing.T) {
	w := newWorld()
	w.modes["account"] = decision.Mode{Kind: decision.ModeOn}
	request := func(i int, baseline string) *decision.Request {
		return &decision.Request{
			Account: "acme", RequestID: "r" + strconv.Itoa(i), Candidates: offers("old", "other", "new"), Baseline: &event.Action{Target: baseline},
		}
	}
	scores := map[string]model.Score{"old": {Value: 0.5}, "other": {Value: 0.4}, "new": {Value: 0.9, StdErr: 0.1}}
	for _, c := range []struct {
		positives int64
		baseline  string
		most      float64
		caps      []string
	}{
		{0, "old", 0.02, []string{"new"}},
		{100, "old", 0.51, []string{"new"}},
		{200, "old", 1, nil},
		{0, "new", 1, []string{"new"}},
		{0, "old", 1, []string{"old", "other", "new"}},
	} {
		past := &drawn{scores: scores, caps: map[string]float64{}}
		for _, key := range c.caps {
			past.caps[key] = decision.ShareCap(c.positives)
		}
		e := w.replaying(t, past)
		const draws = 20_000
		got := 0
		for i := range draws {
			if d := inquire(t, e, request(i, c.baseline)); d.Chosen == "new" {
				got++
			}
		}
		share := float64(got) / draws
		if sigma := math.Sqrt(c.most * (1 - c.most) / draws); share > c.most+4*sigma || share < min(c.most, 0.99)-0.01-4*sigma {
			t.Errorf("%+v: share %g", c, share)
		}
	}
}

// Budgets hold per target and clock hour, under many deciders at once, and come anew
// with the next hour. What is drawn when one is spent is drawn with its true
// probability.
func TestExplorationBudgets(t *testing.T) {
	w := newWorld()
	w.modes["account"] = exploring(1)
	w.model = teach(t, "m1", []lesson{{Arm: "a", Reward: 1, Times: 20}, {Arm: "b", Times: 20}, {Arm: "c", Times: 20}})
	elsewhere := int64(7)
	w.accounts["acme"] = decision.Account{ExplorationPerHour: map[string]int64{"b": 3, "d": 0}, ExplorationElsewhere: &elsewhere}
	e := w.engine(t)
	for hour := range 3 {
		var mu sync.Mutex
		tried := map[string]int{}
		var deciders sync.WaitGroup
		// Ids come from the world, which is for one at a time.
		ask := func(i int) {
			mu.Lock()
			defer mu.Unlock()
			d := inquire(t, e, &decision.Request{Account: "acme", RequestID: fmt.Sprintf("%d-%d", hour, i), Candidates: offers("a", "b", "c", "d")})
			if d.Explored {
				tried[d.Chosen]++
			}
			// d has none from the start.
			if !has(d, decision.ReasonExplorationBudget) {
				t.Errorf("tried %v: %v", tried, d.Reasons)
			}
			if p := d.Candidates[3].Probability; p != 0 {
				t.Errorf("d has none and may come with %g", p)
			}
		}
		for g := range 4 {
			deciders.Go(func() {
				for i := range 50 {
					ask(g*50 + i)
				}
			})
		}
		deciders.Wait()
		if tried["b"] != 3 || tried["c"] != 7 || tried["d"] != 0 {
			t.Errorf("hour %d: tried %v", hour, tried)
		}
		w.now = w.now.Add(time.Hour)
	}
}

// Many at once never go beyond a budget.
func TestBudgetsUnderContention(t *testing.T) {
	w := newWorld()
	w.modes["account"] = exploring(1)
	w.model = teach(t, "m1", []lesson{{Arm: "a", Reward: 1, Times: 20}, {Arm: "b", Times: 20}})
	limit := int64(25)
	w.accounts["acme"] = decision.Account{ExplorationElsewhere: &limit}
	now := w.now
	e, err := decision.New(decision.DefaultConfig(), decision.Deps{
		Policies: w, Models: w, Control: w, Now: func() time.Time { return now }, NewID: func() string { return "id" },
	})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	tried := 0
	var deciders sync.WaitGroup
	for g := range 8 {
		deciders.Go(func() {
			for i := range 200 {
				d := inquire(t, e, &decision.Request{Account: "acme", RequestID: fmt.Sprintf("%d-%d", g, i), Candidates: offers("a", "b")})
				if d.Explored {
					mu.Lock()
					tried++
					mu.Unlock()
				}
			}
		})
	}
	deciders.Wait()
	if tried != int(limit) {
		t.Errorf("tried %d times, %d allowed", tried, limit)
	}
}

// A dry run spends nothing, and shows what is left.
func TestDryRunsSpendNothing(t *testing.T) {
	w := newWorld()
	w.modes["account"] = exploring(1)
	w.model = teach(t, "m1", []lesson{{Arm: "a", Reward: 1, Times: 20}, {Arm: "b", Times: 20}})
	one := int64(1)
	w.accounts["acme"] = decision.Account{ExplorationElsewhere: &one}
	e := w.engine(t)
	explored := func(dry bool) (n int) {
		for i := range 50 {
			if inquire(t, e, &decision.Request{Account: "acme", RequestID: strconv.Itoa(i), Candidates: offers("a", "b"), DryRun: dry}).Explored {
				n++
			}
		}
		return n
	}
	if n := explored(true); n < 5 {
		t.Errorf("%d dry runs of 50 explored", n)
	}
	if n := explored(false); n != 1 {
		t.Errorf("%d decisions explored, 1 allowed", n)
	}
	if n := explored(true); n != 0 {
		t.Errorf("%d dry runs explored with nothing left", n)
	}
}

// Flagged customers are never explored on: by the account's condition, or by the
// caller's word. Others are, with the same request id as before.
func TestFlaggedCustomersAreNotExploredOn(t *testing.T) {
	w := newWorld()
	w.modes["account"] = exploring(1)
	w.model = teach(t, "m1", []lesson{{Arm: "a", Reward: 1, Times: 20}, {Arm: "b", Times: 20}})
	set, err := decision.CompileCondition([]byte(`{"attribute":"tier","operator":"in","value":["vip","complaint"]}`))
	if err != nil {
		t.Fatal(err)
	}
	w.accounts["acme"] = decision.Account{NoExploration: set}
	e := w.engine(t)
	explored := map[string]int{}
	for i := range 200 {
		for _, tier := range []string{"vip", "basic", "caller", ""} {
			r := &decision.Request{Account: "acme", RequestID: strconv.Itoa(i), Candidates: offers("a", "b"), NoExploration: tier == "caller"}
			if tier != "" {
				r.Attributes = map[string]any{"tier": tier}
			}
			d := inquire(t, e, r)
			flagged := tier == "vip" || tier == "caller"
			if d.Explored {
				explored[tier]++
			}
			if has(d, decision.ReasonNoExploration) != flagged || flagged && (d.Propensity != 1 || d.Chosen != "a") {
				t.Fatalf("%q: %v with %g, %v", tier, d.Chosen, d.Propensity, d.Reasons)
			}
		}
	}
	if explored["vip"]+explored["caller"] != 0 || explored["basic"] < 50 || explored[""] != explored["basic"] {
		t.Errorf("explored on %v", explored)
	}
}

// Nothing that bounds exploration takes memory for a candidate.
func TestBoundsAllocateNothing(t *testing.T) {
	w := newWorld()
	w.model = teach(t, "m1", []lesson{{Arm: "a", Reward: 1, Times: 20}, {Arm: "b", Times: 20}})
	keys := make([]string, 50)
	for i := range keys {
		keys[i] = "k" + strconv.Itoa(i)
	}
	w.modes["account"] = decision.Mode{Kind: decision.ModeOn}
	r := &decision.Request{Account: "acme", RequestID: "r", Candidates: offers(keys...)}
	count := func() float64 {
		e := w.engine(t)
		inquire(t, e, r)
		return testing.AllocsPerRun(100, func() { inquire(t, e, r) })
	}
	before := count()
	limit := int64(1 << 40)
	w.accounts["acme"] = decision.Account{ExplorationElsewhere: &limit}
	if after := count(); after > before {
		t.Errorf("%g allocations with budgets, %g without", after, before)
	}
}

// TestNewArmsAreHeldBackBesideTheFurthest: while no arm has all the positives that end
// the ramp, those with half of what the best has are bounded no more.
func TestNewArmsAreHeldBackBesideTheFurthest(t *testing.T) {
	for _, c := range []struct {
		old, other int
		bounded    string
	}{
		{80, 70, ""},            // nobody is ahead yet
		{120, 70, "new"},        // the second has more than half
		{120, 40, "new other"},  // and now less
		{250, 130, "new other"}, // one is through: the ramp is that of all
		{250, 210, "new"},
	} {
		w := newWorld()
		w.modes["account"] = exploring(0.5)
		w.model = teach(t, "m1", []lesson{{Arm: "old", Reward: 1, Times: c.old}, {Arm: "other", Reward: 1, Times: c.other}})
		d := inquire(t, w.engine(t), &decision.Request{
			Account: "acme", RequestID: "r", Candidates: offers("old", "other", "new"), Baseline: &event.Action{Target: "old"},
		})
		var bounded []string
		for i := range d.Candidates {
			if d.Candidates[i].ShareCap > 0 {
				bounded = append(bounded, d.Candidates[i].Key())
			}
		}
		slices.Sort(bounded)
		if got := strings.Join(bounded, " "); got != c.bounded {
			t.Errorf("with %d and %d positives %q are bounded, want %q", c.old, c.other, got, c.bounded)
		}
	}
}
