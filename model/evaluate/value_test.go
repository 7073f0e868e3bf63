package evaluate_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/model/evaluate"
)

// drawDecided plays a service desk with three skills of which the intent's own
// solves 80 % and the others 30 %; target says what the policy under test does.
func drawDecided(n int, target func(intent string) string) []*evaluate.Decided {
	r := rand.New(rand.NewPCG(3, 4))
	skills := []string{"a", "b", "c"}
	rows := make([]*evaluate.Decided, n)
	for i := range rows {
		intent, chosen := skills[r.IntN(3)], skills[r.IntN(3)]
		rate, reward := 0.3, 0.0
		if intent == chosen {
			rate = 0.8
		}
		if r.Float64() < rate {
			reward = 1
		}
		rows[i] = &evaluate.Decided{
			ID: fmt.Sprint(i), Time: time.Unix(int64(i), 0), Facts: model.Facts{Intent: intent},
			Options: []model.Option{{Key: "a"}, {Key: "b"}, {Key: "c"}}, Probabilities: []float64{1. / 3, 1. / 3, 1. / 3},
			Chosen: chosen, Propensity: 1. / 3, Reward: reward, Target: target(intent), Segment: intent,
		}
	}
	return rows
}

func valued(t *testing.T, rows []*evaluate.Decided) (evaluate.OPEResult, map[string]evaluate.OPEResult) {
	t.Helper()
	v := evaluate.NewValuer(0, 1)
	if err := v.Fit(append([]*evaluate.Decided(nil), rows...)); err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		v.Add(r)
	}
	return v.Result(0.95)
}

func TestValuerFindsTheWorthOfAPolicy(t *testing.T) {
	rows := drawDecided(3000, func(intent string) string { return intent })
	all, segments := valued(t, rows)
	e := all.Estimates[all.Default]
	if !all.Trusted || all.Default != evaluate.DR || len(all.Estimates) != 7 || e.Lower > 0.8 || e.Upper < 0.8 || e.Upper-e.Lower > 0.1 {
		t.Errorf("worth 0.8, estimated %+v", all)
	}
	for name, s := range segments {
		if e := s.Estimates[s.Default]; !s.Trusted || e.Value < 0.7 || e.Value > 0.9 {
			t.Errorf("segment %s: %+v", name, e)
		}
	}
	done, _ := valued(t, drawDecided(3000, func(string) string { return "" }))
	if e := done.Estimates[done.Default]; !near(e.Value, done.Logged, 1e-9) {
		t.Errorf("what was done is worth %+v, its mean reward is %.4f", e, done.Logged)
	}
}

// Half of what the target does could never have been drawn.
func TestValuerSaysWhatNobodyCanKnow(t *testing.T) {
	rows := drawDecided(3000, func(intent string) string {
		if intent == "c" {
			return "never offered"
		}
		return intent
	})
	all, segments := valued(t, rows)
	if all.Trusted || all.UnsupportedShare < 0.3 || segments["c"].Trusted || !segments["a"].Trusted {
		t.Errorf("trusted %v, unsupported %.2f", all.Trusted, all.UnsupportedShare)
	}
	for name, e := range all.Estimates {
		if !e.Withheld {
			t.Errorf("%s is given: %+v", name, e)
		}
	}
}

// Sums of a warehouse estimate what its rows estimate.
func TestSumsEstimateWhatRowsDo(t *testing.T) {
	rows := drawDecided(500, func(intent string) string { return intent })
	var e evaluate.OPE
	s := evaluate.Sums{MinLogged: 1. / 3, MaxTarget: 1, MaxReward: 1}
	for _, r := range rows {
		o := evaluate.Observation{Reward: r.Reward, Logged: 1. / 3}
		w := 0.0
		if r.Chosen == r.Target {
			o.Target, w = 1, 3
			s.Informative++
			if r.Reward > 0 {
				s.Rewarded++
			}
		}
		e.Add(o)
		s.N++
		s.W, s.WW, s.R, s.RR = s.W+w, s.WW+w*w, s.R+r.Reward, s.RR+r.Reward*r.Reward
		s.WR, s.WWR, s.WWRR = s.WR+w*r.Reward, s.WWR+w*w*r.Reward, s.WWRR+w*w*r.Reward*r.Reward
		s.Largest = max(s.Largest, w)
	}
	rowwise, summed := e.Result(0.95), s.Estimate(0.95)
	for _, name := range []string{evaluate.IPS, evaluate.SNIPS} {
		a, b := rowwise.Estimates[name], summed.Estimates[name]
		if !near(a.Value, b.Value, 1e-9) || !near(a.Lower, b.Lower, 1e-6) || !near(a.Upper, b.Upper, 1e-6) || summed.Trusted != rowwise.Trusted {
			t.Errorf("%s: %+v of sums, %+v of rows", name, b, a)
		}
	}
}

// Sums know no less than rows that rewards which never vary tell little, and how far
// rewards could go.
func TestSumsOfRewardsThatNeverVary(t *testing.T) {
	for reward, want := range map[float64][2]float64{0: {0, 0.03}, 1: {0.97, 1}} {
		s := evaluate.Sums{
			N: 500, Informative: 500, Rewarded: int64(500 * reward), W: 500, WW: 500, R: 500 * reward, RR: 500 * reward,
			WR: 500 * reward, WWR: 500 * reward, WWRR: 500 * reward, Largest: 1, MinLogged: 0.5, MaxTarget: 0.5,
			MinReward: reward, MaxReward: reward, Lowest: 0, Highest: 1,
		}
		res := s.Estimate(0.95)
		e := res.Estimates[evaluate.SNIPS]
		if res.Trusted || e.Upper-e.Lower < 0.003 || e.Lower < want[0] || e.Upper > want[1] {
			t.Errorf("rewards of %g: trusted %v, %+v", reward, res.Trusted, e)
		}
	}
}
