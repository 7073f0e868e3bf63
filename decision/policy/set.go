package policy

import (
	"cmp"
	"slices"
	"strings"

	"github.com/usherhq/usher/pipeline/event"
)

// Set is an ordered list of policies, compiled. It is immutable and safe for
// concurrent use.
type Set struct {
	revision int64
	env      *Environment
	live     int
	rules    []*Rule
	fallback *Rule // the default policy, also the last of rules
	// sources says for each slot where its value comes from; candidateSlots are
	// those that change with the candidate, and are not filled for others.
	sources        []source
	candidateSlots []int
	expressions    int
	skills, needs  []string
	reads          []string
	lookups        []string // see Lookups
	index          index
	// entries and conditions are what traces begin as.
	entries    []event.PolicyTrace
	conditions []event.ConditionTrace
}

// Compile compiles policies in the order of their rank, then name; the one called
// [DefaultName] goes last. revision names this state of the list and is only
// handed on. It never fails: a policy with a fault takes part as INVALID and never
// matches. The policies must not be changed afterwards.
func Compile(policies []*Policy, revision int64, opts ...Option) *Set {
	var o compileOptions
	for _, opt := range opts {
		opt(&o)
	}
	ordered := inOrder(policies)
	s := &Set{revision: revision, env: o.env, rules: make([]*Rule, len(ordered))}
	// One compiler for all: policies that look at the same attribute share its
	// slot, so a decision reads every attribute once however many policies ask.
	c := newCompiler()
	c.env = o.env
	for i, p := range ordered {
		r := c.compile(p)
		r.place(i)
		s.rules[i] = r
		switch {
		case r.state != event.True:
		case p.Name == DefaultName:
			s.fallback = r
		default:
			s.live++
		}
	}
	s.sources, s.expressions = c.sources, c.expressions
	s.list(c.keys)
	s.prepareTraces()
	s.index = newIndex(s.rules)
	return s
}

// inOrder returns the policies as they are asked.
func inOrder(policies []*Policy) []*Policy {
	ordered := slices.Clone(policies)
	slices.SortStableFunc(ordered, func(a, b *Policy) int {
		if last := cmp.Compare(asLast(a), asLast(b)); last != 0 {
			return last
		}
		return cmp.Or(cmp.Compare(a.Rank, b.Rank), strings.Compare(a.Name, b.Name))
	})
	return ordered
}

func asLast(p *Policy) int {
	if p.Name == DefaultName {
		return 1
	}
	return 0
}

// place tells every branch of the policy its place in the list.
func (r *Rule) place(at int) {
	r.at = at
	for i := range r.steps {
		r.steps[i].rule.at = at
	}
	if r.exception != nil {
		r.exception.place(at)
	}
}

// list notes what the policies look at.
func (s *Set) list(keys []string) {
	skills, needed := map[string]bool{}, map[string]bool{}
	for i := range s.sources {
		src := &s.sources[i]
		s.reads = append(s.reads, src.name)
		switch {
		case src.ofCandidate:
			s.candidateSlots = append(s.candidateSlots, i)
		case src.field == fieldAttribute, src.mayBeSaved():
			s.needs, needed[src.name] = append(s.needs, src.name), true
		case src.skill != "" && !skills[src.skill]:
			s.skills, skills[src.skill] = append(s.skills, src.skill), true
		}
	}
	s.reads = append(s.reads, keys...)
	for _, key := range keys {
		if src := sourceOf(key); src.field == fieldAttribute && !src.ofCandidate && !needed[key] {
			s.needs, needed[key] = append(s.needs, key), true
		}
	}
	s.lookups = lookupsOf(s.needs)
}

