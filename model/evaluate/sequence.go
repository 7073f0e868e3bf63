package evaluate

import "math"

// Sequence bounds the mean of a bounded number so that the bounds hold at all times
// at once: they may be looked at after every value, and acted upon, without
// spending more than the error they were made for. A gate that is asked after
// every fit and a guardrail that is asked after every outcome need that; an
// ordinary interval does not give it.
//
// It is the predictable plug-in empirical Bernstein confidence sequence of
// Waudby-Smith and Ramdas, "Estimating means of bounded random variables by
// betting" (JRSS B, 2024), theorem 2. The order of the values matters a little.
// Make it with NewSequence. It is not safe for concurrent use.
type Sequence struct {
	lo, span, alpha  float64
	n                float64
	mean, spread     float64 // regularised running mean, sum of squared deviations
	sumBet, sumStake float64 // of the bets, and of the bets times the values
	penalty          float64
	lower, upper     float64    // the best bounds so far, on 0..1
	at               [2]float64 // the newest bounds
}

// NewSequence starts a sequence for values from lo to hi with a two-sided error of
// alpha, such as 0.05. Values beyond the range are taken at its ends.
func NewSequence(lo, hi, alpha float64) *Sequence {
	return &Sequence{lo: lo, span: hi - lo, alpha: alpha, mean: 0.5, spread: 0.25, upper: 1, at: [2]float64{0, 1}}
}

// largestBet keeps one value from deciding alone; the source advises 1/2 or 3/4.
const largestBet = 0.5

// Add takes in one value. One that is not a number counts as the range's lower end.
func (s *Sequence) Add(x float64) {
	x = (x - s.lo) / s.span
	if !(x > 0) {
		x = 0
	}
	x = min(x, 1)
	s.n++
	variance := s.spread / s.n // of the values before, with one pseudo-value
	bet := math.Sqrt(2 * math.Log(2/s.alpha) / (variance * s.n * math.Log1p(s.n)))
	bet = min(bet, largestBet)
	s.penalty += (x - s.mean) * (x - s.mean) * (-math.Log1p(-bet) - bet)
	s.sumBet += bet
	s.sumStake += bet * x

	before := s.mean
	s.mean += (x - s.mean) / (s.n + 1)
	s.spread += (x - before) * (x - s.mean)

	centre, half := s.sumStake/s.sumBet, (math.Log(2/s.alpha)+s.penalty)/s.sumBet
	s.at = [2]float64{centre - half, centre + half}
	s.lower, s.upper = max(s.lower, centre-half), min(s.upper, centre+half)
}

// N is how many values were taken in.
func (s *Sequence) N() int64 { return int64(s.n) }

// Bounds returns the interval that holds the mean now; the whole range at first. Should
// the values contradict each other over time, as drifting ones do, the bounds
// may cross; then their middle is returned twice.
func (s *Sequence) Bounds() (lower, upper float64) {
	lower, upper = s.lower, s.upper
	if lower > upper {
		lower = (lower + upper) / 2
		upper = lower
	}
	return s.lo + lower*s.span, s.lo + upper*s.span
}

// Newest returns the bounds that the values so far give, not cut to those of earlier
// looks as Bounds are. They hold at all times at once, too, and are a little wider;
// where the mean moves they follow it, while bounds from before would contradict it.
func (s *Sequence) Newest() (lower, upper float64) {
	return s.lo + max(s.at[0], 0)*s.span, s.lo + min(s.at[1], 1)*s.span
}
