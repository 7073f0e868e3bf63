package evaluate_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/usherhq/usher/model/evaluate"
)

// contest describes two models on one log. Two arms; arm 1 is right when the
// context says so, arm 0 otherwise. skill is how often a model knows.
type contest struct {
	name              string
	rows              int
	challenger, rival float64 // share of contexts that each reads correctly
	blur              float64 // noise on the challenger's predictions
	explored          float64 // share of logged decisions drawn evenly
	required          float64
	hasRival          bool
	pass              bool
	reason            string
}

// play draws the contest's log and runs it through a gate. The logged policy
// takes arm 0, but for its exploration.
func (c *contest) play(seed uint64) evaluate.Verdict {
	r := rand.New(rand.NewPCG(seed, 3))
	cfg := evaluate.DefaultGateConfig()
	cfg.RequiredGain = c.required
	g := evaluate.NewGate(cfg, c.hasRival)
	for range c.rows {
		right := r.IntN(2)
		mine, theirs := right, right
		if r.Float64() > c.challenger {
			mine = 1 - right
		}
		if r.Float64() > c.rival {
			theirs = 1 - right
		}
		logged, p := 0, 1-c.explored/2
		if r.Float64() < c.explored/2 {
			logged, p = 1, c.explored/2
		}
		foretell := func(choice, arm int) float64 {
			if choice == arm {
				return 0.9
			}
			return 0.1
		}
		t := evaluate.Trial{
			Propensity: p, Constant: 0.5, Against: c.hasRival,
			Challenger: foretell(mine, logged) + c.blur*(r.Float64()-0.5), Champion: foretell(theirs, logged),
			Same: mine == theirs, TakesLogged: mine == logged, ChampionTakesLogged: theirs == logged,
			Value: foretell(mine, mine), ChampionValue: foretell(mine, theirs),
		}
		if logged == right {
			t.Reward = 1
		}
		g.Add(t)
	}
	return g.Verdict()
}

func TestGateContests(t *testing.T) {
	for _, c := range []contest{
		{name: "first model that knows", rows: 400, challenger: 0.9, explored: 0.4, pass: true, reason: "gain over the logged decisions"},
		{name: "first model without exploration", rows: 400, challenger: 0.9, pass: true, reason: "gain in reward is unknown"},
		{name: "first model that guesses", rows: 400, challenger: 0.5, explored: 0.4, reason: "no better than their mean"},
		{name: "too few rows", rows: 20, challenger: 0.9, explored: 0.4, reason: "only 20 held-out rows"},
		{name: "better than the champion", rows: 400, challenger: 0.9, rival: 0.7, hasRival: true, explored: 0.4, pass: true, reason: "gain over the champion"},
		{name: "as good as the champion", rows: 2000, challenger: 0.9, rival: 0.9, hasRival: true, explored: 0.4, pass: true, reason: "gain over the champion"},
		{name: "the champion again", rows: 400, challenger: 1, rival: 1, hasRival: true, explored: 0.4, pass: true, reason: "gain over the champion is 0.0000"},
		{name: "worse than the champion", rows: 400, challenger: 0.75, rival: 0.95, hasRival: true, explored: 0.4, reason: "worse than the champion"},
		{name: "worse, without exploration", rows: 400, challenger: 0.75, rival: 0.95, hasRival: true, reason: "worse than the champion"},
		{name: "proof demanded and given", rows: 2000, challenger: 0.95, rival: 0.6, hasRival: true, explored: 0.4, required: 0.1, pass: true, reason: "gain over the champion"},
		{name: "proof demanded, gain too small", rows: 2000, challenger: 0.95, rival: 0.9, hasRival: true, explored: 0.4, required: 0.2, reason: "the objective demands 0.2"},
		{name: "proof demanded, no exploration", rows: 2000, challenger: 0.95, rival: 0.6, hasRival: true, required: 0.1, reason: "it cannot be known"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := c.play(11)
			if v.Pass != c.pass || !strings.Contains(v.Reason, c.reason) {
				t.Errorf("pass %v: %s; want %v: ...%s...\n%+v", v.Pass, v.Reason, c.pass, c.reason, v)
			}
			if v.Supported && (v.GainLower > v.Gain || v.Gain > v.GainUpper) {
				t.Errorf("gain %+v is outside its bounds", v)
			}
		})
	}
}

// TestGateKnowsTheGain: the bounds hold the true gain as often as they claim, and
// a challenger that loses much is let through next to never.
func TestGateKnowsTheGain(t *testing.T) {
	const plays = 300
	c := contest{rows: 1000, challenger: 0.85, rival: 0.75, hasRival: true, explored: 0.4}
	below, above := 0, 0
	for seed := range uint64(plays) {
		v := c.play(seed)
		if !v.Supported {
			t.Fatalf("not supported: %s", v.Reason)
		}
		if v.GainLower > 0.1 {
			below++
		}
		if v.GainUpper < 0.1 {
			above++
		}
	}
	// Each bound fails in 5 %; 0.09 is three standard errors above.
	if share := float64(below) / plays; share > 0.09 {
		t.Errorf("lower bound above the true gain in %.3f of plays", share)
	}
	if share := float64(above) / plays; share > 0.09 {
		t.Errorf("upper bound below the true gain in %.3f of plays", share)
	}
	bad := contest{rows: 400, challenger: 0.7, rival: 0.9, hasRival: true, explored: 0.4}
	let := 0
	for seed := range uint64(plays) {
		if bad.play(seed).Pass {
			let++
		}
	}
	if let > plays/100 {
		t.Errorf("%d of %d challengers that lose a fifth of the reward were promoted", let, plays)
	}
}
