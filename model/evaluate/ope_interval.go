package evaluate

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// The intervals, by their names in Estimate.Interval and Estimate.Intervals.
const (
	intervalGaussian       = "gaussian"
	intervalClopperPearson = "clopper_pearson"
	intervalCressieRead    = "cressie_read"
	intervalSequence       = "confidence_sequence"
	intervalRange          = "reward_range" // all that rewards can be: nothing is known
)

// maxBound stands for "unbounded" in results, which JSON cannot spell.
const maxBound = math.MaxFloat64 / 4

// intervals are the intervals of one estimator by name.
type intervals map[string]Bounds

// estimate makes sure that every interval holds the value and nothing that rewards
// cannot be, and puts one forward; without any, all of the span. The value of ips
// and of dr can lie beyond the span: intervals then end where it does.
func (all intervals) estimate(value float64, first string, span reach) Estimate {
	if len(all) == 0 {
		all, first = intervals{intervalRange: {span.lo, span.hi}}, intervalRange
	}
	for name, b := range all {
		all[name] = span.clamp(Bounds{min(b.Lower, value), max(b.Upper, value)})
	}
	b := all[first]
	return Estimate{Value: value, Lower: b.Lower, Upper: b.Upper, Interval: first, Intervals: all}
}

func (b Bounds) moved(by float64) Bounds { return Bounds{b.Lower + by, b.Upper + by} }

// gaussian is the usual interval of a mean: right for many rows without heavy
// weights. With fewer than two rows it is unbounded.
func (m *moments) gaussian(alpha float64) Bounds {
	half := min(distuv.UnitNormal.Quantile(1-alpha/2)*m.stdErr(), maxBound)
	return Bounds{m.mean - half, m.mean + half}
}

// gaussian is that of shifted.
func (j *joint) gaussian(slope, alpha float64) Bounds {
	half := min(distuv.UnitNormal.Quantile(1-alpha/2)*j.stdErr(slope), maxBound)
	return Bounds{j.shifted(slope) - half, j.shifted(slope) + half}
}

// clamp cuts an interval to the range.
func (r reach) clamp(b Bounds) Bounds {
	return Bounds{min(max(b.Lower, r.lo), r.hi), max(min(b.Upper, r.hi), r.lo)}
}

// gaussian reaches as far as the bias can: to the estimate of it and its error.
func (v *variant) gaussian(alpha float64) Bounds {
	b, left := v.kept.gaussian(alpha), v.left.gaussian(alpha)
	return Bounds{b.Lower + min(0, left.Lower), b.Upper + max(0, left.Upper)}
}

// clopperPearson bounds the mean of w r as if each row were a coin whose success
// pays the largest possible weight: no variable in that range spreads more. It is
// wide, and honest when one row outweighs all others.
func (s *weights) clopperPearson(rewards reach, alpha float64) Bounds {
	lo, span := rewards.lo, rewards.hi-rewards.lo
	bound, n := s.bound(), float64(s.n)
	if s.n == 0 || s.largest == 0 || span == 0 {
		return Bounds{rewards.lo, rewards.hi}
	}
	// Rewards are moved to 0..1 first; sum(w (r - min)) cannot be negative.
	successes := min(max(0, (s.wr-lo*s.w)/span/bound), n)
	return rewards.clamp(Bounds{
		lo + span*bound*betaQuantile(alpha/2, successes, n-successes+1),
		lo + span*bound*betaQuantile(1-alpha/2, successes+1, n-successes),
	})
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

// unseen is a row that the log does not have and could: the values that would
// pull the estimate down and up.
type unseen struct{ w, low, high float64 }

func (e *OPE) unseenPlain() [2]unseen {
	bound, rewards := e.w.bound(), e.span()
	return [2]unseen{{}, {bound, bound * rewards.lo, bound * rewards.hi}}
}

func (e *OPE) unseenRobust() [2]unseen {
	bound, v, rewards := e.w.bound(), e.dm.mean, e.span()
	return [2]unseen{
		{0, e.values.lo, e.values.hi},
		{bound, v + bound*(rewards.lo-e.foretold.hi), v + bound*(rewards.hi-e.foretold.lo)},
	}
}

// cressieRead is an empirical-likelihood interval of the mean of z: the smallest
// and the largest value of any reweighting of the rows that (1) makes the mean
// weight exactly 1, as it must be, and (2) is no less likely than a chi-square
// bound allows. One row that was not seen joins them, with the weight and reward
// that hurt most, so that a log without any success still gives an upper bound.
//
// The likelihood is the Euclidean member of the Cressie-Read family, for which
// the answer is a formula: with d_i the relative change of row i's mass, the
// constraint alone costs a sum of d_i^2 of (1 - mean w)^2 m / var(w), and what
// the bound leaves buys a shift along the part of z that w does not explain.
func (j *joint) cressieRead(rows [2]unseen, alpha float64) Bounds {
	wide := Bounds{-maxBound, maxBound}
	if j.n < 2 || j.w == 0 {
		return wide
	}
	t := distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(j.n)}.Quantile(1 - alpha/2)
	budget := t*t + min(j.with(rows[0].w, 0).cost(), j.with(rows[1].w, 0).cost())
	lower, upper := math.Inf(1), math.Inf(-1)
	for _, row := range rows {
		low, high := j.with(row.w, row.low), j.with(row.w, row.high)
		if centre, half, ok := low.shift(budget); ok {
			lower = min(lower, centre-half)
		}
		if centre, half, ok := high.shift(budget); ok {
			upper = max(upper, centre+half)
		}
	}
	if !(lower <= upper) {
		return wide
	}
	return Bounds{lower, upper}
}

func (j joint) with(w, z float64) *joint {
	j.add(w, z)
	return &j
}

// spread is the variance of the weights; 0 when they are equal but for rounding.
func (j *joint) spread() float64 {
	v := j.ww / float64(j.n)
	if v <= 1e-12*j.w*j.w {
		return 0
	}
	return v
}

// cost of making the mean weight 1. Equal weights cannot be moved: free when they
// are 1 already, else beyond any budget. The slack is for rounding.
func (j *joint) cost() float64 {
	v := j.spread()
	switch {
	case v > 0:
		return float64(j.n) * (1 - j.w) * (1 - j.w) / v
	case math.Abs(j.w-1) > 1e-9:
		return math.Inf(1)
	}
	return 0
}

// shift returns where the mean of z lies with a mean weight of 1 and how far the
// budget moves it; false when the budget does not reach.
func (j *joint) shift(budget float64) (centre, half float64, ok bool) {
	left := budget - j.cost()
	if !(left >= 0) {
		return 0, 0, false
	}
	m, slope := float64(j.n), 0.0
	if v := j.spread(); v > 0 {
		slope = j.wz / m / v
	}
	rest := max(0, j.zz/m-slope*slope*j.spread())
	return j.z + slope*(1-j.w), math.Sqrt(left * rest / m), true
}
