package evaluate

import "math"

// numThresholds is how many values of the hyperparameters are tried.
const numThresholds = 13

// thresholds are the values tried for the weight beyond which switch_dr trusts the
// model, and for the square of the weight at which dros counts half: fixed in
// advance, the last being plain DR.
func thresholds() [numThresholds]float64 {
	return [numThresholds]float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10_000, 1e6, math.Inf(1)}
}

// shrinkage runs Switch-DR and DRos under every threshold at once.
type shrinkage struct {
	switched, shrunk [numThresholds]variant
	beyond           [numThresholds]float64 // sum of weights over the threshold
}

// variant is an estimator that keeps a part of DR's correction and leaves the
// rest: its bias is the mean of what it leaves.
type variant struct {
	kept, left moments
}

// add takes in a row: its weight, the residual of its reward, and the model's value
// of the target.
func (s *shrinkage) add(w, residual, value float64) {
	for i, t := range thresholds() {
		kept := w
		if w > t {
			kept = 0
			s.beyond[i] += w
		}
		s.switched[i].add(value, w, kept, residual)
		kept = w
		if !math.IsInf(t, 0) {
			kept = t * w / (w*w + t)
		}
		s.shrunk[i].add(value, w, kept, residual)
	}
}

func (v *variant) add(value, w, kept, residual float64) {
	v.kept.add(value + kept*residual)
	v.left.add((w - kept) * residual)
}

func (s *shrinkage) merge(o *shrinkage) {
	for i := range s.beyond {
		s.beyond[i] += o.beyond[i]
		for _, pair := range [][2]*variant{{&s.switched[i], &o.switched[i]}, {&s.shrunk[i], &o.shrunk[i]}} {
			pair[0].kept.merge(pair[1].kept)
			pair[0].left.merge(pair[1].left)
		}
	}
}

// choose returns the index of the best threshold of each: the least estimated
// mean squared error, variance plus squared bias, as Su et al. (2020), section 5,
// propose and the Open Bandit Pipeline does. Of equals the greatest wins.
func (s *shrinkage) choose() (switchAt, shrunkAt int) {
	return leastError(&s.switched), leastError(&s.shrunk)
}

func leastError(all *[numThresholds]variant) int {
	best, least := numThresholds-1, math.Inf(1)
	for i := numThresholds - 1; i >= 0; i-- {
		v := &all[i]
		deviation := v.kept.stdErr()
		if e := deviation*deviation + v.left.mean*v.left.mean; e < least {
			best, least = i, e
		}
	}
	return best
}
