package decision

import (
	"slices"

	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/model/explore"
	"github.com/usherhq/usher/pipeline/event"
)

// score finds the mode and, unless it is OFF, what the model makes of every
// candidate, eligible or not: the record must show what a policy cost.
func (t *turn) score() {
	if t.fixed == nil {
		t.policyOnly = t.bestByPolicy()
	}
	t.mode = t.findMode()
	t.d.Mode = string(t.mode.Kind)
	t.d.Objective = t.mode.Objective
	if t.effect != nil && t.effect.Objective() != "" {
		t.d.Objective = t.effect.Objective()
	}
	if t.d.Objective == "" {
		t.d.Objective = "default"
	}
	if t.mode.Kind == ModeOff || len(t.d.Candidates) == 0 {
		return
	}
	t.scratch.unpriced = resize(t.scratch.unpriced, len(t.d.Candidates))
	if t.scoreFromRecord() {
		return
	}
	if t.model = t.engine.deps.Models.Current(t.d.Account); t.model == nil {
		return
	}
	t.d.ModelVersion, t.scored = t.model.Version(), true
	t.encode()
	s := t.scratch
	s.scores = resize(s.scores, len(t.arms))
	t.model.Score(&s.model, t.context, t.arms, s.scores)
	for i := range t.arms {
		t.setScore(i)
	}
}

// encode turns what is known into features, the way training does.
func (t *turn) encode() {
	s, d := t.scratch, t.d
	s.options = s.options[:0]
	for i := range d.Candidates {
		s.options = append(s.options, model.Option{Key: t.keyShown(d.Candidates[i].Key()), Attributes: d.Candidates[i].Attributes})
	}
	t.context = s.encoder.Context(&model.Facts{
		Channel: d.Channel, Intent: d.Intent, Attributes: d.Attributes, Baseline: t.keyShown(d.Baseline),
	})
	t.arms = s.encoder.Arms(s.options, t.keyShown(d.Baseline))
}

func (t *turn) factor(i int) float64 {
	if t.effect == nil {
		return 1
	}
	return t.effect.Factor(t.d.Candidates[i].Key())
}

func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// findMode returns the most specific mode that is set: that of the policy which
// matched, of the skill that policy alone would choose, or of the account.
func (t *turn) findMode() Mode {
	control, account := t.engine.deps.Control, t.d.Account
	// A default effect has no name, so no scope of its own.
	if t.rule != nil && !t.byDefault {
		if m, ok := control.Mode(account, ScopePolicyPrefix+t.rule.Policy().Name); ok && m.Kind.Valid() {
			return m
		}
	}
	if t.policyOnly >= 0 {
		if m, ok := control.Mode(account, ScopeSkillPrefix+t.keyAt(t.policyOnly)); ok && m.Kind.Valid() {
			return m
		}
	}
	if m, ok := control.Mode(account, ScopeAccount); ok && m.Kind.Valid() {
		return m
	}
	return FreshMode()
}

// decide fills in what policy alone and the model alone would do, and what is
// done.
func (t *turn) decide() {
	t.modelOnly = t.bestByModel()
	if t.shares != nil {
		t.decideSplit()
		return
	}
	if t.fixed != nil {
		t.decideFixed()
		return
	}
	if t.policyOnly < 0 {
		return
	}
	t.live, t.cause = t.rung()
	if !t.live {
		t.chosen = t.policyOnly
		t.d.Candidates[t.chosen].Probability, t.d.Propensity = 1, 1
		return
	}
	t.draw()
}

// decideFixed makes the foremost fixed action the only one that could be drawn.
func (t *turn) decideFixed() {
	first := t.fixed[foremost(t.fixed)]
	verdict := VerdictFixed + nameOf(t.rule)
	for i := range t.d.Candidates {
		if c := &t.d.Candidates[i]; c.Eligible {
			c.Eligible, c.Verdict = false, verdict
		}
	}
	at := t.find(first.Key())
	if at < 0 {
		at = t.offer(first, nil)
	}
	if at >= 0 {
		c := &t.d.Candidates[at]
		c.Eligible, c.Verdict, c.Probability = true, "", 1
	}
	t.policyOnly, t.chosen, t.d.Propensity = at, at, 1
}

// decideSplit gives each arm of a split its share. The mode has no say: a split is
// the policy's own draw.
func (t *turn) decideSplit() {
	verdict := VerdictNotSelected + nameOf(t.rule)
	for i := range t.d.Candidates {
		c := &t.d.Candidates[i]
		switch {
		case t.shares[i] > 0:
			c.Probability = min(t.shares[i], 1)
		case c.Eligible:
			c.Eligible, c.Verdict = false, verdict
		}
	}
	at := t.find(t.fixed[foremost(t.fixed)].Key())
	t.policyOnly, t.chosen, t.d.Propensity = at, at, t.d.Candidates[at].Probability
}

// bestByModel returns the eligible candidate of the highest priority, the first
// of equals.
func (t *turn) bestByModel() int {
	if !t.scored {
		return -1
	}
	best := -1
	for i := range t.d.Candidates {
		c := &t.d.Candidates[i]
		if c.Eligible && (best < 0 || c.Priority > t.d.Candidates[best].Priority) {
			best = i
		}
	}
	return best
}

// bestByPolicy returns what would be done without a model: the caller's own
// choice, else the account's default, else the candidate with the highest
// lever, the first of equals.
func (t *turn) bestByPolicy() int {
	if at := t.find(t.d.Baseline); t.d.Baseline != "" && at >= 0 && t.d.Candidates[at].Eligible {
		return at
	}
	if at := t.accountDefault(); at >= 0 {
		return at
	}
	best := -1
	for i := range t.d.Candidates {
		if t.d.Candidates[i].Eligible && (best < 0 || t.factor(i) > t.factor(best)) {
			best = i
		}
	}
	return best
}

