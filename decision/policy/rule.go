package policy

import (
	"time"

	"github.com/usherhq/usher/pipeline/event"
)

// Rule is one branch of a compiled policy: its own effect, the effect of its
// exception, or one of its steps. It is immutable and safe for concurrent use;
// the methods that take an [Input] want one of the rule's own [Set], loaded.
type Rule struct {
	policy   *Policy
	effect   *Effect
	at       int         // place in the list
	state    event.Truth // True: can match; else Disabled or Invalid
	fault    error
	test     test // of the condition and of the templates
	leaves   []leaf
	decisive int // how many of the leaves decide; the rest belongs to steps
	needs    []need
	fixed    []action
	deny     *selection
	rank     *selection
	extra    []action
	factors  map[string]float64
	split    *split
	steps    []step
	terminal bool
	// Of the branch that stands for the policy.
	schedule  *dates
	exception *Rule // asked first; nil without one
	excepts   bool  // this branch is the exception
	first     int   // place of its conditions in the set's
	traced    []leaf
}

// Policy returns what the rule was compiled from. It must not be changed.
func (r *Rule) Policy() *Policy { return r.policy }

// Position is the policy's place in the list, from 0.
func (r *Rule) Position() int { return r.at }

// IsDefault reports whether it is the account's default policy.
func (r *Rule) IsDefault() bool { return r.policy.Name == DefaultName }

// IsException reports whether it is the policy's exception that matched.
func (r *Rule) IsException() bool { return r.excepts }

// Terminal reports whether the rule ends the evaluation.
func (r *Rule) Terminal() bool { return r.terminal }

// IsFixed reports whether the rule answers fixed actions.
func (r *Rule) IsFixed() bool { return r.effect.Fixed != nil }

// Fixed returns the actions to answer with every {{attribute}} filled in.
func (r *Rule) Fixed(in *Input) []event.Action { return render(r.fixed, in) }

// IsRank reports whether the rule lets the model rank candidates.
func (r *Rule) IsRank() bool { return r.effect.Rank != nil }

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
	if r.effect.Rank == nil {
		return ""
	}
	return r.effect.Rank.Objective
}

// Match returns the branch of the policy that matches the loaded facts: its
// exception, itself, or nil. [Set.Next] asks it of every policy that can match;
// it is for asking one policy alone.
func (r *Rule) Match(in *Input) *Rule {
	switch {
	case r.state != event.True || r.schedule != nil && !r.schedule.holds(in.facts.Now):
		return nil
	case r.exception != nil && r.exception.test(in) == isTrue:
		return r.exception
	case r.test(in) == isTrue:
		return r
	}
	return nil
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

// split is a compiled [Split].
type split struct {
	by   int // slot of the key
	arms []arm
}

type arm struct {
	weight  float64
	actions []action
}

// ArmActions is one arm of a split, ready to be answered.
type ArmActions struct {
	Weight  float64
	Actions []event.Action
}

// IsSplit reports whether the rule shares conversations among arms.
func (r *Rule) IsSplit() bool { return r.split != nil }

// SplitKey returns what sticks to its arm: the conversation, the consumer or the
// value of an attribute. It is empty when the request does not have it.
func (r *Rule) SplitKey(in *Input) string { return in.values[r.split.by].text() }

// Arms returns the arms of a split with every {{attribute}} filled in, in order.
func (r *Rule) Arms(in *Input) []ArmActions {
	out := make([]ArmActions, len(r.split.arms))
	for i := range r.split.arms {
		out[i] = ArmActions{Weight: r.split.arms[i].weight, Actions: render(r.split.arms[i].actions, in)}
	}
	return out
}

// step is a compiled [Step]. Its rule is a branch with one terminal effect.
type step struct {
	rule   *Rule
	skip   test          // nil: never
	expiry time.Duration // 0: for good
}

// HasSteps reports whether the rule answers by steps.
func (r *Rule) HasSteps() bool { return len(r.steps) > 0 }

// Step finds the step that answers a conversation which has waited so long. A step
// whose skip_when is TRUE does not count; the others end one after the other, each
// after its expiry. Of those that have not ended, offer is asked in order whether
// the step, a rule with a fixed, rank or split effect, has something to offer; the
// first one that has answers. number counts from 1, and is 0 when no step answers:
// then the policy offers nothing and the walk goes on. validFor is the time until
// the step ends, 0 when it does not.
func (r *Rule) Step(in *Input, waited time.Duration, offer func(step *Rule) bool) (number int, validFor time.Duration) {
	var end time.Duration
	for i := range r.steps {
		s := &r.steps[i]
		if s.skip != nil && s.skip(in) == isTrue {
			continue
		}
		if s.expiry > 0 {
			if end += s.expiry; end <= waited {
				continue
			}
		}
		if s.rule.test(in) != isTrue || !offer(s.rule) {
			continue
		}
		if s.expiry > 0 {
			validFor = end - waited
		}
		return i + 1, validFor
	}
	return 0, 0
}
