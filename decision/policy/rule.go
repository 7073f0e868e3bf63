package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/usherhq/usher/pipeline/event"
)

// Rule is a compiled policy. It is immutable and safe for concurrent use; the
// methods that take an [Input] want one of the rule's own [Set], loaded.
type Rule struct {
	policy   *Policy
	at       int         // place in the list
	state    event.Truth // True: can match; else Disabled or Invalid
	fault    error
	test     test
	leaves   []leaf
	needs    []need
	fixed    []action
	deny     *selection
	rank     *selection
	extra    []action
	factors  map[string]float64
	terminal bool
}

// Policy returns what the rule was compiled from. It must not be changed.
func (r *Rule) Policy() *Policy { return r.policy }

// Position is the rule's place in the list, from 0.
func (r *Rule) Position() int { return r.at }

// Terminal reports whether the rule ends the evaluation.
func (r *Rule) Terminal() bool { return r.terminal }

// IsFixed reports whether the rule answers fixed actions.
func (r *Rule) IsFixed() bool { return r.policy.Effect.Fixed != nil }

// Fixed returns the actions to answer with every {{attribute}} filled in.
func (r *Rule) Fixed(in *Input) []event.Action { return render(r.fixed, in) }

// Extra returns the candidates that a rank effect adds.
func (r *Rule) Extra(in *Input) []event.Action { return render(r.extra, in) }

// HasDeny reports whether the rule removes candidates.
func (r *Rule) HasDeny() bool { return r.deny != nil }

// Denies reports whether the rule removes the candidate with this key, the one
// last given to [Input.Candidate].
func (r *Rule) Denies(in *Input, key string) bool {
	return r.deny != nil && r.deny.holds(in, key)
}

// Selects reports whether a rank effect takes the candidate with this key, the
// one last given to [Input.Candidate].
func (r *Rule) Selects(in *Input, key string) bool {
	return r.rank != nil && (r.rank.everything() || r.rank.holds(in, key))
}

// Factor returns what multiplies the priority of the candidate: 1 + lever/100.
func (r *Rule) Factor(key string) float64 {
	if f, ok := r.factors[key]; ok {
		return f
	}
	return 1
}

// Objective returns the objective a rank effect names, else "".
func (r *Rule) Objective() string {
	if r.policy.Effect.Rank == nil {
		return ""
	}
	return r.policy.Effect.Rank.Objective
}

// selection names candidates by key, by condition or both.
type selection struct {
	targets map[string]struct{}
	where   test
}

func (s *selection) everything() bool { return s.targets == nil && s.where == nil }

func (s *selection) holds(in *Input, key string) bool {
	if _, ok := s.targets[key]; ok {
		return true
	}
	return s.where != nil && s.where(in) == isTrue
}

// rule compiles a policy; its faults are in c.check.
func (c *compiler) rule(p *Policy) *Rule {
	r := &Rule{policy: p, state: event.True, terminal: p.Effect.Terminal()}
	n := c.condition(p.When, scope{path: "when"})
	r.leaves, r.needs = n.leaves, n.needs
	c.effect(r, &p.Effect)
	// A template that cannot be filled keeps its policy from matching: half a
	// message is worse than the next policy's answer.
	when, filled := n.test, r.leaves[len(n.leaves):]
	r.test = func(in *Input) truth {
		t := when(in)
		for i := 0; t == isTrue && i < len(filled); i++ {
			t = filled[i].test(in)
		}
		return t
	}
	return r
}

func (c *compiler) effect(r *Rule, e *Effect) {
	switch {
	case e.Fixed == nil && e.Deny == nil && e.Rank == nil:
		c.check.Add("effect", "is empty; give fixed, deny or rank")
	case e.Fixed != nil && (e.Deny != nil || e.Rank != nil):
		c.check.Add("effect", "has fixed beside another effect; only deny and rank may stand together")
	}
	if e.Fixed != nil {
		if len(e.Fixed.Actions) == 0 {
			c.check.Add("effect.fixed.actions", "is empty")
		}
		r.fixed = c.actions(r, e.Fixed.Actions, "effect.fixed.actions")
	}
	if e.Deny != nil {
		if len(e.Deny.Targets) == 0 && e.Deny.Where == nil {
			c.check.Add("effect.deny", "names nobody; give targets or where")
		}
		r.deny = c.selection(e.Deny.Targets, e.Deny.Where, "effect.deny")
	}
	if e.Rank != nil {
		r.rank = c.selection(e.Rank.Targets, e.Rank.Where, "effect.rank")
		r.extra = c.actions(r, e.Rank.Actions, "effect.rank.actions")
		r.factors = c.levers(e.Rank.Levers)
		if len(e.Rank.Objective) > maxName {
			c.check.Add("effect.rank.objective", "is longer than %d bytes", maxName)
		}
	}
}

