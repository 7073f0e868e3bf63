package evaluate

import (
	"maps"
	"math"
	"slices"
)

// Floor bounds the mean of a number from below by betting against every mean that
// is claimed: who believes a mean of m is offered fair bets on each value, and is
// refuted once a fixed mixture of stakes has multiplied by one over the error.
// The bound holds at all times at once, whatever is done after each look, and it
// needs no upper limit of the values: a row that counts a hundredfold is a bet
// like any other. Values only have to be at least lo.
//
// It is the one-sided betting confidence sequence of Waudby-Smith and Ramdas,
// "Estimating means of bounded random variables by betting" (JRSS B, 2024),
// section 4, with stakes mixed rather than adapted, so that the order of the
// values does not matter and equal values need one cell. Make it with NewFloor.
// It is not safe for concurrent use.
type Floor struct {
	lo     float64
	alpha  float64
	counts map[int32]int64 // by value, in steps above lo
	n      int64
	sum    float64
}

// floorStep is the grain of the values, which are rounded down to it: the bound
// then holds all the more.
const floorStep = 1.0 / 8192

// largestValue is where a value counts no more than this: numbers of the log that
// are wrong must not decide alone, and a smaller value only lowers the bound.
const largestValue = 100

// NewFloor starts a bound for values of at least lo that is wrong, ever, with
// probability alpha at most.
func NewFloor(lo, alpha float64) *Floor {
	return &Floor{lo: lo, alpha: alpha, counts: map[int32]int64{}}
}

// Add takes in one value. One that is not a number, or below lo, counts as lo.
func (f *Floor) Add(x float64) {
	if !(x > f.lo) {
		x = f.lo
	}
	x = min(x, largestValue)
	f.counts[int32(math.Floor((x-f.lo)/floorStep))]++
	f.sum += x
	f.n++
}

// N is how many values were taken in.
func (f *Floor) N() int64 { return f.n }

// Mean is that of the values, 0 without any.
func (f *Floor) Mean() float64 {
	if f.n == 0 {
		return 0
	}
	return f.sum / float64(f.n)
}

// stakes are the shares of the wealth that are bet. Small ones find small
// differences in many rows, large ones large differences in few.
func stakes() [9]float64 { return [9]float64{0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 0.95} }

// Lower returns the largest mean that is refuted as too small: the mean is not
// below it. It is lo while nothing is known.
func (f *Floor) Lower() float64 {
	if f.n == 0 {
		return f.lo
	}
	cells := slices.Sorted(maps.Keys(f.counts)) // in one order: sums do not depend on the map's
	lower, upper := f.lo, max(f.Mean(), f.lo)+floorStep
	for range 20 {
		m := (lower + upper) / 2
		if f.wealth(cells, m) >= -math.Log(f.alpha) {
			lower = m
		} else {
			upper = m
		}
	}
	return lower
}

// wealth returns the logarithm of what the mixture has made of 1 against mean m.
// It falls as m rises, so that the bound can be found by halving.
func (f *Floor) wealth(cells []int32, m float64) float64 {
	span := m - f.lo
	if span <= 0 {
		return math.Inf(1) // no value is below lo: that mean is refuted, or lo itself
	}
	fractions := stakes()
	var logs [len(fractions)]float64
	for _, c := range cells {
		times, y := float64(f.counts[c]), float64(c)*floorStep/span
		for i, s := range fractions {
			logs[i] += times * math.Log1p(s*(y-1))
		}
	}
	top := slices.Max(logs[:])
	sum := 0.0
	for _, l := range logs {
		sum += math.Exp(l - top)
	}
	return top + math.Log(sum/float64(len(fractions)))
}
