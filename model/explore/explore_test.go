package explore_test

import (
	"math"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/model/explore"
)

func anyConfig(t *rapid.T) explore.Config {
	return explore.Config{
		Floor:    rapid.Float64Range(0, 1).Draw(t, "floor"),
		Optimism: rapid.Float64Range(0, 3).Draw(t, "optimism"),
		Gamma:    rapid.SampledFrom([]float64{0, 1, 100, 1e6}).Draw(t, "gamma"),
	}
}

func anyScores(t *rapid.T) ([]model.Score, []bool) {
	n := rapid.IntRange(1, 70).Draw(t, "arms")
	scores, eligible := make([]model.Score, n), make([]bool, n)
	odd := rapid.SampledFrom([]float64{0, 0, 0, math.NaN(), math.Inf(1), math.Inf(-1)})
	for i := range scores {
		scores[i] = model.Score{
			Value:  rapid.Float64Range(-1, 1).Draw(t, "value") + odd.Draw(t, "odd"),
			StdErr: rapid.Float64Range(0, 1).Draw(t, "error"),
		}
		eligible[i] = rapid.Bool().Draw(t, "eligible")
	}
	return scores, eligible
}

func TestProbabilitiesAreADistributionOverEligibleArms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := anyConfig(t)
		scores, eligible := anyScores(t)
		p := make([]float64, len(scores))
		explore.Probabilities(cfg, scores, eligible, p)
		n, sum := 0, 0.0
		for i := range p {
			if eligible[i] {
				n++
			}
			sum += p[i]
		}
		for i := range p {
			switch {
			case !eligible[i] && p[i] != 0:
				t.Fatalf("arm %d is not eligible and has %g", i, p[i])
			case eligible[i] && !(p[i] >= cfg.Floor/float64(n)*(1-1e-9)):
				t.Fatalf("arm %d has %g, below its share of the floor %g", i, p[i], cfg.Floor)
			}
		}
		if n > 0 && math.Abs(sum-1) > 1e-9 || n == 0 && sum != 0 {
			t.Fatalf("%d eligible arms, sum %g", n, sum)
		}
	})
}

func TestBetterArmsAreNotLessLikely(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := anyConfig(t)
		cfg.Optimism = 0
		n := rapid.IntRange(2, 20).Draw(t, "arms")
		scores, p := make([]model.Score, n), make([]float64, n)
		for i := range scores {
			scores[i].Value = float64(rapid.IntRange(0, 10).Draw(t, "value")) / 10
		}
		explore.Probabilities(cfg, scores, nil, p)
		for i := range p {
			for j := range p {
				if scores[i].Value > scores[j].Value && p[i] < p[j]-1e-12 {
					t.Fatalf("value %g has %g, value %g has %g", scores[i].Value, p[i], scores[j].Value, p[j])
				}
			}
		}
	})
}

// Drawn shares must match the logged probabilities: chi-square over 100,000
// requests, far below the 99.9 % point when they do.
func TestDrawnSharesMatchTheProbabilities(t *testing.T) {
	scores := make([]model.Score, 12)
	for i := range scores {
		scores[i] = model.Score{Value: float64(i%5) / 10, StdErr: 0.1}
	}
	p := make([]float64, len(scores))
	explore.Probabilities(explore.Config{Floor: 0.05, Gamma: 20}, scores, nil, p)
	const draws = 100_000
	counts := make([]int, len(p))
	for i := range draws {
		counts[explore.Draw(p, explore.Seed("request-"+strconv.Itoa(i)))]++
	}
	chi := 0.0
	for i := range p {
		want := p[i] * draws
		chi += (float64(counts[i]) - want) * (float64(counts[i]) - want) / want
	}
	if chi > 31.3 { // 11 degrees of freedom, p = 0.001
		t.Errorf("chi-square %.1f for counts %v and probabilities %v", chi, counts, p)
	}
}

