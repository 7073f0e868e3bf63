package congestion

import "math"

// Cost is what an expected wait takes off a candidate's value: price is the reward
// that one minute costs, wait is in minutes. Negative waits and prices count as 0,
// and so does what is not a number: a broken report must not hide a candidate.
func Cost(price, wait float64) float64 {
	cost := max(price, 0) * max(wait, 0)
	if math.IsNaN(cost) {
		return 0
	}
	return min(cost, maxCost)
}

// State is what a report of live state says of a group. Mean is the mean wait of
// those lately served and Handle the mean time an agent works on one conversation,
// in one unit; 0 for a Handle that nobody knows.
type State struct {
	Queue, Agents      int
	Load, Mean, Handle float64
}

// ExpectedWait is how long the next one will wait, in the unit of Mean: nothing when
// nobody waits and somebody is free, since a mean still remembers a queue that is
// gone. Otherwise, with the handle time known, the time until those ahead and then
// the next one are taken; without it, the mean.
func (s State) ExpectedWait() float64 {
	switch {
	case s.Queue <= 0 && s.Agents > 0 && s.Load < 1:
		return 0
	case s.Handle > 0 && s.Agents > 0:
		return float64(max(s.Queue, 0)+1) * s.Handle / float64(s.Agents)
	default:
		return s.Mean
	}
}

// maxCost keeps a priority finite, whatever was reported.
const maxCost = 1e12

// Priority is what ranks a candidate: its value minus what its wait costs. The
// engine and the simulator both rank by it.
func Priority(value, cost float64) float64 { return value - cost }
