package decision

import (
	"math"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/model/explore"
)

// A new arm comes in slowly where there are arms that have proved themselves.
const (
	// RampPositives is how many rewards above the middle of the objective's range an
	// arm needs before it may have all of a decision's probability.
	RampPositives = 200
	// RampShare is what an arm without any may have.
	RampShare = 0.02
	// RampBegin is how many positives some arm must have before newer ones are held
	// back beside it.
	RampBegin = 100
)

// ShareCap is the largest probability that the model may give an arm with so much
// evidence beside arms that have proved themselves: RampShare at first, 1 from
// RampPositives on, a straight line between.
func ShareCap(positives int64) float64 {
	if positives >= RampPositives {
		return 1
	}
	return RampShare + (1-RampShare)*float64(max(positives, 0))/RampPositives
}

// PastDraws tells what a replay cannot find out again, from the record.
type PastDraws interface {
	// Spent reports whether the target had no exploration left.
	Spent(key string) bool
	// ShareCap is the bound that the ramp put on the target, 0 for none. It is asked
	// only where there is no model to tell.
	ShareCap(key string) float64
}

// distribute makes the exact distribution that is live at this instant: what
// exploration says, within what new arms, flagged conversations and spent budgets
// allow. Whatever these take away goes to the greedy answer, so the sum stays 1. The
// probabilities are settled before anything is drawn.
func (t *turn) distribute(cfg explore.Config) {
	s := t.scratch
	explore.Probabilities(cfg, s.scaled, s.eligible, s.probabilities)
	t.greedy = t.modelOnly
	t.ramp(cfg.Optimism)
	if t.flagged() {
		t.unexplored = true
		for i := range s.probabilities {
			s.probabilities[i] = 0
		}
		s.probabilities[t.greedy] = 1
		s.held = s.held[:0]
		return
	}
	t.spend()
}

// ramp bounds the arms that have not proved themselves, beside those that have. What
// policy alone would choose is not bounded: it happens anyway.
func (t *turn) ramp(optimism float64) {
	s := t.scratch
	if !t.shareCaps() {
		return
	}
	anchor, greedy, excess := -1, -1, 0.0
	for i, share := range s.caps {
		switch {
		case !s.eligible[i]:
		case share < 1:
			t.d.Candidates[i].ShareCap = share
			if over := s.probabilities[i] - share; over > 0 {
				s.probabilities[i], excess = share, excess+over
			}
		default:
			if anchor < 0 || t.hope(i, optimism) > t.hope(anchor, optimism) {
				anchor = i
			}
			if greedy < 0 || t.d.Candidates[i].Priority > t.d.Candidates[greedy].Priority {
				greedy = i
			}
		}
	}
	s.probabilities[anchor] += excess
	// A new arm that looks best is tried; what is not tried is the best of the others.
	if s.caps[t.modelOnly] < 1 {
		t.greedy = greedy
	}
	t.ramped = excess > 0 || t.greedy != t.modelOnly
}

// shareCaps fills the scratch with what each candidate may have. It is false when
// nobody is bounded: no arm is new, or no eligible one has much to show yet.
func (t *turn) shareCaps() bool {
	s := t.scratch
	s.caps = resize(s.caps, len(t.d.Candidates))
	full := t.rampEnd()
	proven, bounded := false, false
	for i := range s.caps {
		share := t.shareCap(i, full)
		proven = proven || share >= 1 && s.eligible[i]
		if i == t.policyOnly {
			share = 1
		}
		bounded = bounded || share < 1 && s.eligible[i]
		s.caps[i] = share
	}
	return proven && bounded
}

// rampEnd is how many positives make an arm one that has proved itself: RampPositives,
// or half of what the best of the eligible has while none has so many. Below
// RampBegin nobody is ahead of anybody, and it is 0.
func (t *turn) rampEnd() int64 {
	if t.model == nil {
		return 0
	}
	most := int64(0)
	for i := range t.arms {
		if t.scratch.eligible[i] {
			most = max(most, t.model.Positives(t.arms[i].ID))
		}
	}
	switch {
	case most >= RampPositives:
		return RampPositives
	case most >= RampBegin:
		return most / 2
	}
	return 0
}

