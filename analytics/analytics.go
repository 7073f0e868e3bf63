// Package analytics is the vocabulary of questions about the past: what a
// trainer, a report or an operator asks of the warehouse, and what comes back.
// It knows no database; package analytics/clickhouse answers.
//
// Every question names its account. Times are UTC.
package analytics

import (
	"encoding/json"
	"time"

	"github.com/usherhq/usher/pipeline/event"
)

// TrainingQuery asks for the decisions of one account that have a reward under
// one objective. Zero times and a zero Limit do not limit.
type TrainingQuery struct {
	Account, Objective string
	// From and To bound the decisions' time, From included, To excluded.
	From, To time.Time
	// Since leaves out rows that were completely known by then, see
	// [TrainingRow.KnownAt]: what a refit that has seen the rest needs.
	Since time.Time
	// Now closes attribution windows: silence before it counts. Zero means the
	// server's clock.
	Now time.Time
	// Limit keeps the newest decisions.
	Limit int
}

// TrainingRow is one rewarded decision as it was logged at the time: nothing in
// it is computed from today's state but the reward.
type TrainingRow struct {
	DecisionID, ConversationID string
	Time                       time.Time
	Channel, Intent            string
	// Attributes hold string, float64, bool and []string.
	Attributes map[string]any
	// Skills is the live state that the decision saw.
	Skills map[string]event.Skill
	// Chosen is the key of the first action, Propensity the probability it had
	// under what was live. ChosenAttributes are the chosen candidate's.
	ChosenType, Chosen string
	ChosenAttributes   map[string]any
	Propensity         float64
	Explored           bool
	DecidedBy          event.DecidedBy
	// Baseline is the caller's own choice; PolicyOnly and ModelOnly are what
	// each alone would have done.
	Baseline, PolicyOnly, ModelOnly string
	Policy, ModelVersion, Mode      string
	// The candidates, in parallel.
	CandidateKeys          []string
	CandidateEligible      []bool
	CandidateProbabilities []float64
	// Reward is under the objective asked for. Silent means that no outcome came
	// inside the window and the objective's default applies.
	Reward   float64
	Outcomes int
	Silent   bool
	// RewardTime is the time of the last outcome counted, or the window's end.
	RewardTime time.Time
	// KnownAt is when the last part of this row was stored: the decision or an
	// outcome. A later outcome changes the reward and raises it.
	KnownAt time.Time
}

// Model is a fitted model with its card. Artifact is empty in listings.
type Model struct {
	Account, Version, Objective string
	CreatedAt                   time.Time
	Rows                        int64
	Gate, GateReason            string
	// Card is the whole card as JSON.
	Card json.RawMessage
	// SHA256 (hex) and Size (bytes) are those of the artifact.
	SHA256   string
	Size     int64
	Artifact []byte
}

// DeadLetterQuery selects dead letters. Empty fields do not limit, but Account:
// empty means those whose account is unknown unless AllAccounts is set.
type DeadLetterQuery struct {
	Account     string
	AllAccounts bool
	Topic       string
	Reason      string
	// From and To bound the broker time of the original.
	From, To time.Time
	Limit    int
}

// Counts are numbers of stored rows.
type Counts struct {
	Decisions, Outcomes, SkillStates, ConfigChanges, DeadLetters uint64
}

// Grain is the length of a roll-up's period.
type Grain string

// The grains that are kept.
const (
	Hour Grain = "hour"
	Day  Grain = "day"
)

// RollupQuery asks for roll-up rows of one account, From included, To excluded.
type RollupQuery struct {
	Account  string
	Grain    Grain
	From, To time.Time
}

// Rollup counts the decisions of one period that share what names them. Rewards
// are under each decision's own objective.
type Rollup struct {
	Start                        time.Time
	Skill, Policy, ModelVersion  string
	Objective, Mode              string
	DecidedBy, Channel           string
	Decisions, Explored          uint64
	KeptBaseline                 uint64 // the answer was the caller's own choice
	Outcomes, Rewarded           uint64
	RewardSum, RewardSquares     float64
	WeightSum, WeightedRewardSum float64 // 1/propensity, and times the reward
	LatencySum, LatencyMax       time.Duration
}

// Erasure asks for a person of an account to be forgotten: everything up to a
// time, and the whole of every conversation they were in. Hash is the keyed hash
// of their id, see the warehouse's HashID.
type Erasure struct {
	Account, Hash string
	Before        time.Time
}

// Erased is what one look for a person's rows found and removed.
type Erased struct {
	Decisions, Outcomes, DeadLetters uint64
	// Models are the versions whose training time holds one of the decisions.
	Models []string
	// Hours are those that the decisions were counted in.
	Hours []time.Time
}

// Kinds of ids that an erasure keeps the hashes of.
const (
	ErasedPerson       = "person"
	ErasedConversation = "conversation"
	ErasedDecision     = "decision"
	ErasedSession      = "session" // named by no other decision than the person's
)

// ErasedIDs are the keyed hashes of what one erasure removed, by kind.
type ErasedIDs map[string]map[string]bool

// LearningState is what there is to learn from under one objective.
type LearningState struct {
	Rows    uint64    // as [TrainingProgress] counts them
	KnownAt time.Time // when the newest outcome was stored
	// Open are the decisions inside of their window that nothing has come of.
	Open uint64
	// Maturity is the chance that an outcome that will come has come by now, over the
	// open decisions and by the delays of those that came; 1 when none is open.
	Maturity float64
	// Explored counts the decisions of the last hour that were given to exploration, by
	// what was chosen.
	Explored map[string]uint64
}
