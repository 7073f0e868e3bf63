package evaluate

import (
	"cmp"
	"math"
	"slices"
)

// Foretold is one prediction with what became of it, on any common range.
type Foretold struct{ Predicted, Reward float64 }

// Bin is a group of neighbouring predictions: what was foretold and what came.
type Bin struct {
	Predicted float64 `json:"predicted"`
	Reward    float64 `json:"reward"`
	Rows      int64   `json:"rows"`
}

// calibrationBins is into how many groups of about equal size predictions fall.
const calibrationBins = 10

// Reliability groups predictions by their size. The second result is the expected
// calibration error: the mean distance of foretold and real reward over the
// groups, weighted by their rows.
func Reliability(all []Foretold) (bins []Bin, ece float64) {
	sorted := slices.Clone(all)
	// Equal predictions stay in the order they came in: sorted by reward, they would
	// make groups that nothing foretold apart.
	slices.SortStableFunc(sorted, func(a, b Foretold) int { return cmp.Compare(a.Predicted, b.Predicted) })
	n := len(sorted)
	for i := range min(calibrationBins, n) {
		part := sorted[i*n/min(calibrationBins, n) : (i+1)*n/min(calibrationBins, n)]
		b := Bin{Rows: int64(len(part))}
		for _, f := range part {
			b.Predicted += f.Predicted / float64(len(part))
			b.Reward += f.Reward / float64(len(part))
		}
		bins = append(bins, b)
		ece += math.Abs(b.Predicted-b.Reward) * float64(b.Rows) / float64(n)
	}
	return bins, ece
}

// Step is one knot of an isotonic calibration: predictions from From on mean
// Reward, until the next knot.
type Step struct {
	From   float64 `json:"from"`
	Reward float64 `json:"reward"`
}

// Isotonic fits the closest map from predictions to rewards that never falls, by
// pooling adjacent violators.
func Isotonic(all []Foretold) []Step {
	sorted := slices.Clone(all)
	slices.SortFunc(sorted, func(a, b Foretold) int { return cmp.Compare(a.Predicted, b.Predicted) })
	type pool struct{ from, sum, n float64 }
	var pools []pool
	for i := 0; i < len(sorted); {
		p := pool{from: sorted[i].Predicted}
		for ; i < len(sorted) && sorted[i].Predicted == p.from; i++ { // equal predictions mean one thing
			p.sum += sorted[i].Reward
			p.n++
		}
		for k := len(pools) - 1; k >= 0 && pools[k].sum*p.n >= p.sum*pools[k].n; k-- {
			p = pool{pools[k].from, pools[k].sum + p.sum, pools[k].n + p.n}
			pools = pools[:k]
		}
		pools = append(pools, p)
	}
	steps := make([]Step, len(pools))
	for i, p := range pools {
		steps[i] = Step{From: p.from, Reward: p.sum / p.n}
	}
	return steps
}

// Calibrate reads a prediction off the knots of an isotonic calibration; without
// any it is returned as it is.
func Calibrate(steps []Step, predicted float64) float64 {
	if len(steps) == 0 {
		return predicted
	}
	at, found := slices.BinarySearchFunc(steps, predicted, func(s Step, p float64) int { return cmp.Compare(s.From, p) })
	if !found {
		at--
	}
	return steps[max(0, at)].Reward
}

// Interval is a split-conformal prediction interval: a reward lies between the
// prediction less Below and the prediction plus Above.
type Interval struct {
	Confidence float64 `json:"confidence"`
	Below      float64 `json:"below"`
	Above      float64 `json:"above"`
	// Rows is how many held-out residuals the two are made of.
	Rows int64 `json:"rows"`
	// Coverage is the share of the later half of the held-out time whose rewards lay
	// inside the interval made of the earlier half.
	Coverage float64 `json:"coverage"`
}

// Conformal makes the interval from predictions in the order of time, each made
// before its reward was learned. It promises its confidence for the next reward
// whatever the distribution of the noise, as long as the next is like the held-out
// ones; Coverage tells whether that held over time. Each side misses half of
// what may be missed: rewards such as handle times are skewed. It returns false
// with too few rows for the confidence.
func Conformal(all []Foretold, confidence float64) (Interval, bool) {
	half := len(all) / 2
	early, ok := conformal(all[:half], confidence)
	whole, ok2 := conformal(all, confidence)
	if !ok || !ok2 {
		return Interval{}, false
	}
	inside := 0
	for _, f := range all[half:] {
		if f.Reward >= f.Predicted-early.Below && f.Reward <= f.Predicted+early.Above {
			inside++
		}
	}
	whole.Coverage = float64(inside) / float64(len(all)-half)
	return whole, true
}

func conformal(all []Foretold, confidence float64) (Interval, bool) {
	n := len(all)
	rank := int(math.Ceil(float64(n+1) * (1 + confidence) / 2)) // of n, counted from 1
	if rank > n {
		return Interval{}, false
	}
	residuals := make([]float64, n)
	for i, f := range all {
		residuals[i] = f.Reward - f.Predicted
	}
	slices.Sort(residuals)
	return Interval{Confidence: confidence, Below: -residuals[n-rank], Above: residuals[rank-1], Rows: int64(n)}, true
}
