package ladder

import (
	"cmp"
	"context"
	"fmt"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/control"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/model/evaluate"
)

// bound is the range of a metric.
type bound struct{ lo, hi float64 }

// guarded lists a scope's guardrails with the ranges of their metrics.
func (l *Ladder) guarded(account string, m *control.Mode) ([]control.Guardrail, []bound, error) {
	o, err := l.deps.Control.GetObjective(account, cmp.Or(m.Objective, control.DefaultObjective))
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return nil, nil, err
	}
	reward := bound{o.Min, o.Max}
	if reward.hi <= reward.lo {
		reward.hi = reward.lo + 1
	}
	list := m.Guardrails
	if len(list) == 0 {
		list = []control.Guardrail{{Metric: control.MetricReward, MaxDrop: DefaultDrop * (reward.hi - reward.lo)}}
	}
	bounds := make([]bound, len(list))
	for i, g := range list {
		switch {
		case g.Metric == control.MetricReward:
			bounds[i] = reward
		case g.Max > g.Min:
			bounds[i] = bound{g.Min, g.Max}
		default:
			bounds[i] = bound{0, 1}
		}
	}
	return list, bounds, nil
}

// guardrails tests every guardrail of a scope in which the model decides; there is
// nothing to test in others.
func (l *Ladder) guardrails(ctx context.Context, s *scene, m *control.Mode) ([]State, error) {
	switch m.Kind {
	case decision.ModeOff, decision.ModeShadow:
		return nil, nil
	case decision.ModeCompare, decision.ModeHoldout, decision.ModeOn:
	}
	list, bounds, err := l.guarded(s.account, m)
	if err != nil {
		return nil, err
	}
	out := make([]State, len(list))
	for i, g := range list {
		p := newPair(g, bounds[i], l.cfg.Alpha/float64(len(list)))
		if err := l.compare(ctx, s, m, p); err != nil {
			return nil, fmt.Errorf("test the guardrail %q of %q: %w", g.Metric, m.Scope, err)
		}
		out[i] = p.state()
		out[i].Since, out[i].Rough = m.Updated, m.Kind == decision.ModeOn
	}
	return out, nil
}

// compare fills both sides of a pair with what was decided under the mode as it is
// now. In ON policy's side is that of the mode before.
func (l *Ladder) compare(ctx context.Context, s *scene, m *control.Mode, p *pair) error {
	q := s.query(m)
	q.Modes, q.From, q.Limit = []decision.ModeKind{m.Kind}, m.Updated, l.cfg.MaxRows
	q.Conversations = true
	if p.guardrail.Metric != control.MetricReward {
		// Where the range has no 0, as that of stars from 1 to 5, silence has no value.
		q.Kind, q.Rated = p.guardrail.Metric, p.bound.lo > 0 || p.bound.hi < 0
	}
	if err := l.fill(ctx, q, p, SideModel, SidePolicy); err != nil || m.Kind != decision.ModeOn {
		return err
	}
	before, ok := l.deps.Control.ModeBefore(s.account, m.Scope)
	if !ok || before.Kind != decision.ModeHoldout && before.Kind != decision.ModeCompare {
		return nil
	}
	q.Modes, q.From, q.To = []decision.ModeKind{before.Kind}, before.Updated, m.Updated
	return l.fill(ctx, q, p, SidePolicy)
}

func (l *Ladder) fill(ctx context.Context, q Query, p *pair, sides ...Side) error {
	for row, err := range l.deps.Evidence.LadderRows(ctx, q) {
		if err != nil {
			return err
		}
		for _, side := range sides {
			if row.Side == side {
				p.add(side, row.Value)
			}
		}
	}
	return nil
}

// pair is a sequential test of two sides: the mean of each is bounded at all times at
// once with half of the error, so their difference is, too. A value is that of a whole
// conversation, for decisions of one conversation are not independent. Bounds of earlier
// looks are not kept: times change for both sides, and the side with fewer values
// notices later.
type pair struct {
	guardrail     control.Guardrail
	bound         bound
	model, policy tail
}

type tail struct {
	sequence *evaluate.Sequence
	sum      float64
}

func newPair(g control.Guardrail, b bound, alpha float64) *pair {
	return &pair{
		guardrail: g, bound: b,
		model:  tail{sequence: evaluate.NewSequence(b.lo, b.hi, alpha/2)},
		policy: tail{sequence: evaluate.NewSequence(b.lo, b.hi, alpha/2)},
	}
}

func (p *pair) add(side Side, v float64) {
	t := &p.model
	if side == SidePolicy {
		t = &p.policy
	}
	t.sequence.Add(v)
	t.sum += v
}

func (t *tail) mean() float64 {
	if n := t.sequence.N(); n > 0 {
		return t.sum / float64(n)
	}
	return 0
}

// state says how the guardrail is. Breached means that the whole interval lies beyond
// what it allows; OK that none of it does.
func (p *pair) state() State {
	modelLower, modelUpper := p.model.sequence.Newest()
	policyLower, policyUpper := p.policy.sequence.Newest()
	st := State{
		Guardrail: p.guardrail, Model: p.model.mean(), Policy: p.policy.mean(),
		ModelRows: p.model.sequence.N(), PolicyRows: p.policy.sequence.N(),
		Lower: modelLower - policyUpper, Upper: modelUpper - policyLower, Standing: Watching,
	}
	if p.guardrail.LowerIsBetter {
		st.Lower, st.Upper = -st.Upper, -st.Lower
	}
	switch drop := -p.guardrail.MaxDrop; {
	case st.ModelRows == 0 || st.PolicyRows == 0:
	case st.Upper < drop:
		st.Standing = Breached
	case st.Lower > drop:
		st.Standing = OK
	}
	return st
}

// words tells a state in one line.
func (s *State) words() string {
	text := fmt.Sprintf("%s: model %.4g of %d rows, policy %.4g of %d, difference between %.4g and %.4g, allowed %.4g",
		s.Metric, s.Model, s.ModelRows, s.Policy, s.PolicyRows, s.Lower, s.Upper, -s.MaxDrop)
	if s.LowerIsBetter {
		text += " (less is better)"
	}
	if s.Rough {
		text += " (policy's side is of the time before)"
	}
	return text
}
