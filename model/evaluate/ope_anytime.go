package evaluate

import "math"

// anytime bounds the mean of w r at all times at once, without knowing how large a
// weight can be. Rewards are moved to 0..1; then w r and w (1 - r) are never
// negative, and the mean of the second is 1 less that of the first, so that a
// lower bound of each gives both ends. The lower bounds are the predictable
// plug-in empirical Bernstein ones of Waudby-Smith, Wu, Ramdas, Karampatziakis and
// Mineiro, "Anytime-valid off-policy inference for contextual bandits" (2022).
// The zero value takes rewards of 0 to 1.
type anytime struct {
	lo, span float64
	broken   bool // a reward was out of range
	gain     bets // on w r
	loss     bets // on w (1 - r)
}

func (a *anytime) add(w, r float64) {
	r = (r - a.lo) / (a.highest() - a.lo)
	if a.span < 0 || !(r >= 0 && r <= 1) {
		a.broken = true
		return
	}
	a.gain.add(w * r)
	a.loss.add(w * (1 - r))
}

func (a *anytime) merge(o *anytime) {
	if a.gain.n == 0 {
		a.lo, a.span = o.lo, o.span
	}
	a.broken = a.broken || o.broken || o.gain.n > 0 && (a.lo != o.lo || a.span != o.span)
	a.gain.merge(&o.gain)
	a.loss.merge(&o.loss)
}

// highest is the top of the range.
func (a *anytime) highest() float64 {
	if a.span <= 0 {
		return a.lo + 1
	}
	return a.lo + a.span
}

// bounds returns the sequence's interval now; false when rewards were out of range.
// Ends that cross refute the propensities and say nothing of the value.
func (a *anytime) bounds(alpha float64) (Bounds, bool) {
	span := a.highest() - a.lo
	lower := min(1, a.gain.lower(alpha/2))
	upper := max(0, 1-a.loss.lower(alpha/2))
	if lower > upper {
		lower, upper = 0, 1
	}
	return Bounds{a.lo + span*lower, a.lo + span*upper}, !a.broken
}

// Each row stakes a part of the capital on the mean being above a bound. The part
// is chosen from the rows before, so the product of all gains is a fair game: it
// exceeds 1/alpha at any time with a chance of alpha at most. Sums of two games
// make a game, which is why parts of a log can be merged.
const (
	betConfidence = 0.05 // that the size of the bets is tuned for
	// greatestBet keeps early rows, before the spread is known, from costing more
	// than all later ones win; a large value seen makes it smaller.
	greatestBet = 0.1
)

type bets struct {
	n, mean, spread      float64 // of the values, with one pseudo-value of 1/2
	largest              float64
	stake, won, variance float64 // sums of bets, bets x values, and what they cost
}

func (b *bets) add(x float64) {
	if b.n == 0 {
		b.mean, b.spread = 0.5, 0.25
	}
	b.n++
	bet := min(greatestBet, 1/(1+2*b.largest), math.Sqrt(2*math.Log(2/betConfidence)/(b.spread*math.Log1p(b.n))))
	b.stake += bet
	b.won += bet * x
	b.variance += (x - b.guess()) * (x - b.guess()) * (-math.Log1p(-bet) - bet)
	b.largest = max(b.largest, x)
	d := x - b.mean
	b.mean += d / (b.n + 1)
	b.spread += d * (x - b.mean)
}

// guess foretells the next value; it may be at most 1 for the bounds to hold.
func (b *bets) guess() float64 { return min(1, b.mean) }

func (b *bets) merge(o *bets) {
	if b.n == 0 {
		*b = *o
		return
	}
	if o.n == 0 {
		return
	}
	n := b.n + o.n
	d := o.mean - b.mean
	b.spread += o.spread + d*d*b.n*o.n/n
	b.mean += d * o.n / n
	b.n, b.largest = n, max(b.largest, o.largest)
	b.stake += o.stake
	b.won += o.won
	b.variance += o.variance
}

// lower is the bound of the mean; 0 is always one.
func (b *bets) lower(alpha float64) float64 {
	if b.stake == 0 {
		return 0
	}
	return max(0, (b.won-b.variance-math.Log(1/alpha))/b.stake)
}
