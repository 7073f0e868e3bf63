package analytics

import "time"

// The columns that may stand for another way of deciding.
const (
	ByPolicy   = "policy_only" // what policy alone would have done
	ByBaseline = "baseline"    // the caller's own choice
)

// ValueQuery asks for the sums from which the worth of always doing what a column
// says can be estimated, over the newest Limit rewarded decisions between From and To.
type ValueQuery struct {
	Account, Objective string
	From, To           time.Time
	// Column is ByPolicy or ByBaseline; empty means what was done.
	Column string
	// Segment is intent, channel, policy or chosen; empty means no parts.
	Segment string
	Limit   int
	// Now closes attribution windows; zero means the server's clock.
	Now time.Time
}

// ValueSums are the sums of one segment. The weight of a decision is 1 over its
// propensity where the column names what was done, and 0 elsewhere. Unknown counts
// decisions without a propensity, which are in no sum.
type ValueSums struct {
	Segment                        string
	Rows, Informative, Rewarded    int64
	Unknown                        int64
	Weights, WeightSquares         float64
	Rewards, RewardSquares         float64
	Weighted, Squared, BothSquared float64 // sums of w r, w^2 r and (w r)^2
	LargestWeight, LeastPropensity float64
	LeastReward, GreatestReward    float64
}
