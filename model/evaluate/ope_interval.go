package evaluate

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// The intervals, by their names in Estimate.Interval.
const (
	intervalGaussian       = "gaussian"
	intervalClopperPearson = "clopper-pearson"
	intervalCressieRead    = "cressie-read"
)

// maxBound stands for "unbounded" in results, which JSON cannot spell.
const maxBound = math.MaxFloat64

// gaussian is the usual interval of a mean: right for many rows without heavy
// weights. With fewer than two rows it is unbounded.
func (m *moments) gaussian(alpha float64) Estimate {
	z := distuv.UnitNormal.Quantile(1 - alpha/2)
	half := min(z*m.stdErr(), maxBound)
	return Estimate{Value: m.mean, Lower: m.mean - half, Upper: m.mean + half, Interval: intervalGaussian}
}

// clopperPearson bounds the mean of w r as if each row were a coin whose success
// pays the largest possible weight: no variable in that range spreads more. It is
// wide, and honest when one row outweighs all others.
func clopperPearson(s *weights, value, alpha float64) Estimate {
	e := Estimate{Value: value, Lower: s.minReward, Upper: s.maxReward, Interval: intervalClopperPearson}
	span, bound, n := s.maxReward-s.minReward, s.bound(), float64(s.n)
	if s.n == 0 || s.largest == 0 || span == 0 {
		return e.widened()
	}
	// Rewards are moved to 0..1 first; sum(w (r - min)) cannot be negative.
	successes := min(max(0, (s.wr-s.minReward*s.w)/span/bound), n)
	lower := s.minReward + span*bound*betaQuantile(alpha/2, successes, n-successes+1)
	upper := s.minReward + span*bound*betaQuantile(1-alpha/2, successes+1, n-successes)
	e.Lower, e.Upper = min(lower, s.maxReward), min(upper, s.maxReward)
	return e.widened()
}

// betaQuantile is the quantile of a Beta distribution, with its limits where a
// parameter is 0.
func betaQuantile(p, a, b float64) float64 {
	if a <= 0 {
		return 0
	}
	if b <= 0 {
		return 1
	}
	return distuv.Beta{Alpha: a, Beta: b}.Quantile(p)
}

// cressieRead is an empirical-likelihood interval: the smallest and the largest
// value of any reweighting of the rows that (1) makes the mean weight exactly 1,
// as it must be, and (2) is no less likely than a chi-square bound allows. One
// row that was not seen joins them, with the weight and reward that hurt most,
// so that a log without any success still gives an upper bound.
//
// The likelihood is the Euclidean member of the Cressie-Read family, for which
// the answer is a formula: with d_i the relative change of row i's mass, the
// constraint alone costs a sum of d_i^2 of (1 - mean w)^2 m / var(w), and what
// the bound leaves buys a shift along the part of w r that w does not explain.
func cressieRead(s *weights, value, alpha float64) Estimate {
	e := Estimate{Value: value, Lower: s.minReward, Upper: s.maxReward, Interval: intervalCressieRead}
	if s.n < 2 || s.largest == 0 {
		return e.widened()
	}
	t := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(s.n)}.Quantile(1 - alpha/2)
	unseen := []float64{0, s.bound()}
	budget := t*t + min(s.centred(unseen[0]).cost, s.centred(unseen[1]).cost)
	lower, upper := math.Inf(1), math.Inf(-1)
	for _, w := range unseen {
		c := s.centred(w)
		lower = min(lower, c.extreme(s, s.minReward, 1, budget))
		upper = max(upper, -c.extreme(s, s.maxReward, -1, budget))
	}
	if lower <= upper {
		e.Lower, e.Upper = max(s.minReward, lower), min(s.maxReward, upper)
	}
	return e.widened()
}

// centred is the log joined by one unseen row of the given weight, and what it
// costs to make the mean weight 1.
type centred struct {
	weight, rows   float64
	mean, variance float64
	cost           float64
}

func (s *weights) centred(weight float64) centred {
	m := float64(s.n) + 1
	c := centred{weight: weight, rows: m, mean: (s.w + weight) / m}
	c.variance = (s.ww+weight*weight)/m - c.mean*c.mean
	// Equal weights cannot be moved: free when they are 1 already, else beyond
	// any budget. The slack is for rounding.
	if c.variance <= 1e-12*c.mean*c.mean {
		c.variance = 0
		if math.Abs(c.mean-1) > 1e-9 {
			c.cost = math.Inf(1)
		}
		return c
	}
	c.cost = m * (1 - c.mean) * (1 - c.mean) / c.variance
	return c
}

// extreme returns the smallest mean of sign x w r within the budget when the
// unseen row has reward r; infinite when the budget does not reach.
func (c *centred) extreme(s *weights, r, sign, budget float64) float64 {
	left := budget - c.cost
	if !(left >= 0) {
		return math.Inf(1)
	}
	w, m := c.weight, c.rows
	mean := sign * (s.wr + w*r) / m
	square := (s.wwrr + w*w*r*r) / m
	slope := 0.0
	if c.variance > 0 {
		slope = (sign*(s.wwr+w*w*r)/m - mean*c.mean) / c.variance
	}
	rest := max(0, square-mean*mean-slope*slope*c.variance)
	return mean + slope*(1-c.mean) - math.Sqrt(left*rest/m)
}

// widened makes sure that the interval holds its own value.
func (e Estimate) widened() Estimate {
	e.Lower, e.Upper = min(e.Lower, e.Value), max(e.Upper, e.Value)
	return e
}
