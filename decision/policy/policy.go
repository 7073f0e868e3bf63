package policy

import (
	"encoding/json"
	"fmt"

	"github.com/usherhq/usher/pipeline/event"
)

// DefaultName is the id of an account's default policy: always asked last,
// without a condition, so that "no match" is chosen by somebody.
const DefaultName = "default"

// Policy is a condition and its effect. The JSON form is canonical: marshalling
// what [Parse] returned and parsing it again gives the same bytes.
type Policy struct {
	Name        string `json:"name,omitempty"` // id, unique in its account
	DisplayName string `json:"display_name,omitempty"`
	Description string `json:"description,omitempty"`
	// Enabled is true when the document does not say.
	Enabled bool `json:"enabled"`
	// Rank orders policies, lowest first; equal ranks are ordered by name.
	Rank float64 `json:"rank,omitempty"`
	// Schedule says when the policy is in force at all; nil means always.
	Schedule *Schedule `json:"schedule,omitempty"`
	// When is the condition; nil matches always.
	When   *Condition `json:"when,omitempty"`
	Effect Effect     `json:"effect"`
	// Exception is asked before When; when it holds, its effect decides.
	Exception *Exception `json:"exception,omitempty"`

	// Revision is that of the stored policy; it is not part of the document.
	Revision int64 `json:"-"`
	// Fault is why a stored document cannot be used. Such a policy never matches
	// and is traced as INVALID.
	Fault error `json:"-"`
}

// Schedule is the time during which a policy is in force. From and To are RFC
// 3339 instants or dates; a date counts in Zone (IANA, UTC when empty) and To
// includes its day. Outside of it the policy is as good as disabled.
type Schedule struct {
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
	Zone string `json:"zone,omitempty"`
}

// Exception is what a policy does instead when When holds.
type Exception struct {
	When   *Condition `json:"when,omitempty"`
	Effect Effect     `json:"effect"`
}

// Condition is exactly one of: All, Any, Not, a comparison (Attribute and
// Operator), Time, Date, CEL. The zero value is true.
type Condition struct {
	All []*Condition `json:"all,omitempty"`
	Any []*Condition `json:"any,omitempty"`
	Not *Condition   `json:"not,omitempty"`

	Attribute string   `json:"attribute,omitempty"`
	Operator  Operator `json:"operator,omitempty"`
	// Value is the right side: a string, float64, bool or a list of those.
	Value any `json:"value,omitempty"`
	// ValueFrom names the attribute that holds the right side.
	ValueFrom string `json:"value_from,omitempty"`
	// Fold compares strings without regard to case.
	Fold bool `json:"fold,omitempty"`

	Time *Window     `json:"time,omitempty"`
	Date *DateWindow `json:"date,omitempty"`
	CEL  string      `json:"cel,omitempty"`
}

// Effect is what a matching policy does. Deny may stand beside Rank, Split or
// Steps; otherwise an effect is one of its fields. Deny alone takes candidates
// away and lets the next policies decide, every other effect ends the evaluation.
type Effect struct {
	Fixed *Fixed `json:"fixed,omitempty"`
	Deny  *Deny  `json:"deny,omitempty"`
	Rank  *Rank  `json:"rank,omitempty"`
	Split *Split `json:"split,omitempty"`
	Steps []Step `json:"steps,omitempty"`
}

// Fixed answers these actions, in order. Targets and the strings in payloads may
// hold {{attribute}}.
type Fixed struct {
	Actions []event.Action `json:"actions"`
}

// Deny removes the candidates with one of the Targets as key, and those for
// which Where is TRUE. Where may use candidate.* attributes.
type Deny struct {
	Targets []string   `json:"targets,omitempty"`
	Where   *Condition `json:"where,omitempty"`
}

// Rank lets the model rank the candidates that Targets names or Where selects,
// all of the caller's when it has neither.
type Rank struct {
	// Objective names what the model optimises; the mode's when empty.
	Objective string     `json:"objective,omitempty"`
	Targets   []string   `json:"targets,omitempty"`
	Where     *Condition `json:"where,omitempty"`
	// Levers raise or lower a candidate's priority by a percentage: 55 means
	// times 1.55, -100 means times 0. They are bounded by [MinLever] and [MaxLever].
	Levers map[string]float64 `json:"levers,omitempty"`
	// Actions are further candidates beside the caller's; they are always
	// selected. A candidate of the caller with the same key stays as it is.
	Actions []event.Action `json:"actions,omitempty"`
}

// Split shares conversations among its arms by weight. The same key always gets
// the same arm while the arms stay as they are.
type Split struct {
	// By says what sticks to its arm: "conversation" (the default), "consumer", or
	// the name of an attribute.
	By   string `json:"by,omitempty"`
	Arms []Arm  `json:"arms"`
}

// What a [Split] can go by beside attributes.
const (
	ByConversation = "conversation"
	ByConsumer     = "consumer"
)

// Arm is one branch of a [Split]. Weight is its share in proportion to the
// others'; any positive number.
type Arm struct {
	Weight  float64        `json:"weight"`
	Actions []event.Action `json:"actions"`
}

// Step is one of several answers in the order of time: exactly one of Fixed, Rank
// and Split.
type Step struct {
	Fixed *Fixed `json:"fixed,omitempty"`
	Rank  *Rank  `json:"rank,omitempty"`
	Split *Split `json:"split,omitempty"`
	// SkipWhen passes the step over while it is TRUE.
	SkipWhen *Condition `json:"skip_when,omitempty"`
	// ExpiresAfter is how long the step answers, such as "30s" or "2m"; empty means
	// for good.
	ExpiresAfter string `json:"expires_after,omitempty"`
}

// Bounds of a lever, in percent.
const (
	MinLever = -100.0
	MaxLever = 1000.0
)

// Terminal reports whether the effect ends the evaluation.
func (e *Effect) Terminal() bool {
	return e.Fixed != nil || e.Rank != nil || e.Split != nil || len(e.Steps) > 0
}

// Marshal returns the canonical JSON of a policy.
func Marshal(p *Policy) ([]byte, error) {
	data, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("marshal policy %q: %w", p.Name, err)
	}
	return data, nil
}
