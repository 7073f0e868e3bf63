package app

import (
	"context"
	"iter"

	"github.com/usherhq/usher/analytics"
	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/ladder"
	"github.com/usherhq/usher/internal/run"
)

// ladderEvidence reads what came of decisions from the warehouse.
type ladderEvidence struct{ warehouse *warehouse }

var _ ladder.Evidence = ladderEvidence{}

// LadderRows implements ladder.Evidence.
func (e ladderEvidence) LadderRows(ctx context.Context, q ladder.Query) iter.Seq2[ladder.Row, error] {
	return func(yield func(ladder.Row, error) bool) {
		db, err := e.warehouse.get(ctx)
		if err != nil {
			yield(ladder.Row{}, err)
			return
		}
		for r, err := range db.LadderRows(ctx, ladderQuery(&q)) {
			row := ladder.Row{
				Mode: decision.ModeKind(r.Mode), Value: r.Value, Chosen: r.Chosen,
				ModelOnly: r.ModelOnly, PolicyOnly: r.PolicyOnly, Propensity: r.Propensity,
			}
			switch {
			case r.Model:
				row.Side = ladder.SideModel
			case r.Policy:
				row.Side = ladder.SidePolicy
			}
			if !yield(row, err) {
				return
			}
		}
	}
}

// LadderMatch implements ladder.Evidence.
func (e ladderEvidence) LadderMatch(ctx context.Context, q ladder.Query) (same, rows int64, err error) {
	db, err := e.warehouse.get(ctx)
	if err != nil {
		return 0, 0, err
	}
	return db.LadderMatch(ctx, ladderQuery(&q))
}

func ladderQuery(q *ladder.Query) analytics.LadderQuery {
	out := analytics.LadderQuery{
		Account: q.Account, Objective: q.Objective, Kind: q.Kind, Rated: q.Rated, Conversations: q.Conversations, Policy: q.Policy, Skill: q.Skill,
		OtherPolicies: q.OtherPolicies, OtherSkills: q.OtherSkills, From: q.From, To: q.To, Limit: q.Limit,
	}
	for _, m := range q.Modes {
		out.Modes = append(out.Modes, string(m))
	}
	return out
}

// newLadder makes the ladder of this process; only a watch has metrics.
func (n *node) newLadder(m *ladder.Metrics) (*ladder.Ladder, error) {
	return ladder.New(ladder.DefaultConfig(), ladder.Deps{
		Control: n.state.control, Evidence: ladderEvidence{n.engines.warehouse}, Fits: n.engines.warehouse, Now: n.opts.Now, Log: n.log, Metrics: m,
	})
}

// ladderWatch sets scopes back whose guardrails are breached. It may be cancelled at
// any time, and run in several processes.
func (n *node) ladderWatch() run.Part {
	return late("ladder", func(context.Context) (worker, error) {
		l, err := n.newLadder(ladder.NewMetrics(n.reg))
		if err != nil {
			return worker{}, err
		}
		return worker{run: l.Run}, nil
	})
}
