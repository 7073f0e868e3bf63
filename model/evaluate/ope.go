package evaluate

import "math"

// Observation is one logged decision as an off-policy estimator sees it.
type Observation struct {
	// Reward is what the logged action brought.
	Reward float64
	// Logged is the probability with which the log's policy chose that action,
	// above 0 and at most 1.
	Logged float64
	// Target is the probability with which the policy under evaluation would
	// have chosen it, 0 to 1.
	Target float64
	// Modelled says that Predicted and TargetValue are set. They must come from
	// a reward model that has not seen this row.
	Modelled bool
	// Predicted is the reward model's value of the logged action, TargetValue
	// its mean over the target policy's actions in this context.
	Predicted, TargetValue float64
}

// weight is how many times the target would have chosen the logged action for
// each time that the log's policy did.
func (o *Observation) weight() float64 { return o.Target / o.Logged }

// Estimate is a value with a two-sided interval of the confidence asked for.
type Estimate struct {
	Value float64 `json:"value"`
	Lower float64 `json:"lower"`
	Upper float64 `json:"upper"`
	// Interval names how Lower and Upper were found.
	Interval string `json:"interval"`
}

// The estimators, by their names in OPEResult.Estimates.
const (
	IPS   = "ips"   // mean of weight x reward: unbiased, wild when weights are
	SNIPS = "snips" // the same divided by the mean weight: small bias, calmer
	DM    = "dm"    // the reward model alone: calm, as biased as the model
	DR    = "dr"    // the reward model corrected by weighted residuals
)

// OPE estimates the value of one target policy from observations that arrive one
// by one, in memory that does not grow. Parts of a log can be taken in apart and
// merged. The zero value is ready; it is not safe for concurrent use.
type OPE struct {
	ips, dm, dr moments
	w           weights
	modelled    int64
}

// Add takes in one observation. The caller has checked its ranges.
func (e *OPE) Add(o Observation) {
	w := o.weight()
	e.w.add(w, o.Reward)
	e.w.reach(o.Logged, o.Target)
	e.ips.add(w * o.Reward)
	if o.Modelled {
		e.modelled++
		e.dm.add(o.TargetValue)
		e.dr.add(o.TargetValue + w*(o.Reward-o.Predicted))
	}
}

// Merge takes in all that other has seen, as if it had been added here.
func (e *OPE) Merge(other *OPE) {
	e.ips.merge(other.ips)
	e.dm.merge(other.dm)
	e.dr.merge(other.dr)
	e.w.merge(other.w)
	e.modelled += other.modelled
}

// OPEResult is what a log says about a target policy.
type OPEResult struct {
	N         int64               `json:"n"`
	Estimates map[string]Estimate `json:"estimates"`
	// EffectiveSampleSize is the number of equally weighted rows that would
	// carry as much evidence: (sum of weights)^2 / sum of squared weights.
	EffectiveSampleSize float64 `json:"effective_sample_size"`
	LargestWeight       float64 `json:"largest_weight"`
	// MeanWeight is 1 in expectation when propensities are true and every action
	// of the target could be logged.
	MeanWeight float64 `json:"mean_weight"`
	// Warnings say in words why, and how far, not to trust the estimates.
	Warnings []string `json:"warnings"`
}

// Result estimates with two-sided intervals of the given confidence, such as
// 0.95. Without observations every estimate is 0 and a warning says so.
func (e *OPE) Result(confidence float64) OPEResult {
	res := OPEResult{
		N: e.w.n, Estimates: map[string]Estimate{},
		EffectiveSampleSize: e.w.effective(), LargestWeight: e.w.largest, MeanWeight: e.w.mean(),
		Warnings: []string{},
	}
	alpha := 1 - confidence
	res.Estimates[IPS] = clopperPearson(&e.w, e.ips.mean, alpha)
	res.Estimates[SNIPS] = cressieRead(&e.w, e.w.selfNormalised(), alpha)
	if e.w.n > 0 && e.modelled == e.w.n {
		res.Estimates[DM] = e.dm.gaussian(alpha)
		res.Estimates[DR] = e.dr.gaussian(alpha)
	}
	res.Warnings = append(res.Warnings, e.w.warnings()...)
	return res
}

// moments are the running mean and spread of one number per row.
type moments struct {
	n        int64
	mean, m2 float64
}

func (m *moments) add(x float64) {
	m.n++
	d := x - m.mean
	m.mean += d / float64(m.n)
	m.m2 += d * (x - m.mean)
}

func (m *moments) merge(o moments) {
	if o.n == 0 {
		return
	}
	n := float64(m.n + o.n)
	d := o.mean - m.mean
	m.m2 += o.m2 + d*d*float64(m.n)*float64(o.n)/n
	m.mean += d * float64(o.n) / n
	m.n += o.n
}

// stdErr is the standard error of the mean; infinite with fewer than two rows,
// which say nothing of the spread.
func (m *moments) stdErr() float64 {
	if m.n < 2 {
		return math.Inf(1)
	}
	return math.Sqrt(m.m2 / float64(m.n-1) / float64(m.n))
}

// weights are the sums that the weight-aware estimators and intervals need.
type weights struct {
	n                     int64
	w, ww                 float64 // sums of w and w^2
	wr, wwr, wwrr         float64 // sums of w r, w^2 r, w^2 r^2
	largest               float64
	minLogged, maxTarget  float64 // their ratio bounds every weight
	minReward, maxReward  float64
	informative           int64 // rows whose weight is not 0
	informativeAndNotZero int64 // of those, rows whose reward is not 0
}

func (s *weights) add(w, r float64) {
	if s.n == 0 {
		s.minReward, s.maxReward = r, r
	}
	s.n++
	s.w += w
	s.ww += w * w
	s.wr += w * r
	s.wwr += w * w * r
	s.wwrr += w * w * r * r
	s.largest = max(s.largest, w)
	s.minReward, s.maxReward = min(s.minReward, r), max(s.maxReward, r)
	if w > 0 {
		s.informative++
		if r != 0 {
			s.informativeAndNotZero++
		}
	}
}

// reach widens what is known of the range of weights.
func (s *weights) reach(logged, target float64) {
	if s.minLogged == 0 || logged < s.minLogged {
		s.minLogged = logged
	}
	s.maxTarget = max(s.maxTarget, target)
}

// bound is the largest weight that a row could have had, seen or not: the
// target's surest action met by the log's rarest draw.
func (s *weights) bound() float64 {
	if s.minLogged == 0 {
		return 0
	}
	return max(s.largest, s.maxTarget/s.minLogged)
}

func (s *weights) merge(o weights) {
	if o.n == 0 {
		return
	}
	if s.n == 0 {
		*s = o
		return
	}
	s.n += o.n
	s.w += o.w
	s.ww += o.ww
	s.wr += o.wr
	s.wwr += o.wwr
	s.wwrr += o.wwrr
	s.largest = max(s.largest, o.largest)
	s.reach(o.minLogged, o.maxTarget)
	s.minReward, s.maxReward = min(s.minReward, o.minReward), max(s.maxReward, o.maxReward)
	s.informative += o.informative
	s.informativeAndNotZero += o.informativeAndNotZero
}

func (s *weights) mean() float64 {
	if s.n == 0 {
		return 0
	}
	return s.w / float64(s.n)
}

func (s *weights) effective() float64 {
	if s.ww == 0 {
		return 0
	}
	return s.w * s.w / s.ww
}

func (s *weights) selfNormalised() float64 {
	if s.w == 0 {
		return 0
	}
	return s.wr / s.w
}
