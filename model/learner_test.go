package model_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/usherhq/usher/model"
)

func newLearner(t testing.TB, cfg model.Config) *model.Learner {
	t.Helper()
	l, err := model.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func learn(t testing.TB, l *model.Learner, e model.Example) {
	t.Helper()
	if err := l.Learn(e); err != nil {
		t.Fatal(err)
	}
}

// People send everything of kind x to a, which is right one time in five; b is
// always right there. Elsewhere people are right.
func TestLearnsWhereTheBaselineIsWrong(t *testing.T) {
	l := newLearner(t, model.DefaultConfig())
	var ctx model.Features
	kinds := []string{"x", "y", "z"}
	for i := range 600 {
		kind := kinds[i%3]
		ctx.Reset()
		ctx.AddString("kind", kind)
		arms := []model.Arm{{ID: "a", Baseline: kind != "z"}, {ID: "b", Baseline: kind == "z"}}
		chosen, reward := 0, 1.0
		switch {
		case kind == "z":
			chosen = 1
		case kind == "x" && i%4 == 0:
			chosen = 1 // an exploration
		case kind == "x" && i%5 > 0:
			reward = 0
		case kind == "y" && i%8 == 0:
			chosen, reward = 1, 0
		}
		learn(t, l, model.Example{Context: &ctx, Arms: arms, Chosen: chosen, Reward: reward, Propensity: 1})
	}
	m := l.Snapshot("v")
	var s model.Scratch
	out := make([]model.Score, 2)
	for kind, best := range map[string]int{"x": 1, "y": 0, "z": 1} {
		ctx.Reset()
		ctx.AddString("kind", kind)
		m.Score(&s, &ctx, []model.Arm{{ID: "a", Baseline: kind != "z"}, {ID: "b", Baseline: kind == "z"}}, out)
		if out[best].Value <= out[1-best].Value {
			t.Errorf("kind %s: %+v, want arm %d first", kind, out, best)
		}
	}
}

// A new arm takes what is known of arms that are like it.
func TestArmFeaturesCarryOver(t *testing.T) {
	l := newLearner(t, model.DefaultConfig())
	var ctx, east, west model.Features
	east.AddString("team", "east")
	west.AddString("team", "west")
	ctx.AddString("kind", "x")
	for i := range 60 {
		arms := []model.Arm{{ID: "e1", Features: &east}, {ID: "w1", Features: &west}}
		learn(t, l, model.Example{Context: &ctx, Arms: arms, Chosen: i % 2, Reward: float64(i % 2)})
	}
	out := make([]model.Score, 2)
	l.Score(&ctx, []model.Arm{{ID: "e2", Features: &east}, {ID: "w2", Features: &west}}, out)
	if out[1].Value < out[0].Value+0.2 || out[0].Known || out[1].Known {
		t.Errorf("scores %+v of new arms, want the western one well ahead", out)
	}
}

// Curves: the right arm depends on a product of numbers, which no line can tell.
func TestLearnsCurvesInNumbers(t *testing.T) {
	l := newLearner(t, model.DefaultConfig())
	var ctx model.Features
	right := func(i int) (x, y float64, arm int) {
		x, y = float64(i*7%100)*1000, float64(i*13%89)
		if (x > 50_000) == (y > 44) {
			arm = 1
		}
		return x, y, arm
	}
	arms, out := []model.Arm{{ID: "a"}, {ID: "b"}}, make([]model.Score, 2)
	wrong := 0
	for i := range 1500 {
		x, y, arm := right(i)
		ctx.Reset()
		ctx.AddNumber("x", x)
		ctx.AddNumber("y", y)
		l.Score(&ctx, arms, out)
		if i >= 1000 && (out[1].Value > out[0].Value) != (arm == 1) {
			wrong++
		}
		reward := 0.0
		if arm == i%2 {
			reward = 1
		}
		learn(t, l, model.Example{Context: &ctx, Arms: arms, Chosen: i % 2, Reward: reward})
	}
	if wrong > 75 || l.Snapshot("v").Family() != "dense" {
		t.Errorf("%d of 500 wrong, family %s", wrong, l.Snapshot("v").Family())
	}
}

// Whatever comes, scores are usable numbers within the reward range.
func TestScoresStayInRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := model.DefaultConfig()
		cfg.RewardMin, cfg.RewardMax = -5, 20
		cfg.MaxFeatures, cfg.MaxArms, cfg.MaxCells = 20, 4, 64
		l, err := model.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		var ctx model.Features
		out := make([]model.Score, 6)
		for range rapid.IntRange(1, 40).Draw(t, "rows") {
			ctx.Reset()
			ctx.AddNumber("n", rapid.Float64().Draw(t, "n"))
			ctx.AddNumber("m", rapid.Float64Range(-1e6, 1e6).Draw(t, "m"))
			ctx.AddString("s", fmt.Sprint(rapid.IntRange(0, 50).Draw(t, "s")))
			arms := make([]model.Arm, 6)
			base := rapid.IntRange(-1, 5).Draw(t, "baseline")
			for i := range arms {
				arms[i] = model.Arm{ID: fmt.Sprint(rapid.IntRange(0, 9).Draw(t, "arm")), Baseline: i == base}
			}
			l.Score(&ctx, arms, out)
			for _, s := range out {
				if !(s.Value >= -5 && s.Value <= 20) || !(s.StdErr >= 0) || math.IsInf(s.StdErr, 0) {
					t.Fatalf("score %+v", s)
				}
			}
			e := model.Example{
				Context: &ctx, Arms: arms, Chosen: rapid.IntRange(0, 5).Draw(t, "chosen"),
				Reward: rapid.Float64().Draw(t, "reward"), Weight: rapid.Float64Range(0, 1e6).Draw(t, "weight"),
			}
			if err := l.Learn(e); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := model.Decode(l.Snapshot("v").Encode()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestLearnRefusesWhatItCannotUse(t *testing.T) {
	l := newLearner(t, model.DefaultConfig())
	var ctx model.Features
	ctx.AddString("kind", "x")
	arms := []model.Arm{{ID: "a"}}
	before := l.Snapshot("v").Encode()
	for name, e := range map[string]model.Example{
		"no arm":     {Context: &ctx},
		"beyond":     {Context: &ctx, Arms: arms, Chosen: 1},
		"negative":   {Context: &ctx, Arms: arms, Chosen: -1},
		"no reward":  {Context: &ctx, Arms: arms, Reward: math.NaN()},
		"bad weight": {Context: &ctx, Arms: arms, Weight: math.Inf(1)},
	} {
		if err := l.Learn(e); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if string(l.Snapshot("v").Encode()) != string(before) {
		t.Error("a refused example changed the learner")
	}
}

func TestStatsCompareWithTheMean(t *testing.T) {
	l := newLearner(t, model.DefaultConfig())
	var ctx model.Features
	for i := range 400 {
		ctx.Reset()
		ctx.AddString("kind", []string{"x", "y"}[i%2])
		learn(t, l, model.Example{Context: &ctx, Arms: []model.Arm{{ID: "a"}}, Reward: float64(i % 2)})
	}
	s := l.Stats()
	if s.Rows != 400 || math.Abs(s.MeanReward-0.5) > 0.01 || s.ProgressiveLoss > 0.05 || s.BaselineLoss < 0.2 {
		t.Errorf("stats %+v", s)
	}
}

func TestExplainNamesWhatCounts(t *testing.T) {
	l := newLearner(t, model.DefaultConfig())
	var ctx model.Features
	for i := range 200 {
		ctx.Reset()
		ctx.AddString("kind", []string{"good", "bad"}[i%2])
		ctx.AddString("noise", fmt.Sprint(i%7))
		arms := []model.Arm{{ID: "a", Baseline: true}, {ID: "b"}}
		learn(t, l, model.Example{Context: &ctx, Arms: arms, Reward: float64(1 - i%2)})
	}
	m := l.Snapshot("v")
	ctx.Reset()
	ctx.AddString("kind", "good")
	ctx.AddString("noise", "3")
	ctx.AddString("unheard of", "!")
	factors := m.ExplainAmong(&ctx, []model.Arm{{ID: "a", Baseline: true}, {ID: "b"}}, 0, 10)
	names := ""
	for _, f := range factors {
		names += f.Name + ";"
	}
	if !strings.Contains(names, "kind=good;") || !strings.Contains(names, "fit;") || strings.Contains(names, "unheard") {
		t.Errorf("factors %+v", factors)
	}
	if got := m.Explain(&ctx, model.Arm{ID: "a"}, 1); len(got) != 1 {
		t.Errorf("asked for one factor, got %+v", got)
	}
	if m.ExplainAmong(&ctx, nil, 0, 1) != nil {
		t.Error("factors of no arm")
	}
}

func TestConfigNamesEveryFault(t *testing.T) {
	_, err := model.New(model.Config{RewardMin: 1, RewardMax: 1, MaxCells: 1 << 40})
	for _, part := range []string{"reward range", "max_features", "max_arms", "max_cells"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v does not name %s", err, part)
		}
	}
}
