package evaluate_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/usherhq/usher/model/evaluate"
)

// overconfident foretells further from the middle than is true.
func overconfident(r *rand.Rand, n int) []evaluate.Foretold {
	out := make([]evaluate.Foretold, n)
	for i := range out {
		truth := r.Float64()
		out[i].Predicted = min(max(0.5+1.6*(truth-0.5), 0), 1)
		if r.Float64() < truth {
			out[i].Reward = 1
		}
	}
	return out
}

func TestReliabilityAndIsotonic(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	train, test := overconfident(r, 5000), overconfident(r, 5000)
	bins, before := evaluate.Reliability(test)
	if len(bins) != 10 || bins[0].Rows != 500 || before < 0.08 {
		t.Fatalf("error %.3f, bins %+v", before, bins)
	}
	steps := evaluate.Isotonic(train)
	for i := 1; i < len(steps); i++ {
		if steps[i].From <= steps[i-1].From || steps[i].Reward <= steps[i-1].Reward {
			t.Fatalf("step %d falls: %+v", i, steps[i-1:i+1])
		}
	}
	for i := range test {
		test[i].Predicted = evaluate.Calibrate(steps, test[i].Predicted)
	}
	if _, after := evaluate.Reliability(test); after > 0.03 {
		t.Errorf("error %.3f before, %.3f after", before, after)
	}
	if got := evaluate.Calibrate(nil, 0.3); got != 0.3 {
		t.Errorf("without knots 0.3 becomes %g", got)
	}
	if bins, ece := evaluate.Reliability(nil); bins != nil || ece != 0 {
		t.Errorf("nothing foretold: %v, %g", bins, ece)
	}
}

// TestConformalCoversHandleTimes: log-normal handle times, foretold with an error of
// the model's own, over many draws of a small held-out time.
func TestConformalCoversHandleTimes(t *testing.T) {
	const draws, rows = 300, 200
	inside, told := 0.0, 0.0
	for seed := range uint64(draws) {
		r := rand.New(rand.NewPCG(seed, 2))
		next := func() evaluate.Foretold {
			kind := r.Float64()
			minutes := math.Exp(1.5 + kind + 0.6*r.NormFloat64())
			return evaluate.Foretold{Predicted: math.Exp(1.6 + 0.9*kind), Reward: minutes}
		}
		all := make([]evaluate.Foretold, rows)
		for i := range all {
			all[i] = next()
		}
		in, ok := evaluate.Conformal(all, 0.9)
		if !ok || in.Above <= in.Below {
			t.Fatalf("interval %+v, %v: handle times are skewed upwards", in, ok)
		}
		told += in.Coverage / draws
		for range 20 {
			if f := next(); f.Reward >= f.Predicted-in.Below && f.Reward <= f.Predicted+in.Above {
				inside += 1.0 / (20 * draws)
			}
		}
	}
	// Its promise is at least 0.9 on the average; 6,000 checks.
	if inside < 0.888 || inside > 0.93 || math.Abs(told-inside) > 0.02 {
		t.Errorf("coverage %.3f, told %.3f", inside, told)
	}
	if _, ok := evaluate.Conformal(make([]evaluate.Foretold, 30), 0.9); ok {
		t.Error("15 rows cannot tell a 90 % interval")
	}
}