func (c *compiler) selection(targets []string, where *Condition, path string) *selection {
	s := &selection{}
	if len(targets) > maxList {
		c.check.Add(path+".targets", "has %d elements; the limit is %d", len(targets), maxList)
	}
	for i, t := range targets {
		at := fmt.Sprintf("%s.targets[%d]", path, i)
		switch {
		case t == "":
			c.check.Add(at, "is empty")
		case strings.Contains(t, "{{"):
			c.check.Add(at, "holds a template; use where with candidate.key and value_from")
		}
		if s.targets == nil {
			s.targets = map[string]struct{}{}
		}
		s.targets[t] = struct{}{}
	}
	if where != nil {
		s.where = c.condition(where, scope{path: path + ".where", candidate: true}).test
	}
	return s
}

// levers turns percentages into factors, in the order of their keys so that
// faults come out in one order.
func (c *compiler) levers(percent map[string]float64) map[string]float64 {
	factors := make(map[string]float64, len(percent))
	for _, key := range sortedKeys(percent) {
		p := percent[key]
		if !(p >= MinLever && p <= MaxLever) {
			c.check.Add(fmt.Sprintf("effect.rank.levers[%q]", key), "is %g; must be %g to %g percent", p, MinLever, MaxLever)
		}
		factors[key] = 1 + p/100
	}
	return factors
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// action is a compiled event.Action.
type action struct {
	plain   event.Action
	target  template
	payload any // tree of template, map[string]any, []any and constants
	varies  bool
}

func (c *compiler) actions(r *Rule, list []event.Action, path string) []action {
	if len(list) > maxActions {
		c.check.Add(path, "has %d elements; the limit is %d", len(list), maxActions)
	}
	out := make([]action, len(list))
	for i, a := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		if a.Type == "" && a.Target == "" {
			c.check.Add(at, "needs a type or a target; a target without a type is a TRANSFER_TO_SKILL")
		}
		if len(a.Type) > maxName || len(a.Target) > 2*maxName {
			c.check.Add(at, "has a type over %d or a target over %d bytes", maxName, 2*maxName)
		}
		out[i].plain = a
		before := len(r.leaves)
		target, leaves := c.template(a.Target, at+".target")
		out[i].target = target
		r.leaves = append(r.leaves, leaves...)
		if a.Payload != nil {
			out[i].payload = c.payload(r, a.Payload, at+".payload")
		}
		out[i].varies = len(r.leaves) > before
	}
	return out
}

// payload compiles every string of the tree; anything else stays as it is.
func (c *compiler) payload(r *Rule, v any, path string) any {
	switch t := v.(type) {
	case string:
		compiled, leaves := c.template(t, path)
		r.leaves = append(r.leaves, leaves...)
		return compiled
	case map[string]any:
		out := make(map[string]any, len(t))
		for _, key := range sortedKeys(t) {
			out[key] = c.payload(r, t[key], path+"."+key)
		}
		return out
	case []any:
		out := make([]any, len(t))
		for i := range t {
			out[i] = c.payload(r, t[i], fmt.Sprintf("%s[%d]", path, i))
		}
		return out
	default:
		return v
	}
}

func render(list []action, in *Input) []event.Action {
	if len(list) == 0 {
		return nil
	}
	out := make([]event.Action, len(list))
	for i := range list {
		a := &list[i]
		out[i] = a.plain
		// A constant payload is shared by all decisions: records are read-only.
		if !a.varies {
			continue
		}
		out[i].Target = a.target.text(in)
		if a.payload != nil {
			out[i].Payload, _ = fill(a.payload, in).(map[string]any)
		}
	}
	return out
}

// fill copies a compiled payload with the templates filled in.
func fill(v any, in *Input) any {
	switch t := v.(type) {
	case template:
		return t.value(in)
	case map[string]any:
		out := make(map[string]any, len(t))
		for key, inner := range t {
			out[key] = fill(inner, in)
		}
		return out
	case []any:
		out := make([]any, len(t))
		for i := range t {
			out[i] = fill(t[i], in)
		}
		return out
	default:
		return v
	}
}
