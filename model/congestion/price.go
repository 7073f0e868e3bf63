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

// maxCost keeps a priority finite, whatever was reported.
const maxCost = 1e12

// Priority is what ranks a candidate: its value minus what its wait costs. The
// engine and the simulator both rank by it.
func Priority(value, cost float64) float64 { return value - cost }
