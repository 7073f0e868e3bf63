package analytics

import "time"

// LadderQuery asks for the decisions of one scope of the mode ladder with what came
// of them.
type LadderQuery struct {
	Account, Objective string
	// Kind is a kind of outcome, empty for the objective's reward. A decision's value
	// is the sum of those within the objective's window, 0 without any, and it counts
	// when the window is over. With Rated it is the last of them, and a decision
	// without any does not count.
	Kind  string
	Rated bool
	// Conversations asks for a row for each conversation and side: of a kind that is
	// not Rated the sum over its decisions, else their mean.
	Conversations bool
	// Policy or Skill narrow to a scope; without either it is the account's, less
	// OtherPolicies and OtherSkills, which have a mode of their own.
	Policy, Skill              string
	OtherPolicies, OtherSkills []string
	// Modes are those that count, all when empty.
	Modes []string
	// Decisions made from From on and before To; zero for no limit.
	From, To time.Time
	// Limit bounds the rows, the newest; 0 for no bound.
	Limit int
	// Now is the clock that closes attribution windows; the server's when zero.
	Now time.Time
}

// LadderRow is one decision, or one conversation, and its value. What else it tells is
// of one of a conversation's decisions. Exactly one of Model and Policy is set
// where the lot of COMPARE or HOLDOUT said who decides and that side did.
type LadderRow struct {
	Model, Policy                 bool
	Mode                          string
	Value                         float64
	Chosen, ModelOnly, PolicyOnly string
	Propensity                    float64
}
