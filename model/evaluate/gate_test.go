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
	margin            float64 // 0: the default
	hasRival, shadow  bool
	pass              bool
	reason            string
}

// play draws the contest's log and runs it through a gate. The logged policy
// takes arm 0, but for its exploration.
func (c *contest) play(seed uint64) (v evaluate.Verdict) {
	c.watch(seed, c.rows, func(g *evaluate.Gate) { v = g.Verdict(c.shadow) })
	return v
}

// watch looks at the gate after every tenth row.
func (c *contest) watch(seed uint64, rows int, look func(*evaluate.Gate)) {
	r := rand.New(rand.NewPCG(seed, 3))
	cfg := evaluate.DefaultGateConfig()
	if c.margin != 0 {
		cfg.Margin = c.margin
	}
	g := evaluate.NewGate(cfg, c.hasRival)
	for i := range rows {
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
		if g.Add(t); i%10 == 9 {
			look(g)
		}
	}
}

func TestGateContests(t *testing.T) {
	for _, c := range []contest{
		{name: "first model that knows", rows: 400, challenger: 0.9, explored: 0.4, pass: true, reason: "gain over the logged decisions"},
		{name: "first model without exploration", rows: 400, challenger: 0.9, pass: true, reason: "better than their mean, beyond chance"},
		{name: "first model, few rows", rows: 40, challenger: 0.82, reason: "does not foretell rewards better than their mean beyond chance"},
		{name: "first model, few rows, nothing follows", rows: 40, challenger: 0.82, shadow: true, pass: true, reason: "nothing that is decided follows it"},
		{name: "first model that guesses", rows: 400, challenger: 0.5, explored: 0.4, reason: "no better than their mean"},
		{name: "guesses in the shadow", rows: 400, challenger: 0.5, shadow: true, reason: "no better than their mean"},
		{name: "too few rows", rows: 20, challenger: 0.9, explored: 0.4, reason: "only 20 held-out rows"},
		{name: "better than the champion", rows: 400, challenger: 0.9, rival: 0.7, hasRival: true, explored: 0.4, pass: true, reason: "gain over the champion"},
		{name: "as good as the champion", rows: 2000, challenger: 0.9, rival: 0.9, hasRival: true, explored: 0.8, pass: true, reason: "gain over the champion"},
		{name: "the champion again", rows: 400, challenger: 1, rival: 1, hasRival: true, explored: 0.4, pass: true, reason: "at least -0.05, on 400 held-out rows"},
		{name: "the champion again, too soon", rows: 60, challenger: 1, rival: 1, hasRival: true, reason: "the log cannot tell"},
		{name: "worse than the champion", rows: 400, challenger: 0.75, rival: 0.95, hasRival: true, explored: 0.4, reason: "shown to earn less"},
		{name: "worse, in the shadow", rows: 400, challenger: 0.75, rival: 0.95, hasRival: true, shadow: true, reason: "the log cannot tell"},
		{name: "worse, without exploration", rows: 400, challenger: 0.75, rival: 0.95, hasRival: true, reason: "the log cannot tell"},
		{name: "better, without exploration", rows: 400, challenger: 0.95, rival: 0.75, hasRival: true, pass: true, reason: "better than the champion, beyond chance"},
		{name: "proof demanded and given", rows: 2000, challenger: 0.95, rival: 0.6, hasRival: true, explored: 0.4, margin: 0.1, pass: true, reason: "gain over the champion"},
		{name: "proof demanded, gain too small", rows: 2000, challenger: 0.95, rival: 0.9, hasRival: true, explored: 0.4, margin: 0.2, reason: "must be proven"},
		{name: "proof demanded, no exploration", rows: 2000, challenger: 0.95, rival: 0.6, hasRival: true, margin: 0.1, shadow: true, reason: "must be proven"},
		{name: "more risk accepted", rows: 400, challenger: 0.9, rival: 0.9, hasRival: true, margin: -0.3, pass: true, reason: "at least -0.3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := c.play(11)
			if v.Pass != c.pass || !strings.Contains(v.Reason, c.reason) {
				t.Errorf("pass %v: %s; want %v: ...%s...\n%+v", v.Pass, v.Reason, c.pass, c.reason, v)
			}
			if v.GainLower > v.GainUpper || v.GainLower < -1 || v.GainUpper > 1 || v.Pass != (v.Way != "") {
				t.Errorf("bounds %+v", v)
			}
		})
	}
}

