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

// ExpectedWait is what a report of live state says of the next one's wait, in the
// unit of mean, the mean wait of those lately served: none when nobody waits and
// somebody is free, for a mean still remembers the queue that is gone.
func ExpectedWait(queue, agents int, load, mean float64) float64 {
	if queue <= 0 && agents > 0 && load < 1 {
		return 0
	}
	return mean
}

// maxCost keeps a priority finite, whatever was reported.
const maxCost = 1e12

// Priority is what ranks a candidate: its value minus what its wait costs. The
// engine and the simulator both rank by it.
func Priority(value, cost float64) float64 { return value - cost }
