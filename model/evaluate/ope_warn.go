package evaluate

import (
	"fmt"
	"math"
)

// Bounds below which evidence is called too thin. They are rules of thumb of the
// trade, not theorems: at 30 equally weighted rows a mean of 0/1 rewards has a
// standard error of up to 0.09.
const (
	hopelessSample = 30   // effective rows: no number should be acted on
	thinSample     = 0.1  // effective share of the rows: intervals matter more than values
	fewRewards     = 10   // rows with a reward other than 0, and other than the highest: no number before
	heavyRow       = 0.05 // share of all weight on one row
	meanWeightZ    = 4.0  // standard errors that the mean weight may be off
	meanWeightSlip = 0.02 // and how far it must be off at least
)

// Bounds of trust beside hopelessSample: how far the mean weight may be off 1, and
// the share of the target's decisions that the log may never show.
const (
	maxWeightSlip  = 0.1
	maxUnsupported = 0.05
)

// trusted says whether the log can tell the value at all.
func (s *weights) trusted() bool {
	return s.informative > 0 && s.effective() >= hopelessSample && !s.impossible() &&
		min(s.informativeAndNotZero, s.informative-s.informativeAndFull) >= fewRewards
}

// impossible says that the propensities cannot be those that were drawn with, so
// that nothing made of them holds.
func (s *weights) impossible() bool {
	return s.informative > 0 && s.slipped() && math.Abs(s.mean()-1) > maxWeightSlip
}

// shown says whether the log shows what a policy of one sure choice a row would do, by
// the rule of every other estimate: it tells the value, and no more than
// maxUnsupported of the choices is missing beyond chance. What could not be drawn has
// no weight, so that the mean weight falls short of 1 by its share.
func (s *weights) shown() bool {
	short := 1 - s.mean()
	return s.trusted() && !(short > maxUnsupported && short > unsupportedZ*s.weightStdErr())
}

// addScaled is add for rewards of 0..1.
func (s *weights) addScaled(w, r float64) {
	s.add(w, r)
	if w > 0 && r >= 1 {
		s.informativeAndFull++
	}
}

// unsupportedZ is how many standard errors the mean weight may fall short by chance.
const unsupportedZ = 2.0

// slipped says that the mean weight is off 1 by more than chance and rounding.
func (s *weights) slipped() bool {
	off := math.Abs(s.mean() - 1)
	return off > meanWeightSlip && off > meanWeightZ*s.weightStdErr()
}

// warnings says what is wrong with the evidence and what can be done.
func (s *weights) warnings() []string {
	if s.n == 0 {
		return []string{"no rows: there is nothing to estimate from"}
	}
	if s.informative == 0 {
		return []string{"the target policy never takes a logged action: this log says nothing about it; " +
			"collect decisions with exploration over the target's actions"}
	}
	var out []string
	n, effective := float64(s.n), s.effective()
	switch {
	case effective < hopelessSample:
		out = append(out, fmt.Sprintf("effective sample size %s of %s: do not trust this number; "+
			"the target policy is too far from the logged one, so collect decisions that explore more",
			spell(effective), spell(n)))
	case effective < thinSample*n:
		out = append(out, fmt.Sprintf("effective sample size %s of %s: thin evidence, read the interval and not the value",
			spell(effective), spell(n)))
	}
	if share := s.largest / s.w; share > heavyRow {
		out = append(out, fmt.Sprintf("largest weight %s: a single row carries %.0f %% of the estimate",
			spell(s.largest), 100*share))
	}
	if s.informativeAndNotZero < fewRewards {
		out = append(out, fmt.Sprintf("only %d rows have a reward other than 0 and count for the target policy, %d are needed: "+
			"wait for more outcomes", s.informativeAndNotZero, fewRewards))
	}
	if left := s.informative - s.informativeAndFull; left < fewRewards {
		out = append(out, fmt.Sprintf("only %d rows have a reward other than the highest and count for the target policy, %d are needed: "+
			"wait for more outcomes", left, fewRewards))
	}
	if s.slipped() {
		out = append(out, fmt.Sprintf("weights average %.3g and should average 1: the logged propensities are not those that "+
			"the decisions were drawn with, or the target takes actions that the log could not", s.mean()))
	}
	return out
}

func (s *weights) weightStdErr() float64 {
	n := float64(s.n)
	return math.Sqrt(max(0, s.ww/n-s.mean()*s.mean()) / n)
}

// spell writes a count for people: 2.1, 656, 10,000.
func spell(x float64) string {
	if x < 10 {
		return fmt.Sprintf("%.1f", x)
	}
	digits := fmt.Sprintf("%.0f", x)
	for at := len(digits) - 3; at > 0; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}
