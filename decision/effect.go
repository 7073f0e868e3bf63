package decision

import (
	"maps"
	"math"

	"github.com/cespare/xxhash/v2"

	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/pipeline/event"
)

// answers lets a matching policy answer; false, and nothing changed, when it has
// nothing left to offer.
func (t *turn) answers(r *policy.Rule, in *policy.Input) bool {
	if !r.HasSteps() {
		return t.offersBy(r, in)
	}
	t.d.Step, t.d.ValidFor = r.Step(in, t.request.Waited, func(step *policy.Rule) bool { return t.offersBy(step, in) })
	return t.d.Step > 0
}

// offersBy applies the one effect of a policy, or of a step.
func (t *turn) offersBy(r *policy.Rule, in *policy.Input) (ok bool) {
	switch {
	case r.IsFixed():
		ok = t.fix(r, in)
	case r.IsSplit():
		ok = t.split(r, in)
	default:
		ok = t.selectFrom(r, in)
	}
	if ok {
		t.effect = r
	}
	return ok
}

// fix takes the policy's actions but the banned ones; false when none is left.
func (t *turn) fix(r *policy.Rule, in *policy.Input) bool {
	kept := t.kept(t.rendered(in, r.Fixed))
	if len(kept) == 0 {
		return false
	}
	t.fixed = kept
	return true
}

// kept returns the actions that can be answered, in the memory of the list.
func (t *turn) kept(actions []event.Action) []event.Action {
	kept := actions[:0]
	for _, a := range actions {
		if a = t.seated(withType(a)); t.usable(a) {
			kept = append(kept, a)
		}
	}
	return kept
}

// split lets a hash of what the policy goes by choose one of the arms whose foremost
// action can be answered, in proportion to their weights; false when there is none.
// An arm that falls out moves only the conversations that were on it.
func (t *turn) split(r *policy.Rule, in *policy.Input) bool {
	arms, places := t.renderedArms(r, in), []int(nil)
	heaviest := 0.0
	for i := range arms {
		places = append(places, -1)
		if len(arms[i].Actions) == 0 {
			continue
		}
		first := t.seated(withType(arms[i].Actions[foremost(arms[i].Actions)]))
		if !t.usable(first) {
			continue
		}
		if places[i] = t.find(first.Key()); places[i] < 0 {
			places[i] = t.offer(first, nil)
		}
		if places[i] >= 0 {
			heaviest = max(heaviest, arms[i].Weight)
		}
	}
	if heaviest == 0 {
		return false
	}
	key := r.SplitKey(in)
	if key == "" {
		key = t.d.RequestID
	}
	chosen, all, longest := -1, 0.0, -1.0
	base := xxhash.Sum64String(t.d.Account)*saltSplit ^ mix(xxhash.Sum64String(r.Policy().Name)+saltSplit) ^ xxhash.Sum64String(key)
	t.shares = make([]float64, len(t.d.Candidates))
	for i := range arms {
		if places[i] < 0 {
			continue
		}
		// Weights are taken relative to the heaviest, so that no sum overflows.
		w := arms[i].Weight / heaviest
		t.shares[places[i]] += w
		all += w
		if l := straw(mix(base+uint64(i)*saltArm), w); l > longest { //nolint:gosec // a place
			chosen, longest = i, l
		}
	}
	for i := range t.shares {
		t.shares[i] /= all
	}
	t.fixed = t.kept(arms[chosen].Actions)
	return true
}

// foremost is the place of the action that a list of actions is about: the first
// that does more than say something on the way.
func foremost(actions []event.Action) int {
	for i := range actions {
		if t := actions[i].Type; t != "SEND_MESSAGE" && t != "SET_CONTEXT" {
			return i
		}
	}
	return 0
}

// straw is the length of the straw of an arm: the longest one is that of each arm
// with a probability of its weight's share.
func straw(hash uint64, weight float64) float64 {
	return weight / -math.Log(max(unit(hash), math.SmallestNonzeroFloat64))
}

const (
	transferToAgent = "TRANSFER_TO_AGENT"
	payloadFallback = "fallback_skill"
	noFallback      = "-1" // how bots of other systems say that there is none
)

// seated puts a skill in the place of an agent who is known to be away, busy, or
// not of that skill, when the action names such a skill. Of an agent nobody knows
// anything, nothing is assumed.
func (t *turn) seated(a event.Action) event.Action {
	if a.Type != transferToAgent {
		return a
	}
	skill, _ := a.Payload[payloadFallback].(string)
	if skill == "" || skill == noFallback || !t.away(a.Target, skill) {
		return a
	}
	t.rerouted = append(t.rerouted, skill)
	in := event.Action{Type: transferToSkill, Target: skill}
	t.dropped = t.dropped || t.banned(in)
	if record := t.asShown(a); len(t.shown) > 0 {
		hidden, _ := record.Payload[payloadFallback].(string)
		t.show(in, event.Action{Type: transferToSkill, Target: hidden})
	}
	return in
}

// dropDenied takes out of the answer the skills that policies took away and an agent
// would fall back to: what is denied must reach nobody by a detour. The record's
// candidates keep what was offered.
func (t *turn) dropDenied() {
	if len(t.bans) == 0 {
		return
	}
	for i := range t.d.Actions {
		a := &t.d.Actions[i]
		skill, _ := a.Payload[payloadFallback].(string)
		if a.Type != transferToAgent || skill == "" || skill == noFallback ||
			!t.banned(event.Action{Type: transferToSkill, Target: skill}) {
			continue
		}
		record := t.asShown(*a)
		*a, record = withoutFallback(*a), withoutFallback(record)
		if len(t.shown) > 0 {
			t.show(*a, record)
		}
		t.dropped = true
	}
}

func withoutFallback(a event.Action) event.Action {
	a.Payload = maps.Clone(a.Payload)
	delete(a.Payload, payloadFallback)
	if len(a.Payload) == 0 {
		a.Payload = nil
	}
	return a
}

func (t *turn) away(agent, skill string) bool {
	if t.knowsSkills() {
		if state, ok := t.skill(agent); ok && (state.AgentsOnline <= 0 || state.Load >= 1) {
			return true
		}
	}
	if t.engine.deps.Seats == nil {
		return false
	}
	serves, known := t.engine.deps.Seats.Serves(t.d.Account, agent, skill)
	return known && !serves
}

// selectFrom narrows the candidates to those that the policy ranks; false, and
// nothing changed, when none would be left.
func (t *turn) selectFrom(r *policy.Rule, in *policy.Input) bool {
	s := t.scratch
	s.taken = s.taken[:0]
	left := false
	for i := range t.d.Candidates {
		c := &t.d.Candidates[i]
		in.Candidate(c)
		take := r.Selects(in, c.Key())
		s.taken = append(s.taken, take)
		left = left || take && c.Eligible
	}
	// The policy's own candidates come last and pass the same bans.
	for _, a := range t.rendered(in, r.Extra) {
		a = t.seated(withType(a))
		if !t.usable(a) {
			continue
		}
		if at := t.find(a.Key()); at >= 0 {
			s.taken[at], left = true, left || t.d.Candidates[at].Eligible
			continue
		}
		if at := t.offer(a, nil); at >= 0 {
			s.taken, left = append(s.taken, true), true
		}
	}
	if !left {
		return false
	}
	verdict := VerdictNotSelected + nameOf(r)
	for i := range t.d.Candidates {
		if c := &t.d.Candidates[i]; c.Eligible && !s.taken[i] {
			c.Eligible, c.Verdict = false, verdict
		}
	}
	return true
}
