package replay

import (
	"fmt"
	"math"

	"github.com/usherhq/usher/model/evaluate"
)

// Estimate is what the decisions were worth, and would have been. Simulated means
// something only when Trusted is set; otherwise it is 0 and Lower and Upper are as
// far apart as rewards can be.
type Estimate struct {
	Logged                  float64
	Simulated, Lower, Upper float64 // self-normalised, with its 95 % interval
	IPS                     float64 // the plain estimate beside it
	Rewards                 int64   // decisions with a reward
	EffectiveSampleSize     float64
	LargestWeight           float64
	// Unsupported is the share of the draft's answers that the log never gave where
	// the draft gives them.
	Unsupported float64
	Method      string
	Trusted     bool
	Warnings    []string
	Objective   string
}

// Bounds of trust. Up to maxUnsupported the interval is widened by the worst that
// the unsupported answers could have brought; beyond it nothing is claimed.
const (
	confidence     = 0.95
	maxUnsupported = 0.01
	minEffective   = 30
	maxWeightSlip  = 0.1 // how far the mean weight may be off 1
	fewRewarded    = 0.5 // share of the decisions that should have a reward
)

func (t *tally) estimate(p *Plan) Estimate {
	e := Estimate{Objective: p.Objective, Method: evaluate.SNIPS, Rewards: t.rewards, Lower: p.Lowest, Upper: p.Highest}
	if t.rewards == 0 {
		e.Warnings = []string{"no decision has a reward under the objective: nothing can be said of its worth"}
		return e
	}
	found := t.ope.Result(confidence)
	snips := found.Estimates[evaluate.SNIPS]
	e.Logged, e.IPS = t.rewardSum/float64(t.rewards), found.Estimates[evaluate.IPS].Value
	e.EffectiveSampleSize, e.LargestWeight = found.EffectiveSampleSize, found.LargestWeight
	e.Unsupported = t.unsupported / float64(t.rewards)
	e.Warnings = append(e.Warnings, found.Warnings...)
	if e.Unsupported > 0 {
		e.Warnings = append(e.Warnings, fmt.Sprintf("in %.3g %% of the decisions the draft does what the log never did there: "+
			"nobody knows what that brings; explore, or try the draft on a share of the conversations", 100*e.Unsupported))
	}
	if share := float64(t.rewards) / float64(max(t.decisions, 1)); share < fewRewarded {
		e.Warnings = append(e.Warnings, fmt.Sprintf("%.3g %% of the decisions have a reward: it is that of those alone", 100*share))
	}
	// What is skipped is mostly where the draft looks at something new, so it is no
	// sample of the rest.
	var skipped int64
	for _, n := range t.skipped {
		skipped += n
	}
	missing := float64(skipped) / float64(skipped+t.decisions)
	if missing > maxUnsupported {
		e.Warnings = append(e.Warnings, fmt.Sprintf("%.3g %% of the decisions cannot be replayed, and they are not like the others: "+
			"the estimate says nothing of them", 100*missing))
	}
	e.Trusted = missing <= maxUnsupported && e.Unsupported <= maxUnsupported && found.EffectiveSampleSize >= minEffective && math.Abs(found.MeanWeight-1) <= maxWeightSlip
	if !e.Trusted {
		e.IPS = 0
		return e
	}
	known := 1 - e.Unsupported
	e.Simulated = snips.Value
	e.Lower = max(p.Lowest, known*snips.Lower+e.Unsupported*p.Lowest)
	e.Upper = min(p.Highest, known*snips.Upper+e.Unsupported*p.Highest)
	e.Lower, e.Upper = min(e.Lower, e.Simulated), max(e.Upper, e.Simulated)
	if e.IPS < e.Lower || e.IPS > e.Upper {
		e.Warnings = append(e.Warnings, fmt.Sprintf("the plain estimate (ips) is %.4g, outside the interval: look at the propensities", e.IPS))
	}
	return e
}
