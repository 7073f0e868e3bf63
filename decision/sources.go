package decision

import (
	"time"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/pipeline/event"
)

// Request is one question: what next in this conversation?
type Request struct {
	Account string
	// RequestID seeds every draw and makes a retry get the same answer. The
	// engine makes one up when it is empty.
	RequestID                                        string
	ConversationID, ConsumerID, VisitorID, SessionID string
	Channel, Intent                                  string
	// Attributes holds strings, numbers, booleans, lists and nested objects.
	Attributes map[string]any
	// Candidates are the actions to choose from; only Action and Attributes are
	// read. A candidate without a type is a TRANSFER_TO_SKILL.
	Candidates []event.Candidate
	// Baseline is what the caller would do by itself.
	Baseline *event.Action
	// MaxActions bounds the answer; 0 means [DefaultMaxActions].
	MaxActions int
	// DryRun marks a question that is not to be recorded; the engine answers it
	// like any other.
	DryRun bool
	// Supplied takes the place of what is known otherwise, in a dry run only; nil for
	// nothing.
	Supplied *Supplied
	// Explain asks for every policy's trace and every candidate's factors,
	// however long the lists are.
	Explain bool
	// Policy limits the run to this policy of the account and the default one. A
	// disabled one takes part in a dry run only.
	Policy string
	// Policies take the place of the account's, in a dry run only.
	Policies *policy.Set
	// UserMessage is what the consumer said last.
	UserMessage string
	// Waited is how long the conversation has waited in the steps of a policy.
	Waited time.Duration
	// NoExploration asks for the answer without exploration, whatever the mode.
	NoExploration bool
	// Labels are carried into the record.
	Labels map[string]string
}

// Supplied is the world of a dry run, as far as it is not the real one.
type Supplied struct {
	// Now is the time of the decision; zero for the engine's clock.
	Now time.Time
	// Contexts count as written to the context store just before.
	Contexts []SuppliedContext
	// Skills goes before SkillSource, by id of a skill, agent or bot.
	Skills map[string]event.Skill
}

// SuppliedContext is one document: its properties go before the stored ones of the
// same namespace and session, nil ones take those away.
type SuppliedContext struct {
	Namespace, Session string
	Properties         map[string]any
}

// PolicySource gives the compiled policies of an account: immutable, from
// memory, never nil for a known account. decision/policystore is one.
type PolicySource interface {
	Policies(account string) *policy.Set
}

// ModelSource gives the live model of an account, nil when there is none.
// *model.Registry is one.
type ModelSource interface {
	Current(account string) *model.Model
}

// ControlSource gives what people set for an account, from memory and without a
// lock. decision/control is one.
type ControlSource interface {
	// Account returns the account, false when there is no such account.
	Account(account string) (Account, bool)
	// Mode returns the mode set for exactly this scope ("account",
	// "policy:<name>", "skill:<name>"), false when none is set.
	Mode(account, scope string) (Mode, bool)
}

// SkillSource gives the live state of a skill, from memory.
type SkillSource interface {
	Skill(account, skill string) (event.Skill, bool)
}

// SeatSource knows who serves what, from memory. It backs an action that gives a
// conversation to an agent or else to a skill.
type SeatSource interface {
	// Serves reports whether the agent serves the skill; known is false when nobody
	// said what this agent serves.
	Serves(account, agent, skill string) (serves, known bool)
}

// Account is what the engine needs to know of an account.
type Account struct {
	// Default is the compiled default effect, made by [policy.CompileEffect];
	// nil ranks whatever the caller offers.
	Default *policy.Set
	// NoExploration matches the conversations that nothing is tried on, made by
	// [CompileCondition]; nil matches none.
	NoExploration *policy.Set
	// ExplorationPerHour is how many exploratory draws a target may get in an hour,
	// by target; ExplorationElsewhere that of all others, nil for no bound.
	ExplorationPerHour   map[string]int64
	ExplorationElsewhere *int64
	// WaitPrices is the reward that one minute of expected wait costs, by objective;
	// one that is not there has no price.
	WaitPrices map[string]float64
}

// ModeKind says how far a scope is in the model's hands.
type ModeKind string

// The rungs of the ladder.
const (
	ModeOff     ModeKind = "OFF"     // no scoring; policy answers
	ModeShadow  ModeKind = "SHADOW"  // scored and recorded; policy answers
	ModeCompare ModeKind = "COMPARE" // a share of conversations is the model's
	ModeHoldout ModeKind = "HOLDOUT" // a share of conversations stays with policy
	ModeOn      ModeKind = "ON"      // the model ranks what policy allows
)

// Valid reports whether k is one of the rungs.
func (k ModeKind) Valid() bool {
	switch k {
	case ModeOff, ModeShadow, ModeCompare, ModeHoldout, ModeOn:
		return true
	}
	return false
}

// Mode is the setting of one scope.
type Mode struct {
	Kind ModeKind
	// Share is, for COMPARE, the share of conversations the model decides and,
	// for HOLDOUT, the share that stays with policy; 0 to 1.
	Share float64
	// Exploration is the share of decisions spread evenly over the eligible
	// candidates while the model decides, 0 to 1; nil means the default. 0 turns
	// every draw off.
	Exploration *float64
	// Objective names what the model optimises; "default" when empty.
	Objective string
}

// Scopes of a mode.
const (
	ScopeAccount      = "account"
	ScopePolicyPrefix = "policy:"
	ScopeSkillPrefix  = "skill:" // the skill that policy alone would choose
)

// FreshMode is that of an account where nobody set one: watch, do not touch.
func FreshMode() Mode { return Mode{Kind: ModeShadow} }
