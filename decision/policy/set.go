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
	live     int
	rules    []*Rule
	// sources says for each slot where its value comes from; candidateSlots are
	// those that change with the candidate, and are not filled for others.
	sources        []source
	candidateSlots []int
	skills         []string
	index          index
}

// Compile compiles policies in the order of their rank, then name. revision
// names this state of the list and is only handed on. It never fails: a policy
// with a fault takes part as INVALID and never matches. The policies must not
// be changed afterwards.
func Compile(policies []*Policy, revision int64) *Set {
	ordered := slices.Clone(policies)
	slices.SortStableFunc(ordered, func(a, b *Policy) int {
		return cmp.Or(cmp.Compare(a.Rank, b.Rank), strings.Compare(a.Name, b.Name))
	})
	s := &Set{revision: revision, rules: make([]*Rule, len(ordered))}
	// One compiler for all: policies that look at the same attribute share its
	// slot, so a decision reads every attribute once however many policies ask.
	c := newCompiler()
	for i, p := range ordered {
		s.rules[i] = c.compile(p)
		s.rules[i].at = i
		if s.rules[i].state == event.True {
			s.live++
		}
	}
	s.sources = c.sources
	for i := range s.sources {
		if s.sources[i].ofCandidate {
			s.candidateSlots = append(s.candidateSlots, i)
		}
		if name := s.sources[i].skill; name != "" && !slices.Contains(s.skills, name) {
			s.skills = append(s.skills, name)
		}
	}
	s.index = newIndex(s.rules)
	return s
}

// compile makes a rule of any policy; faults make it INVALID.
func (c *compiler) compile(p *Policy) *Rule {
	if p.Fault != nil {
		return &Rule{policy: p, state: event.Invalid, fault: p.Fault}
	}
	kept := len(c.sources)
	c.check, c.leaves = newCheck(), 0
	r := c.rule(p)
	if err := c.check.Err("policy is not valid"); err != nil {
		c.forget(kept)
		return &Rule{policy: p, state: event.Invalid, fault: err}
	}
	if !p.Enabled {
		// A disabled policy must not cost slots that every decision fills.
		c.forget(kept)
		return &Rule{policy: p, state: event.Disabled}
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

// Len returns the number of policies.
func (s *Set) Len() int { return len(s.rules) }

// Rule returns the policy at place i of the list.
func (s *Set) Rule(i int) *Rule { return s.rules[i] }

// Live returns how many policies can match: enabled and valid.
func (s *Set) Live() int { return s.live }

// Skills lists the skills whose live state some policy looks at by name.
func (s *Set) Skills() []string { return s.skills }

// Next returns the next policy that matches, in list order, or nil when there
// are no more; [Input.Load] starts over. It does not stop at a terminal policy:
// the caller does, or goes on when that policy has nothing left to offer.
func (s *Set) Next(in *Input) *Rule {
	for {
		at := in.pop()
		if at < 0 {
			return nil
		}
		if r := s.rules[at]; r.test(in) == isTrue {
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

// Trace says what every policy and every leaf condition was worth, in order.
// Policies after place decided are NOT_REACHED; pass -1 when none decided.
func (s *Set) Trace(in *Input, decided int) []event.PolicyTrace {
	if decided < 0 {
		decided = len(s.rules)
	}
	total := 0
	for i, r := range s.rules {
		if i <= decided && r.state == event.True {
			total += len(r.leaves)
		}
	}
	// One allocation for all conditions: a record of a hundred policies would
	// else make a hundred small ones, and the collector is what a trace costs.
	conditions := make([]event.ConditionTrace, 0, total)
	out := make([]event.PolicyTrace, len(s.rules))
	for i, r := range s.rules {
		if i > decided && r.state == event.True {
			out[i] = event.PolicyTrace{Policy: r.policy.Name, Revision: r.policy.Revision, State: event.NotReached}
			continue
		}
		out[i], conditions = r.trace(in, conditions)
	}
	return out
}

// Trace says what this one policy was worth.
func (r *Rule) Trace(in *Input) event.PolicyTrace {
	t, _ := r.trace(in, nil)
	return t
}

func (r *Rule) trace(in *Input, conditions []event.ConditionTrace) (event.PolicyTrace, []event.ConditionTrace) {
	t := event.PolicyTrace{Policy: r.policy.Name, Revision: r.policy.Revision, State: r.state}
	if r.state == event.Invalid {
		t.Conditions = []event.ConditionTrace{{Path: "policy", Truth: event.Unknown, Cause: r.fault.Error()}}
	}
	if r.state != event.True {
		return t, conditions
	}
	// The capacity ends with the part, so that nobody who appends to one policy's
	// conditions writes into the next one's.
	first := len(conditions)
	for i := range r.leaves {
		conditions = append(conditions, event.ConditionTrace{})
		r.leaves[i].trace(in, &conditions[len(conditions)-1])
	}
	t.Conditions = conditions[first:len(conditions):len(conditions)]
	switch r.test(in) {
	case isFalse:
		t.State = event.False
	case isUnknown:
		t.State = event.Unknown
	case isTrue: // what it began as
	}
	return t, conditions
}
