package policy

import (
	"encoding/json"
	"fmt"

	"github.com/usherhq/usher/pipeline/event"
)

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
	// When is the condition; nil matches always.
	When   *Condition `json:"when,omitempty"`
	Effect Effect     `json:"effect"`

	// Revision is that of the stored policy; it is not part of the document.
	Revision int64 `json:"-"`
	// Fault is why a stored document cannot be used. Such a policy never matches
	// and is traced as INVALID.
	Fault error `json:"-"`
}

// Condition is exactly one of: All, Any, Not, a comparison (Attribute and
// Operator), Time, CEL. The zero value is true.
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

	Time *Window `json:"time,omitempty"`
	CEL  string  `json:"cel,omitempty"`
}

// Effect is what a matching policy does. Fixed excludes the others; Deny and
// Rank may stand together. Fixed and Rank end the evaluation, Deny alone takes
// candidates away and lets the next policies decide.
type Effect struct {
	Fixed *Fixed `json:"fixed,omitempty"`
	Deny  *Deny  `json:"deny,omitempty"`
	Rank  *Rank  `json:"rank,omitempty"`
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

// Bounds of a lever, in percent.
const (
	MinLever = -100.0
	MaxLever = 1000.0
)

// Terminal reports whether the effect ends the evaluation.
func (e *Effect) Terminal() bool { return e.Fixed != nil || e.Rank != nil }

// Marshal returns the canonical JSON of a policy.
func Marshal(p *Policy) ([]byte, error) {
	data, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("marshal policy %q: %w", p.Name, err)
	}
	return data, nil
}