func (t *turn) shareCap(i int, full int64) float64 {
	if t.model == nil {
		if past := t.engine.deps.Past; past != nil {
			if share := past.ShareCap(t.d.Candidates[i].Key()); share > 0 {
				return share
			}
		}
		return 1
	}
	positives := t.model.Positives(t.arms[i].ID)
	if positives >= full {
		return 1
	}
	return ShareCap(positives)
}

// hope is what exploration compares candidates by.
func (t *turn) hope(i int, optimism float64) float64 {
	score := t.scratch.scaled[i]
	if v := score.Value + optimism*score.StdErr; !math.IsNaN(v) && !math.IsInf(v, 0) {
		return v
	}
	return -math.MaxFloat64 / 4
}

// flagged reports whether this conversation is never explored on: its caller says
// so, or the account's condition holds. What is not known does not flag.
func (t *turn) flagged() bool {
	if t.request.NoExploration {
		return true
	}
	set := t.account.NoExploration
	if set == nil {
		return false
	}
	in := t.scratch.flags.of(set)
	in.Load(&t.facts)
	return set.Eval(in) != nil
}

// spend takes one exploratory draw off the budget of every target that could get
// one, and the probability from those that have none left. What was not drawn is
// given back by settle.
func (t *turn) spend() {
	s := t.scratch
	s.held = resize(s.held, len(t.d.Candidates))
	for i := range s.held {
		s.held[i] = draw{}
		if i == t.greedy || s.probabilities[i] <= 0 || t.hold(i) {
			continue
		}
		s.probabilities[t.greedy] += s.probabilities[i]
		s.probabilities[i] = 0
		t.spent = true
	}
}

// hold reserves an exploratory draw of a candidate; false when it may have none.
func (t *turn) hold(i int) bool {
	key := t.d.Candidates[i].Key()
	if past := t.engine.deps.Past; past != nil {
		return !past.Spent(key)
	}
	limit, bounded := t.account.explorationPerHour(key)
	if !bounded {
		return true
	}
	cell := budgetKey(t.d.Account, key)
	if t.request.DryRun {
		return t.engine.budgets.left(cell, t.hour(), limit)
	}
	t.scratch.held[i] = t.engine.budgets.take(cell, t.hour(), limit)
	return t.scratch.held[i].cell != nil
}

// settle gives back what was reserved for candidates that were not drawn.
func (t *turn) settle() {
	for i, held := range t.scratch.held {
		if i != t.chosen {
			held.give()
		}
	}
}

func (t *turn) hour() uint32 { return uint32(t.d.Time.Unix() / 3600) } //nolint:gosec // hours since 1970

// exploreReasons says what kept exploration from being as it is elsewhere.
func (t *turn) exploreReasons(reasons []string) []string {
	if t.ramped {
		reasons = append(reasons, ReasonArmRamp)
	}
	if t.unexplored {
		reasons = append(reasons, ReasonNoExploration)
	}
	if t.spent {
		reasons = append(reasons, ReasonExplorationBudget)
	}
	return reasons
}

// explorationPerHour is how many exploratory draws a target may get in an hour;
// false without a bound.
func (a *Account) explorationPerHour(target string) (int64, bool) {
	if n, ok := a.ExplorationPerHour[target]; ok {
		return n, true
	}
	if a.ExplorationElsewhere != nil {
		return *a.ExplorationElsewhere, true
	}
	return 0, false
}

// CompileCondition compiles a condition of a policy on its own; the result matches
// where it holds. The error is that of [policy.Parse], its paths those of the
// condition under "when".
func CompileCondition(condition []byte) (*policy.Set, error) {
	document := append([]byte(`{"name":"condition","effect":{"rank":{}},"when":`), condition...)
	p, err := policy.Parse(append(document, '}'))
	if err != nil {
		return nil, err
	}
	p.Enabled = true
	return policy.Compile([]*policy.Policy{p}, 0), nil
}
