package evaluate

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestSequenceHoldsAtAllTimes looks after every value: the share of runs whose bounds
// ever miss the mean must stay within the error.
func TestSequenceHoldsAtAllTimes(t *testing.T) {
	draws := map[string]func(*rand.Rand) (x, mean float64){
		"coin":    func(r *rand.Rand) (float64, float64) { return float64(r.IntN(2)), 0.5 },
		"rare":    func(r *rand.Rand) (float64, float64) { return map[bool]float64{true: 1}[r.Float64() < 0.02], 0.02 },
		"uniform": func(r *rand.Rand) (float64, float64) { return r.Float64(), 0.5 },
		"narrow":  func(r *rand.Rand) (float64, float64) { return 0.7 + 0.02*r.Float64(), 0.71 },
	}
	for name, draw := range draws {
		t.Run(name, func(t *testing.T) {
			missed, width, runs, steps := 0, 0.0, 400, 2000
			for run := range runs {
				r := rand.New(rand.NewPCG(uint64(run), 7))
				s := NewSequence(-1, 3, 0.05) // values are scaled from 0..1
				bad := false
				for range steps {
					x, mean := draw(r)
					s.Add(x*4 - 1)
					lower, upper := s.Bounds()
					bad = bad || mean*4-1 < lower || mean*4-1 > upper
				}
				if bad {
					missed++
				}
				lower, upper := s.Bounds()
				width += (upper - lower) / 4 / float64(runs)
			}
			t.Logf("missed in %d of %d runs, mean width %.4f of the range", missed, runs, width)
			if share := float64(missed) / float64(runs); share > 0.05+3*math.Sqrt(0.05*0.95/float64(runs)) {
				t.Errorf("the mean was missed in %.1f %% of the runs", 100*share)
			}
			if limit := map[string]float64{"coin": 0.11, "rare": 0.05, "uniform": 0.08, "narrow": 0.02}[name]; width > limit {
				t.Errorf("the interval is %.4f wide after %d values, more than %.2f", width, steps, limit)
			}
		})
	}
}

func TestSequenceTakesAnything(t *testing.T) {
	s := NewSequence(0, 1, 0.05)
	if lower, upper := s.Bounds(); lower != 0 || upper != 1 {
		t.Errorf("before any value: %g to %g", lower, upper)
	}
	for _, x := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), 5, -5} {
		s.Add(x)
	}
	lower, upper := s.Bounds()
	if s.N() != 5 || !(lower >= 0 && lower <= upper && upper <= 1) {
		t.Errorf("after %d odd values: %g to %g", s.N(), lower, upper)
	}
}
