package evaluate

import (
	"encoding/json"
	"math"
)

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
	// Value is 0, and left out of the JSON, when Withheld.
	Value float64
	// Withheld says that the log cannot tell the value. Lower and Upper are then
	// wide, and all that is known.
	Withheld     bool
	Lower, Upper float64
	// Interval names how Lower and Upper were found.
	Interval string
	// Intervals are all that were found, by name.
	Intervals map[string]Bounds
}

// Bounds are the ends of an interval.
type Bounds struct {
	Lower float64 `json:"lower"`
	Upper float64 `json:"upper"`
}

// MarshalJSON leaves a withheld value out, so that nobody takes it for one.
func (e Estimate) MarshalJSON() ([]byte, error) {
	out := struct {
		Value     *float64          `json:"value"`
		Lower     float64           `json:"lower"`
		Upper     float64           `json:"upper"`
		Interval  string            `json:"interval"`
		Intervals map[string]Bounds `json:"intervals,omitempty"`
	}{&e.Value, e.Lower, e.Upper, e.Interval, e.Intervals}
	if e.Withheld {
		out.Value = nil
	}
	return json.Marshal(out)
}

// The estimators, by their names in OPEResult.Estimates.
const (
	IPS      = "ips"       // mean of weight x reward: unbiased, wild when weights are
	SNIPS    = "snips"     // the same divided by the mean weight: small bias, calmer
	DM       = "dm"        // the reward model alone: calm, as biased as the model
	DR       = "dr"        // the reward model corrected by weighted residuals
	SNDR     = "sndr"      // DR with its correction divided by the mean weight
	SwitchDR = "switch_dr" // DR that leaves rows of great weight to the model
	DROS     = "dros"      // DR whose weights are shrunk the more the greater they are
)

// Trusted estimators: DefaultEstimator where there is a reward model, and
// WithoutModel where there is none. They were named in advance and hold for
// every log.
const (
	DefaultEstimator = DR
	WithoutModel     = SNIPS
)

// OPE estimates the value of one target policy from observations that arrive one
// by one, in memory that does not grow. Parts of a log can be taken in apart and
// merged. The zero value is ready for rewards of 0 to 1; it is not safe for
// concurrent use.
type OPE struct {
	w        weights
	plain    joint // of w and w r
	robust   joint // of w and TargetValue + w (r - Predicted)
	dm       moments
	left     moments // of w (r - Predicted), all of which dm leaves out
	foretold reach   // of Predicted
	values   reach   // of TargetValue
	modelled int64
	tuned    shrinkage
	anytime  anytime
}

// NewOPE returns an OPE for rewards from lo to hi: what rewards can be, not what
// those of the log happen to be. No interval reaches beyond it. A reward that does
// makes the range wider and takes the confidence sequence away.
func NewOPE(lo, hi float64) *OPE {
	return &OPE{anytime: anytime{lo: lo, span: hi - lo}}
}

// Add takes in one observation. The caller has checked its ranges.
func (e *OPE) Add(o Observation) {
	w := o.weight()
	e.w.add(w, o.Reward)
	if w > 0 && o.Reward == e.anytime.highest() {
		e.w.informativeAndFull++
	}
	e.w.reach(o.Logged, o.Target)
	e.plain.add(w, w*o.Reward)
	e.anytime.add(w, o.Reward)
	residual := o.Reward
	if o.Modelled {
		residual -= o.Predicted
		e.modelled++
		e.dm.add(o.TargetValue)
		e.robust.add(w, o.TargetValue+w*residual)
		e.left.add(w * residual)
		e.foretold.add(o.Predicted)
		e.values.add(o.TargetValue)
	} else {
		o.TargetValue = 0
	}
	e.tuned.add(w, residual, o.TargetValue)
}

// Merge takes in all that other has seen, as if it had been added here. The
// confidence sequence of the two together is a little wider than one of all
// observations in a row.
func (e *OPE) Merge(other *OPE) {
	e.w.merge(other.w)
	e.plain.merge(other.plain)
	e.robust.merge(other.robust)
	e.dm.merge(other.dm)
	e.left.merge(other.left)
	e.foretold.merge(other.foretold)
	e.values.merge(other.values)
	e.modelled += other.modelled
	e.tuned.merge(&other.tuned)
	e.anytime.merge(&other.anytime)
}

// OPEResult is what a log says about a target policy.
type OPEResult struct {
	N         int64               `json:"n"`
	Estimates map[string]Estimate `json:"estimates"`
	// Default names the estimator to trust, chosen before looking.
	Default string `json:"default"`
	// Trusted is false when the log cannot tell the value. Then every estimate is
	// withheld and only intervals are given.
	Trusted bool `json:"trusted"`
	// EffectiveSampleSize is the number of equally weighted rows that would
	// carry as much evidence: (sum of weights)^2 / sum of squared weights.
	EffectiveSampleSize float64 `json:"effective_sample_size"`
	LargestWeight       float64 `json:"largest_weight"`
	// ClippedShare is the share of all weight that lies on rows beyond
	// SwitchThreshold, which switch_dr leaves to the reward model.
	ClippedShare float64 `json:"clipped_share"`
	// MeanWeight is 1 in expectation when propensities are true and every action
	// of the target could be logged.
	MeanWeight float64 `json:"mean_weight"`
	// UnsupportedShare is the share of the target's decisions whose actions the
	// log never shows there.
	UnsupportedShare float64 `json:"unsupported_share"`
	// SwitchThreshold and Shrinkage are the hyperparameters of switch_dr and dros
	// as the data chose them, 0 when they are infinite.
	SwitchThreshold float64 `json:"switch_threshold,omitempty"`
	Shrinkage       float64 `json:"dros_shrinkage,omitempty"`
	// Logged is the mean reward of the log as it is.
	Logged float64 `json:"logged_value"`
	// Model says where predictions came from; nil without any.
	Model *RewardModel `json:"reward_model,omitempty"`
	// Warnings say in words why, and how far, not to trust the estimates.
	Warnings []string `json:"warnings"`
}

