package ladder

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/control"
	"github.com/usherhq/usher/model/evaluate"
)

// tests lists the entry tests of the next step, none where there is none.
func (l *Ladder) tests(ctx context.Context, s *scene, at *Scope) ([]Test, error) {
	switch at.Next {
	case decision.ModeCompare:
		return l.beforeCompare(ctx, s, at)
	case decision.ModeHoldout:
		return []Test{enough(l.deps.Now().Sub(at.Mode.Updated), at.Guardrails), sound(at.Guardrails, "guardrails", false)}, nil
	case decision.ModeOn:
		return []Test{sound(at.Guardrails, "guardrails", true)}, nil
	case decision.ModeOff, decision.ModeShadow:
	}
	return nil, nil
}

// beforeCompare: a model is live, it learned from enough, and the log does not say
// that it is worse than policy. The match rate is shown and asks for nothing: a model
// that matches the baseline everywhere could change nothing.
func (l *Ladder) beforeCompare(ctx context.Context, s *scene, at *Scope) ([]Test, error) {
	live, err := l.grown(ctx, s.account)
	if err != nil {
		return nil, err
	}
	list, bounds, err := l.guarded(s.account, &at.Mode)
	if err != nil {
		return nil, err
	}
	reward, drop := bounds[0], DefaultDrop*(bounds[0].hi-bounds[0].lo)
	for i, g := range list {
		if g.Metric == control.MetricReward {
			reward, drop = bounds[i], g.MaxDrop
		}
	}
	v, err := l.values(ctx, s, &at.Mode, reward)
	if err != nil {
		return nil, err
	}
	match := Test{Name: "match_rate", Passed: true, Detail: "the model has not watched yet"}
	if at.MatchRows > 0 {
		match.Detail = fmt.Sprintf("the model would do what the baseline does in %.1f %% of %d decisions", 100*at.MatchRate, at.MatchRows)
	}
	return []Test{
		live,
		{Name: "rows", Passed: v.rows >= MinRows, Detail: fmt.Sprintf("%d decisions with a reward, %d needed", v.rows, MinRows)},
		v.estimate(drop), match,
	}, nil
}

// grown fails where no model is live, or one that learned from few rows: the first one
// of an account may go live while nobody follows it, and later ones may not have
// proved to be better yet.
func (l *Ladder) grown(ctx context.Context, account string) (Test, error) {
	champion, err := l.deps.Control.Champion(account)
	if err != nil {
		return Test{}, err
	}
	t := Test{Name: "model", Passed: champion.Version != "", Detail: "no model is live"}
	if !t.Passed {
		return t, nil
	}
	t.Detail = "version " + champion.Version + " is live"
	if l.deps.Fits == nil {
		return t, nil
	}
	rows, err := l.deps.Fits.FittedRows(ctx, account, champion.Version)
	if err != nil {
		return t, fmt.Errorf("read the card of %q: %w", champion.Version, err)
	}
	t.Passed = rows >= MinRows
	t.Detail += fmt.Sprintf(" and learned from %d rows", rows)
	if !t.Passed {
		t.Detail += fmt.Sprintf(", %d needed: wait for a better one, or promote a newer one", MinRows)
	}
	return t, nil
}

// values is what the log says of doing what the model alone, and policy alone, would.
type values struct {
	model, policy *evaluate.OPE
	rows          int64
}

func (l *Ladder) values(ctx context.Context, s *scene, m *control.Mode, reward bound) (*values, error) {
	q := s.query(m)
	q.Limit = l.cfg.MaxRows
	v := &values{model: evaluate.NewOPE(reward.lo, reward.hi), policy: evaluate.NewOPE(reward.lo, reward.hi)}
	for row, err := range l.deps.Evidence.LadderRows(ctx, q) {
		if err != nil {
			return nil, fmt.Errorf("read what came of %q: %w", m.Scope, err)
		}
		v.rows++
		if row.ModelOnly == "" || row.PolicyOnly == "" || !(row.Propensity > 0) {
			continue
		}
		one := evaluate.Observation{Reward: row.Value, Logged: min(row.Propensity, 1)}
		if one.Target = 0; row.Chosen == row.ModelOnly {
			one.Target = 1
		}
		v.model.Add(one)
		if one.Target = 0; row.Chosen == row.PolicyOnly {
			one.Target = 1
		}
		v.policy.Add(one)
	}
	return v, nil
}

const confidence = 0.95

// estimate fails when the log is sure that the model is worse by more than drop. A log
// that cannot tell, as one of a scope in which only policy decided, does not hold the
// step up: a COMPARE is how to find out.
func (v *values) estimate(drop float64) Test {
	t := Test{Name: "estimate", Passed: true}
	model, policy := v.model.Result(confidence), v.policy.Result(confidence)
	if model.N == 0 || !model.Trusted || !policy.Trusted {
		t.Detail = "the log cannot tell what the model would have brought: policy decided, and little else was tried"
		return t
	}
	m, p := model.Estimates[cmp.Or(model.Default, evaluate.SNIPS)], policy.Estimates[cmp.Or(policy.Default, evaluate.SNIPS)]
	t.Passed = m.Upper-p.Lower >= -drop
	t.Detail = fmt.Sprintf("the model alone %.4g (%.4g to %.4g), policy alone %.4g (%.4g to %.4g), allowed %.4g",
		m.Value, m.Lower, m.Upper, p.Value, p.Lower, p.Upper, -drop)
	return t
}

// enough asks for a week, or for rows on each side of every guardrail.
func enough(since time.Duration, states []State) Test {
	t := Test{Name: "rows", Passed: true}
	for i := range states {
		g := &states[i]
		t.Passed = t.Passed && min(g.ModelRows, g.PolicyRows) >= MinSideRows
		t.Detail += fmt.Sprintf("%s: %d rows of the model, %d of policy; ", g.Metric, g.ModelRows, g.PolicyRows)
	}
	days := since.Hours() / 24
	t.Passed = t.Passed && len(states) > 0 || days >= MinDays
	t.Detail += fmt.Sprintf("%.1f days; %d rows of each or %d days are needed", days, MinSideRows, MinDays)
	return t
}

// sound asks that both sides have rows and no guardrail is breached, or, when it must
// be proved, that each one surely is not.
func sound(states []State, name string, proved bool) Test {
	t := Test{Name: name, Passed: len(states) > 0}
	for i := range states {
		g := &states[i]
		t.Passed = t.Passed && g.Standing != Breached && (!proved || g.Standing == OK) && min(g.ModelRows, g.PolicyRows) > 0
		if i > 0 {
			t.Detail += "; "
		}
		t.Detail += string(g.Standing) + ", " + g.words()
	}
	return t
}