// TestGateMayBeAskedAfterEveryRow: over whole runs, looked at after every tenth
// row, the bounds lose the true gain no more often than they say.
func TestGateMayBeAskedAfterEveryRow(t *testing.T) {
	const plays, rows = 200, 600
	c := contest{challenger: 0.85, rival: 0.75, hasRival: true, explored: 0.4}
	below, above := 0, 0
	for seed := range uint64(plays) {
		missed := [2]bool{}
		c.watch(seed, rows, func(g *evaluate.Gate) {
			v := g.Verdict(false)
			missed[0] = missed[0] || v.GainLower > 0.1
			missed[1] = missed[1] || v.GainUpper < 0.1
		})
		below, above = below+count(missed[0]), above+count(missed[1])
	}
	t.Logf("the lower bound lost the gain in %d of %d runs, the upper in %d", below, plays, above)
	// Each bound may fail in 5 % of runs; 0.096 is three standard errors above.
	if share := float64(below) / plays; share > 0.096 {
		t.Errorf("lower bound above the true gain in %.3f of runs", share)
	}
	if share := float64(above) / plays; share > 0.096 {
		t.Errorf("upper bound below the true gain in %.3f of runs", share)
	}
}

// TestWorseIsNeverPromoted: challengers that earn less than the champion, asked
// after every tenth row of whole runs, with and without exploration.
func TestWorseIsNeverPromoted(t *testing.T) {
	const plays, rows = 100, 500
	for _, c := range []contest{
		{name: "loses a fifth", challenger: 0.7, rival: 0.9, explored: 0.4},
		{name: "loses a fifth, little exploration", challenger: 0.7, rival: 0.9, explored: 0.02},
		{name: "loses a fifth, none", challenger: 0.7, rival: 0.9},
		{name: "guesses", challenger: 0.5, rival: 0.8, explored: 0.1},
		{name: "is always wrong", challenger: 0, rival: 0.8, explored: 0.1},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.hasRival = true
			let := 0
			for seed := range uint64(plays) {
				passed := false
				c.watch(seed, rows, func(g *evaluate.Gate) { passed = passed || g.Verdict(true).Pass })
				let += count(passed)
			}
			t.Logf("promoted in %d of %d runs", let, plays)
			if let > 1 {
				t.Errorf("promoted in %d of %d runs", let, plays)
			}
		})
	}
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestWhatTheLogDoesNotShowHasNoNumber: nothing was explored, and the model would do
// something else in a part of the decisions.
func TestWhatTheLogDoesNotShowHasNoNumber(t *testing.T) {
	for _, c := range []struct {
		differ float64
		trust  bool
	}{{0, true}, {0.02, true}, {0.15, false}, {0.45, false}} {
		r := rand.New(rand.NewPCG(17, 1))
		g := evaluate.NewGate(evaluate.DefaultGateConfig(), false)
		w := evaluate.NewWorth(evaluate.DefaultGateConfig())
		for range 2000 {
			takes, reward := r.Float64() >= c.differ, float64(r.IntN(2))
			w.Add(takes, 1, reward, 0.5, 0.6)
			g.Add(evaluate.Trial{Reward: reward, Propensity: 1, Constant: 0.5, Challenger: 0.5, Value: 0.6, TakesLogged: takes})
		}
		if v := w.Value(); v.Trusted != c.trust {
			t.Errorf("%g differ: trusted %v, value %+v", c.differ, v.Trusted, v)
		}
		if v := g.Verdict(true); v.Supported != c.trust {
			t.Errorf("%g differ: supported %v, gain %g", c.differ, v.Supported, v.Gain)
		}
	}
}

// TestFloorHoldsAtAllTimes: rare, heavy values, looked at all the way.
func TestFloorHoldsAtAllTimes(t *testing.T) {
	const runs, rows, rare = 300, 2000, 0.02
	missed, width := 0, 0.0
	for seed := range uint64(runs) {
		r := rand.New(rand.NewPCG(seed, 5))
		f := evaluate.NewFloor(-1, 0.05)
		bad := false
		for i := range rows {
			x := -1.0
			if r.Float64() < rare {
				x = -1 + 0.9/rare // the mean is -0.1
			}
			if f.Add(x); i%20 == 0 {
				bad = bad || f.Lower() > -0.1
			}
		}
		missed += count(bad)
		width += (f.Mean() - f.Lower()) / runs
	}
	if share := float64(missed) / runs; share > 0.088 {
		t.Errorf("the mean was lost in %.3f of runs", share)
	}
	if width > 0.5 {
		t.Errorf("mean distance of the bound %.3f: it says nothing", width)
	}
}