// Result estimates with two-sided intervals of the given confidence, such as
// 0.95. Without observations every estimate is withheld and a warning says so.
func (e *OPE) Result(confidence float64) OPEResult {
	res := e.raw(confidence)
	if !res.Trusted {
		res.withhold()
	}
	return res
}

// span is what rewards can be, as far as is known.
func (e *OPE) span() reach {
	r := reach{e.anytime.lo, e.anytime.highest(), true}
	r.merge(e.w.rewards)
	return r
}

// raw is Result before values that cannot be trusted are withheld.
func (e *OPE) raw(confidence float64) OPEResult {
	alpha := 1 - confidence
	res := OPEResult{
		N: e.w.n, Estimates: map[string]Estimate{}, Default: WithoutModel, Trusted: e.w.trusted(),
		EffectiveSampleSize: e.w.effective(), LargestWeight: e.w.largest, MeanWeight: e.w.mean(), Logged: e.w.r.mean,
		Warnings: append([]string{}, e.w.warnings()...),
	}
	e.estimatePlain(&res, alpha)
	switchAt, shrunkAt := e.tuned.choose()
	res.SwitchThreshold, res.Shrinkage = known(thresholds()[switchAt]), known(thresholds()[shrunkAt])
	if e.w.w > 0 {
		res.ClippedShare = min(1, e.tuned.beyond[switchAt]/e.w.w)
	}
	if e.w.n > 0 && e.modelled == e.w.n {
		res.Default = DefaultEstimator
		e.estimateModelled(&res, alpha, switchAt, shrunkAt)
	}
	return res
}

// known writes an infinite hyperparameter as 0, which JSON can spell.
func known(x float64) float64 {
	if math.IsInf(x, 0) {
		return 0
	}
	return x
}

func (e *OPE) estimatePlain(res *OPEResult, alpha float64) {
	span := e.span()
	weighted := e.w.clopperPearson(span, alpha)
	likelihood := e.plain.cressieRead(e.unseenPlain(), alpha)
	sequence, timeless := e.anytime.bounds(alpha)
	ips := intervals{
		intervalGaussian: e.plain.gaussian(0, alpha), intervalClopperPearson: weighted, intervalCressieRead: likelihood,
	}
	ratio := e.w.selfNormalised()
	snips := intervals{intervalGaussian: e.plain.gaussian(ratio, alpha).moved(ratio - e.plain.shifted(ratio)), intervalCressieRead: likelihood}
	if timeless {
		ips[intervalSequence], snips[intervalSequence] = sequence, sequence
	}
	if e.w.impossible() {
		ips, snips = nil, nil
	}
	res.Estimates[IPS] = ips.estimate(e.plain.z, intervalClopperPearson, span)
	res.Estimates[SNIPS] = snips.estimate(ratio, intervalCressieRead, span)
}

func (e *OPE) estimateModelled(res *OPEResult, alpha float64, switchAt, shrunkAt int) {
	likelihood := e.robust.cressieRead(e.unseenRobust(), alpha)
	// All of these estimate what dr does, so its interval is theirs as well: of what
	// a biased one leaves out the log knows no more than dr does.
	put := func(name string, value float64, gaussian Bounds) {
		all := intervals{intervalGaussian: gaussian, intervalCressieRead: likelihood}
		if e.w.impossible() {
			all = nil
		}
		res.Estimates[name] = all.estimate(value, intervalCressieRead, e.span())
	}
	dr := e.robust.z
	put(DR, dr, e.robust.gaussian(0, alpha))

	// mean(TargetValue) + mean(w e) / mean(w), and its first-order error.
	sndr, slope := e.dm.mean, 0.0
	if e.w.w > 0 {
		slope = (dr - e.dm.mean) / e.w.mean()
		sndr += slope
	}
	put(SNDR, sndr, e.robust.gaussian(slope, alpha).moved(sndr-e.robust.shifted(slope)))

	switched, shrunk := e.tuned.switched[switchAt], e.tuned.shrunk[shrunkAt]
	put(DM, e.dm.mean, (&variant{e.dm, e.left}).gaussian(alpha))
	put(SwitchDR, switched.kept.mean, switched.gaussian(alpha))
	put(DROS, shrunk.kept.mean, shrunk.gaussian(alpha))
}

// withhold takes the values away, and with them every interval that would be as
// good as a value: what is left is the one that holds however few rows speak, of
// ips, and it is all that is known, whatever the estimator.
func (r *OPEResult) withhold() {
	r.Trusted = false
	known := r.Estimates[IPS]
	for name, e := range r.Estimates {
		e.Value, e.Withheld = 0, true
		e.Lower, e.Upper, e.Interval = known.Lower, known.Upper, known.Interval
		e.Intervals = map[string]Bounds{known.Interval: {known.Lower, known.Upper}}
		r.Estimates[name] = e
	}
}