// The product's own configuration on a frozen model: what is logged is what is
// drawn, nothing is logged with 0, a request replays to its arm and probability,
// and leaving arms out leaves a distribution.
func TestLoggedPropensitiesAreExact(t *testing.T) {
	m := frozen(t)
	var scratch model.Scratch
	arms, scores := fourteen(), make([]model.Score, 14)
	eligible := []bool{13: true, 0: true, 1: true, 2: true, 5: true, 6: true, 7: true, 9: true, 10: true, 11: true}
	type logged struct {
		arm int
		p   float64
	}
	decide := func(request string, filter []bool) logged {
		var ctx model.Features
		ctx.AddString("topic", "topic3")
		m.Score(&scratch, &ctx, arms, scores)
		p := make([]float64, len(arms))
		explore.Probabilities(explore.DefaultConfig(), scores, filter, p)
		at := explore.Draw(p, explore.Seed(request))
		sum := 0.0
		for _, v := range p {
			sum += v
		}
		if math.Abs(sum-1) > 1e-12 || filter != nil && !filter[at] {
			t.Fatalf("request %s: probabilities sum to %.15f, arm %d", request, sum, at)
		}
		return logged{at, p[at]}
	}
	for name, filter := range map[string][]bool{"all": nil, "filtered": eligible} {
		const draws = 100_000
		counts, said := make([]int, len(arms)), make([]float64, len(arms))
		for i := range draws {
			request := "request-" + strconv.Itoa(i)
			d := decide(request, filter)
			if d.p <= 0 {
				t.Fatalf("%s: %s was logged with %g", name, request, d.p)
			}
			if i%1000 == 0 && decide(request, filter) != d {
				t.Fatalf("%s: %s replays to another decision", name, request)
			}
			counts[d.arm]++
			said[d.arm] = d.p
		}
		chi, freedom := 0.0, -1
		for i := range counts {
			if filter != nil && !filter[i] {
				continue
			}
			want := said[i] * draws // about 36 for the least likely; none is expected to be missed
			chi += (float64(counts[i]) - want) * (float64(counts[i]) - want) / max(want, 1)
			freedom++
		}
		// 99.9 % points of chi-square at 13 and 9 degrees of freedom.
		if limit := map[int]float64{13: 34.53, 9: 27.88}[freedom]; chi > limit {
			t.Errorf("%s: chi-square %.1f above %.1f for %v and %v", name, chi, limit, counts, said)
		}
	}
}

func fourteen() []model.Arm {
	arms := make([]model.Arm, 14)
	for i := range arms {
		arms[i].ID = "SKILL:" + strconv.Itoa(i)
	}
	return arms
}

// frozen returns a model that has learned which skill fits which topic.
func frozen(t *testing.T) *model.Model {
	t.Helper()
	l, err := model.New(model.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	var ctx model.Features
	for i := range 500 {
		ctx.Reset()
		ctx.AddString("topic", "topic"+strconv.Itoa(i%7))
		e := model.Example{Context: &ctx, Arms: fourteen(), Chosen: i % 14, Propensity: 1.0 / 14}
		if i%14 == i%7 {
			e.Reward = 1
		}
		if err := l.Learn(e); err != nil {
			t.Fatal(err)
		}
	}
	return l.Snapshot("frozen")
}

func TestDrawStaysInside(t *testing.T) {
	for _, c := range []struct {
		p    []float64
		u    float64
		want int
	}{
		{nil, 0.5, -1},
		{[]float64{0, 0}, 0.5, -1},
		{[]float64{0, 1, 0}, 0, 1},
		{[]float64{0.5, 0.5, 0}, math.Nextafter(1, 0), 1},
		{[]float64{0.3, 0.3, 0.3999999}, math.Nextafter(1, 0), 2}, // rounding must not fall off the end
		{[]float64{0.25, 0.75}, 0.25, 1},
	} {
		if got := explore.Draw(c.p, c.u); got != c.want {
			t.Errorf("draw %v at %g gave %d, want %d", c.p, c.u, got, c.want)
		}
	}
}

func TestSeedIsTheSameForTheSameRequest(t *testing.T) {
	// Fixed for ever: a logged decision must replay on any later version.
	if got := explore.Seed("req-1"); got != explore.Seed("req-1") || got == explore.Seed("req-2") || got < 0 || got >= 1 {
		t.Errorf("seed %g", got)
	}
}

func TestConfigNamesEveryFault(t *testing.T) {
	if err := explore.DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	err := explore.Config{Floor: 2, Optimism: -1, Gamma: math.NaN()}.Validate()
	if err == nil || err.Error() != "floor must be 0 to 1\noptimism must be 0 to 100\ngamma must be 0 to 1e9" {
		t.Errorf("error %v", err)
	}
}

func TestNothingAllocates(t *testing.T) {
	scores, p := make([]model.Score, 66), make([]float64, 66)
	if n := testing.AllocsPerRun(100, func() {
		explore.Probabilities(explore.DefaultConfig(), scores, nil, p)
		explore.Draw(p, explore.Seed("accounts/acme/requests/1"))
	}); n != 0 {
		t.Errorf("%g allocations per decision", n)
	}
}

func BenchmarkProbabilities66(b *testing.B) {
	scores, p := make([]model.Score, 66), make([]float64, 66)
	cfg := explore.DefaultConfig()
	b.ReportAllocs()
	for b.Loop() {
		explore.Probabilities(cfg, scores, nil, p)
	}
}