// prepareTraces writes down the part of every trace that no decision changes.
func (s *Set) prepareTraces() {
	s.entries = make([]event.PolicyTrace, len(s.rules))
	for i, r := range s.rules {
		s.entries[i] = event.PolicyTrace{Policy: r.policy.Name, Revision: r.policy.Revision, State: r.state}
		r.first = len(s.conditions)
		if r.state == event.Invalid {
			s.entries[i].Cause = r.fault.Error()
			s.entries[i].Conditions = []event.ConditionTrace{{Path: "policy", Truth: event.Unknown, Cause: r.fault.Error()}}
		}
		if r.state == event.True {
			r.traced = r.leaves
		}
		if r.exception != nil && r.state == event.True {
			r.traced = slices.Concat(r.exception.leaves, r.leaves)
		}
		for j := range r.traced {
			l := &r.traced[j]
			s.conditions = append(s.conditions, event.ConditionTrace{Path: l.path, Attribute: l.attribute, Operator: l.operator, Expected: l.expected})
		}
	}
}

// compile makes a rule of any policy; faults make it INVALID.
func (c *compiler) compile(p *Policy) *Rule {
	if p.Fault != nil {
		return &Rule{policy: p, effect: &p.Effect, state: event.Invalid, fault: p.Fault}
	}
	kept, keys, expressions := len(c.sources), len(c.keys), c.expressions
	forget := func() {
		c.forget(kept)
		c.keys, c.expressions = c.keys[:keys], expressions
	}
	c.check, c.leaves = findings{}, 0
	r := c.rule(p)
	if err := c.check.Err("policy is not valid"); err != nil {
		forget()
		return &Rule{policy: p, effect: &p.Effect, state: event.Invalid, fault: err}
	}
	if !p.Enabled {
		// A disabled policy must not cost slots that every decision fills.
		forget()
		return &Rule{policy: p, effect: &p.Effect, state: event.Disabled}
	}
	return r
}

func (c *compiler) forget(kept int) {
	for _, src := range c.sources[kept:] {
		delete(c.slots, src.name)
	}
	c.sources = c.sources[:kept]
}

// CompileEffect compiles an effect on its own, such as an account's default: a
// set of one policy without a name or a condition. The faults are those of the
// document, all at once.
func CompileEffect(data []byte) (*Set, error) {
	p, err := parseEffect(data)
	if err != nil {
		return nil, err
	}
	return Compile([]*Policy{p}, 0), nil
}

// Revision is what [Compile] was given.
func (s *Set) Revision() int64 { return s.revision }

// Len returns the number of policies, the default policy included.
func (s *Set) Len() int { return len(s.rules) }

// Rule returns the policy at place i of the list.
func (s *Set) Rule(i int) *Rule { return s.rules[i] }

// Find returns the policy of this name, nil without one. A policy that cannot
// match, disabled or INVALID, is found too.
func (s *Set) Find(name string) *Rule {
	for _, r := range s.rules {
		if r.policy.Name == name {
			return r
		}
	}
	return nil
}

// Default returns the account's default policy, nil when it has none that works.
// It is also the last that [Set.Next] comes to.
func (s *Set) Default() *Rule { return s.fallback }

// Live returns how many policies can match, enabled and valid, without the
// default policy.
func (s *Set) Live() int { return s.live }

// Skills lists the skills whose live state some policy looks at by name.
func (s *Set) Skills() []string { return s.skills }

// Needs lists the attributes that enabled policies look at, each once, as policies
// spell them: custom.x, namespace.property, sde.*, orchestrator.*, channel, intent,
// user_message, and whatever else the request may bring. Other fields of the
// request, the clock, live state and candidate.* are not among them. The slice must
// not be changed.
func (s *Set) Needs() []string { return s.needs }

// Reads lists everything that policies look at, what a split goes by included: attributes
// of the request and of candidates, fields of the request, live metrics. A name can be
// there more than once.
func (s *Set) Reads() []string { return s.reads }

// Next returns the next policy that matches, in list order, or nil when there
// are no more; [Input.Load] starts over. It is the policy's exception when that
// holds. It does not stop at a terminal policy: the caller does, or goes on when
// that policy has nothing left to offer.
func (s *Set) Next(in *Input) *Rule {
	for {
		at := in.pop()
		if at < 0 {
			return nil
		}
		if r := s.rules[at].Match(in); r != nil {
			return r
		}
	}
}

// Eval returns the first matching terminal policy, or nil.
func (s *Set) Eval(in *Input) *Rule {
	for {
		r := s.Next(in)
		if r == nil || r.terminal {
			return r
		}
	}
}
