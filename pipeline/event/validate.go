package event

import (
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	"github.com/usherhq/usher/internal/fault"
)

// Limits that keep one bad producer from hurting everybody: identifiers end up
// in sorting keys and labels, lists in every read of a record.
const (
	maxID         = 256
	maxText       = 4096
	maxCandidates = 1000
	maxAttributes = 1000
)

// Validate lists every rule the decision breaks as one *fault.Error, nil when
// it is sound. It costs one pass over the record.
func (d *Decision) Validate() error {
	var c check
	c.id("decision_id", d.ID)
	c.id("account", d.Account)
	c.time("time", d.Time)
	for _, f := range [...]struct{ name, value string }{
		{"channel", d.Channel},
		{"intent", d.Intent},
		{"policy", d.Policy},
		{"model_version", d.ModelVersion},
		{"objective", d.Objective},
		{"baseline", d.Baseline},
		{"policy_only", d.PolicyOnly},
		{"model_only", d.ModelOnly},
		{"drawn", d.Drawn},
		{"chosen", d.Chosen},
		{"no_match_reason", d.NoMatchReason},
		{"only_policy", d.OnlyPolicy},
	} {
		c.optionalID(f.name, f.value)
	}
	c.reference("request_id", d.RequestID)
	c.reference("conversation_id", d.ConversationID)
	c.reference("consumer_id", d.ConsumerID)
	c.reference("visitor_id", d.VisitorID)
	c.reference("session_id", d.SessionID)
	c.probability("propensity", d.Propensity)
	c.decidedBy(d.DecidedBy)
	c.mode(d.Mode)
	if len(d.Attributes) > maxAttributes {
		c.Add("attributes", "has %d entries, at most %d are allowed", len(d.Attributes), maxAttributes)
	}
	if d.Latency < 0 {
		c.Add("latency_ns", "must not be negative")
	}
	if d.Step < 0 || d.Step > math.MaxInt32 || d.ValidFor < 0 || d.Waited < 0 {
		c.Add("step", "step, valid_for_ns and waited_ns must not be negative, and a step fits 31 bits")
	}
	if d.Added < 0 || d.Added > len(d.Candidates) {
		c.Add("added", "must be 0 to the number of candidates")
	}
	c.candidates(d.Candidates)
	for i, a := range d.Actions {
		if a.Key() == "" {
			c.Add(fmt.Sprintf("actions[%d]", i), "needs a type or a target")
		}
	}
	return c.Err("decision is invalid")
}

// Validate lists every rule the outcome breaks as one *fault.Error, nil when it
// is sound.
func (o *Outcome) Validate() error {
	var c check
	c.id("id", o.ID)
	c.id("source", o.Source)
	c.id("account", o.Account)
	c.id("kind", o.Kind)
	c.reference("decision_id", o.DecisionID)
	c.reference("conversation_id", o.ConversationID)
	if o.DecisionID == "" && o.ConversationID == "" {
		c.Add("decision_id", "decision_id or conversation_id is required")
	}
	c.finite("value", o.Value)
	c.text("label", o.Label)
	c.time("time", o.Time)
	return c.Err("outcome is invalid")
}

// Validate lists every rule the report breaks as one *fault.Error, nil when it
// is sound.
func (s *SkillState) Validate() error {
	var c check
	c.id("id", s.ID)
	c.id("source", s.Source)
	c.id("account", s.Account)
	c.id("skill", s.Skill)
	c.time("state.at", s.State.At)
	c.finite("state.load", s.State.Load)
	c.finite("state.wait_avg_seconds", s.State.WaitSeconds)
	c.finite("state.handle_avg_seconds", s.State.HandleSeconds)
	if s.State.AgentsOnline < 0 || s.State.AgentsOnline > math.MaxInt32 {
		c.Add("state.agents_online", "must be between 0 and %d", math.MaxInt32)
	}
	if s.State.QueueSize < 0 || s.State.QueueSize > math.MaxInt32 {
		c.Add("state.queue_size", "must be between 0 and %d", math.MaxInt32)
	}
	return c.Err("skill report is invalid")
}

// Ahead tells that an event of time at, received at a time, is from further in the
// future than clocks differ: a fault at the field, nil for none. Stored, it would
// be the newest of all for as long.
func Ahead(field string, at, received time.Time, skew time.Duration) error {
	var c check
	if !received.IsZero() && at.After(received.Add(skew)) {
		c.Add(field, "is %v in the future, at most %v are allowed", at.Sub(received).Round(time.Second), skew)
	}
	return c.Err("event is invalid")
}

// check adds the rules of events to a fault.Check.
type check struct{ fault.Check }

func (c *check) id(field, v string) {
	if v == "" {
		c.Add(field, "is required")
		return
	}
	c.reference(field, v)
}

// reference is an id that others gave, empty for none.
func (c *check) reference(field, v string) {
	c.optionalID(field, v)
	if fault.HasControl(v) {
		c.Add(field, "holds a control character")
	}
}

func (c *check) optionalID(field, v string) {
	if len(v) > maxID {
		c.Add(field, "has %d bytes, at most %d are allowed", len(v), maxID)
	}
	c.utf8(field, v)
}

func (c *check) text(field, v string) {
	if len(v) > maxText {
		c.Add(field, "has %d bytes, at most %d are allowed", len(v), maxText)
	}
	c.utf8(field, v)
}

func (c *check) utf8(field, v string) {
	if !utf8.ValidString(v) {
		c.Add(field, "is not UTF-8")
	}
}

func (c *check) finite(field string, v float64) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		c.Add(field, "must be a finite number")
	}
}

func (c *check) probability(field string, v float64) {
	if !(v >= 0 && v <= 1) { // NaN fails too
		c.Add(field, "must be between 0 and 1")
	}
}

// A date far off is a unit mistake (seconds for milliseconds), and it would open
// a partition of its own in every table.
func (c *check) time(field string, t time.Time) {
	switch y := t.Year(); {
	case t.IsZero():
		c.Add(field, "is required")
	case y < 2000 || y >= 2100:
		c.Add(field, "must be between the years 2000 and 2099")
	}
}

func (c *check) decidedBy(by DecidedBy) {
	switch by {
	case DecidedByPolicy, DecidedByModel, DecidedByExploration, DecidedByBaseline, DecidedByDefault:
	default:
		c.Add("decided_by", "%q is unknown", by)
	}
}

func (c *check) mode(mode string) {
	switch mode {
	case "OFF", "SHADOW", "COMPARE", "HOLDOUT", "ON":
	default:
		c.Add("mode", "%q is unknown", mode)
	}
}

func (c *check) candidates(cs []Candidate) {
	if len(cs) > maxCandidates {
		c.Add("candidates", "has %d entries, at most %d are allowed", len(cs), maxCandidates)
	}
	for i := range cs {
		one := &cs[i]
		if one.Key() == "" {
			c.Add(fmt.Sprintf("candidates[%d]", i), "needs a type or a target")
		}
		// The path is built only for a fault: this runs for every candidate stored.
		if sum := one.Score + one.StdErr + one.Priority + one.WaitCost; math.IsNaN(sum) || math.IsInf(sum, 0) {
			c.Add(fmt.Sprintf("candidates[%d]", i), "score, std_err, priority and wait_cost must be finite numbers")
		}
		if !(one.Probability >= 0 && one.Probability <= 1) {
			c.Add(fmt.Sprintf("candidates[%d].probability", i), "must be between 0 and 1")
		}
	}
}
