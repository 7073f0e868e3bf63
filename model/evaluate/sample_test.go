package evaluate

import (
	"math"
	"testing"
)

func TestSample(t *testing.T) {
	var s Sample
	if s.Rows() != 0 || s.Mean() != 0 || s.Variance() != 0 {
		t.Errorf("the empty sample is %+v", s)
	}
	for _, x := range []float64{1e9 + 2, 1e9 + 4, 1e9 + 4, 1e9 + 4, 1e9 + 5, 1e9 + 5, 1e9 + 7, 1e9 + 9} {
		s.Add(x)
	}
	if s.Rows() != 8 || s.Mean() != 1e9+5 || math.Abs(s.Variance()-32.0/7/8) > 1e-7 {
		t.Errorf("%d rows, mean %g, variance %g", s.Rows(), s.Mean(), s.Variance())
	}
}
