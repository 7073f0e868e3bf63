package decision

import (
	"slices"

	"github.com/usherhq/usher/pipeline/event"
)

// record completes the decision: the answer, who decided and why, and what every
// policy said.
func (t *turn) record() {
	d := t.d
	t.answer()
	d.Added = len(d.Candidates) - t.offered
	d.ModelOnly = t.keyAt(t.modelOnly)
	d.PolicyRevision = t.set.Revision()
	d.DecidedBy, d.Reasons = t.why()
	decided := -1
	if t.rule != nil && !t.byDefault {
		d.Policy, decided = t.rule.Policy().Name, t.rule.Position()
	} else {
		d.NoMatchReason = t.noMatch()
	}
	t.trace(decided)
}

// trace writes down what the policies said: of a long list only those that
// matched, of a run that is limited to one policy only what it asked.
func (t *turn) trace(decided int) {
	d := t.d
	switch {
	case t.only != nil:
		for i := range t.set.Len() {
			r := t.set.Rule(i)
			switch {
			case !t.asked(r):
			case decided >= 0 && i > decided && r.Policy().Enabled:
				p := r.Policy()
				d.Policies = append(d.Policies, event.PolicyTrace{Policy: p.Name, Revision: p.Revision, State: event.NotReached})
			default:
				d.Policies = append(d.Policies, r.Trace(t.in))
			}
		}
	case t.set.Len() <= t.engine.cfg.TraceLimit || t.request.Explain:
		d.Policies = t.set.Trace(t.in, decided)
	default:
		for _, r := range t.matched {
			d.Policies = append(d.Policies, r.Trace(t.in))
		}
	}
}

func (t *turn) noMatch() string {
	all, live := t.set.Len(), t.set.Live()
	if t.set.Default() != nil {
		all--
	}
	if t.only != nil && !t.only.Policy().Enabled {
		live = 0
	}
	switch {
	case all <= 0:
		return NoPolicies
	case live <= 0:
		return NoPoliciesLive
	case t.emptied:
		return NoPolicyHadOffer
	default:
		return NoPolicyMatched
	}
}

// why names who had the last word and every reason, the foremost first.
func (t *turn) why() (event.DecidedBy, []string) {
	reasons := make([]string, 0, 4)
	source, by := ReasonPolicyMatch, event.DecidedByPolicy
	if t.byDefault {
		source, by = ReasonPolicyDefault, event.DecidedByDefault
	}
	switch {
	case t.shares != nil:
		reasons = append(reasons, ReasonSplit)
	case t.fixed != nil:
	case t.chosen < 0:
		reasons = append(reasons, ReasonNoCandidate)
	case t.live && t.d.Explored:
		by, reasons = event.DecidedByExploration, append(reasons, ReasonExplored)
	case t.live:
		by, reasons = event.DecidedByModel, append(reasons, ReasonModelRanked)
	default:
		if t.cause != "" {
			reasons = append(reasons, t.cause)
		}
		if t.d.Baseline != "" && t.keyAt(t.chosen) == t.d.Baseline {
			by, reasons = event.DecidedByBaseline, append(reasons, ReasonBaselineKept)
		}
	}
	reasons = append(reasons, source)
	if t.live {
		reasons = t.exploreReasons(t.waitReasons(reasons))
	}
	if t.d.Step > 1 {
		reasons = append(reasons, ReasonStepWidened)
	}
	if t.looped {
		reasons = append(reasons, ReasonLoop)
	}
	if t.isRerouted() {
		reasons = append(reasons, ReasonAgentAway)
	}
	if t.dropped {
		reasons = append(reasons, ReasonFallbackDenied)
	}
	if len(t.bans) > 0 && t.anyDenied() {
		reasons = append(reasons, ReasonDenied)
	}
	if t.emptied {
		reasons = append(reasons, ReasonEffectEmpty)
	}
	return by, reasons
}

// isRerouted reports whether the answer holds a skill that stands in for an agent.
func (t *turn) isRerouted() bool {
	return len(t.rerouted) > 0 && slices.ContainsFunc(t.d.Actions, func(a event.Action) bool {
		return slices.Contains(t.rerouted, a.Target)
	})
}

func (t *turn) anyDenied() bool {
	for i := range t.d.Candidates {
		if c := &t.d.Candidates[i]; !c.Eligible && len(c.Verdict) > len(VerdictDenied) && c.Verdict[:len(VerdictDenied)] == VerdictDenied {
			return true
		}
	}
	return false
}