// accountDefault finds the foremost action of a fixed default effect among the
// eligible candidates.
func (t *turn) accountDefault() int {
	if t.byDefault {
		return -1
	}
	// The slots hold the facts still; candidate.* has no part in a default.
	r, in := t.set.Default(), t.in
	if set := t.account.Default; r == nil && set != nil {
		in = t.scratch.defaults.of(set)
		in.Load(&t.facts)
		r = set.Eval(in)
	}
	if r == nil || !r.IsFixed() || r.Match(in) == nil {
		return -1
	}
	actions := r.Fixed(in)
	at := t.find(actions[foremost(actions)].Key())
	if at >= 0 && !t.d.Candidates[at].Eligible {
		return -1
	}
	return at
}

// rung says whether the model's answer is given and, if not, why.
func (t *turn) rung() (bool, string) {
	switch t.mode.Kind {
	case ModeOff:
		return false, ""
	case ModeShadow:
		return false, ReasonShadowOnly
	case ModeCompare:
		if t.shareOf() >= t.mode.Share {
			return false, ReasonComparePolicy
		}
	case ModeHoldout:
		if t.shareOf() < t.mode.Share {
			return false, ReasonHoldout
		}
	case ModeOn:
	}
	if !t.scored {
		return false, ReasonFallbackNoModel
	}
	return true, ""
}

// draw lets exploration pick among the eligible candidates, in proportion to
// exact probabilities, by a number that depends on the request alone.
func (t *turn) draw() {
	s, n := t.scratch, len(t.d.Candidates)
	cfg := t.engine.cfg.Explore
	if share := t.mode.Exploration; share != nil {
		cfg.Floor = *share
		if cfg.Floor == 0 {
			cfg.Optimism = 0
		}
	}
	s.scaled, s.eligible, s.probabilities = resize(s.scaled, n), resize(s.eligible, n), resize(s.probabilities, n)
	for i := range n {
		c := &t.d.Candidates[i]
		f := t.factor(i)
		s.scaled[i] = model.Score{Value: c.Priority, StdErr: c.StdErr * f, Known: c.Known}
		s.eligible[i] = c.Eligible
	}
	// The distribution is over priorities, not scores: exploration follows the
	// levers, or a lever would be undone wherever the model is unsure.
	t.distribute(cfg)
	for i := range n {
		t.d.Candidates[i].Probability = min(max(s.probabilities[i], 0), 1)
	}
	t.chosen = explore.Draw(s.probabilities, unit(t.d.Seed))
	if t.chosen < 0 {
		t.chosen = t.greedy
	}
	t.settle()
	t.d.Drawn = t.d.Candidates[t.chosen].Key()
	t.d.Propensity = t.d.Candidates[t.chosen].Probability
	t.d.Explored = t.chosen != t.greedy
}

// ranked returns the places of the candidates to answer: the chosen one, then
// the eligible rest by priority, or by lever when policy decides.
func (t *turn) ranked() []int {
	s := t.scratch
	s.order = s.order[:0]
	if t.chosen < 0 {
		return s.order
	}
	s.order = append(s.order, t.chosen)
	s.taken = resize(s.taken, len(t.d.Candidates))
	clear(s.taken)
	s.taken[t.chosen] = true
	for len(s.order) < t.d.MaxActions {
		best := -1
		for i := range t.d.Candidates {
			if t.d.Candidates[i].Eligible && !s.taken[i] && (best < 0 || t.worth(i) > t.worth(best)) {
				best = i
			}
		}
		if best < 0 {
			break
		}
		s.taken[best] = true
		s.order = append(s.order, best)
	}
	return s.order
}

func (t *turn) worth(i int) float64 {
	if t.live {
		return t.d.Candidates[i].Priority
	}
	return t.factor(i)
}

func (t *turn) keyAt(i int) string {
	if i < 0 {
		return ""
	}
	return t.d.Candidates[i].Key()
}

// answer fills in the actions and the factors of those that are answered.
func (t *turn) answer() {
	if t.fixed != nil {
		t.d.Actions = t.fixed
		if t.request.MaxActions > 0 {
			t.d.Actions = t.fixed[:min(t.request.MaxActions, len(t.fixed))]
		}
		t.d.Chosen = t.fixed[foremost(t.fixed)].Key()
		t.d.PolicyOnly = t.d.Chosen
		t.dropDenied()
		return
	}
	order := t.ranked()
	t.d.Actions = make([]event.Action, len(order))
	for n, i := range order {
		t.d.Actions[n] = t.d.Candidates[i].Action
	}
	t.dropDenied()
	t.d.Chosen, t.d.PolicyOnly = t.keyAt(t.chosen), t.keyAt(t.policyOnly)
	t.factors(order)
}

// factors explains the answered candidates, all of them when asked to.
func (t *turn) factors(order []int) {
	top := t.engine.cfg.Factors
	if t.model == nil || top == 0 {
		return
	}
	for i := range t.d.Candidates {
		if !t.request.Explain && !slices.Contains(order, i) {
			continue
		}
		found := t.model.ExplainAmong(t.context, t.arms, i, top)
		out := make([]event.Factor, len(found), len(found)+1)
		for n, f := range found {
			out[n] = event.Factor{Name: f.Name, Value: f.Value}
		}
		if cost := t.d.Candidates[i].WaitCost; cost != 0 {
			out = append(out, event.Factor{Name: factorWait, Value: -cost})
		}
		t.d.Candidates[i].Factors = out
	}
}
