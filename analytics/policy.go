package analytics

import (
	"time"

	"github.com/usherhq/usher/pipeline/event"
)

// DecisionQuery searches one account's decisions. Empty fields do not narrow.
type DecisionQuery struct {
	Account                                    string
	ConversationID, ConsumerID, Policy, Chosen string
	DecidedBy                                  string
	// From and To bound the time, From included, To excluded.
	From, To time.Time
	// Before and BeforeID, when BeforeID is set, ask for what comes after that
	// decision in the order of the answer, which is newest first, by millisecond and
	// then by id.
	Before   time.Time
	BeforeID string
	// Limit is how many to return, 0 for all.
	Limit int
}

// ReplayQuery asks for the newest Limit decisions of a time with their rewards
// under an objective.
type ReplayQuery struct {
	Account, Objective string
	From, To           time.Time
	Limit              int
}

// ReplayRow is one logged decision. Reward counts when Rewarded is set.
type ReplayRow struct {
	Decision *event.Decision
	Rewarded bool
	Reward   float64
}

// PolicyReportQuery asks what became of an account's policies between From and To.
type PolicyReportQuery struct {
	Account, Objective string
	From, To           time.Time
	Grain              Grain
	// Now closes attribution windows; zero means the server's clock.
	Now time.Time
}

// PolicyReport counts a time by policy. A policy is counted wherever it matched,
// whether it decided or took candidates away, the policy "default" where it was its
// turn. Unmatched are the decisions that none decided, that one included.
type PolicyReport struct {
	Decisions, Unmatched uint64
	Policies             map[string]*PolicyCounts
	// All is over every decision, Baseline over those whose answer was the caller's
	// own choice.
	All, Baseline PolicyCounts
	Unknown       []UnknownAttribute
}

// PolicyCounts is what became of the decisions of one policy.
type PolicyCounts struct {
	Matches uint64
	Periods map[time.Time]uint64 // by the start of the period
	// Outcomes are by kind. Reward is under the objective asked for.
	Outcomes map[string]Sample
	Reward   Sample
}

// UnknownAttribute counts the decisions in which a condition on the attribute was
// UNKNOWN, and names the policies that asked.
type UnknownAttribute struct {
	Attribute string
	Decisions uint64
	Policies  []string
}

// Sample sums values up: Squares is the sum of squared distances from the mean.
type Sample struct {
	N             uint64
	Mean, Squares float64
	Min, Max      float64
}

// Add takes in another sample, as if their values had been one list.
func (s *Sample) Add(o Sample) {
	if o.N == 0 {
		return
	}
	if s.N == 0 {
		*s = o
		return
	}
	n, d := float64(s.N+o.N), o.Mean-s.Mean
	s.Squares += o.Squares + d*d*float64(s.N)*float64(o.N)/n
	s.Mean += d * float64(o.N) / n
	s.N += o.N
	s.Min, s.Max = min(s.Min, o.Min), max(s.Max, o.Max)
}
