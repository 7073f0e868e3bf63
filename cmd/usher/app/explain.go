package app

import (
	"context"
	"time"

	"github.com/usherhq/usher/analytics"
	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/replay"
	"github.com/usherhq/usher/decision/server"
	"github.com/usherhq/usher/pipeline/event"
)

var (
	_ server.DecisionSearch = (*warehouse)(nil)
	_ server.UsageSource    = (*warehouse)(nil)
	_ replay.Source         = (*warehouse)(nil)
)

// again makes what decides again from the log: one record, or many under a draft.
func (n *node) again(cfg decision.Config) (*replay.Verifier, *replay.Simulator, error) {
	verifier, err := replay.NewVerifier(cfg, replay.Deps{Log: n.state.store, Artifacts: n.engines.warehouse})
	if err != nil {
		return nil, nil, err
	}
	simulator, err := replay.NewSimulator(cfg, replay.SimulatorDeps{
		Log: n.state.store, Source: n.engines.warehouse, Revisions: n.state.policies, Artifacts: n.engines.warehouse,
	})
	return verifier, simulator, err
}

// Decisions implements server.DecisionSearch.
func (w *warehouse) Decisions(ctx context.Context, q *server.DecisionQuery) ([]*event.Decision, error) {
	db, err := w.get(ctx)
	if err != nil {
		return nil, err
	}
	return db.Decisions(ctx, analytics.DecisionQuery{
		Account: q.Account, ConversationID: q.ConversationID, ConsumerID: q.ConsumerID, Policy: q.Policy, Chosen: q.Chosen,
		DecidedBy: q.DecidedBy, From: q.From, To: q.To, Before: q.Before, BeforeID: q.BeforeID, Limit: q.Limit,
	})
}

// Replay implements replay.Source.
func (w *warehouse) Replay(ctx context.Context, q replay.Query, fn func(replay.Row) error) error {
	db, err := w.get(ctx)
	if err != nil {
		return err
	}
	for row, err := range db.Replay(ctx, analytics.ReplayQuery{Account: q.Account, Objective: q.Objective, From: q.From, To: q.To, Limit: q.Limit}) {
		if err != nil {
			return err
		}
		if err := fn(replay.Row{Decision: row.Decision, Rewarded: row.Rewarded, Reward: row.Reward}); err != nil {
			return err
		}
	}
	return nil
}

// PolicyUsage implements server.UsageSource.
func (w *warehouse) PolicyUsage(ctx context.Context, q *server.UsageQuery) (*server.Usage, error) {
	db, err := w.get(ctx)
	if err != nil {
		return nil, err
	}
	grain := analytics.Day
	if q.Hourly {
		grain = analytics.Hour
	}
	r, err := db.PolicyReport(ctx, analytics.PolicyReportQuery{Account: q.Account, Objective: q.Objective, From: q.From, To: q.To, Grain: grain})
	if err != nil {
		return nil, err
	}
	u := &server.Usage{
		Decisions: count(r.Decisions), Unmatched: count(r.Unmatched), All: usageOf(&r.All), Baseline: usageOf(&r.Baseline),
		Policies: make(map[string]server.UsageCounts, len(r.Policies)),
	}
	for name, c := range r.Policies {
		u.Policies[name] = usageOf(c)
	}
	for _, n := range r.Unknown {
		u.Unknown = append(u.Unknown, server.UnknownCount{Attribute: n.Attribute, Decisions: count(n.Decisions), Policies: n.Policies})
	}
	return u, nil
}

func usageOf(c *analytics.PolicyCounts) server.UsageCounts {
	out := server.UsageCounts{Matches: count(c.Matches), Reward: sampleOf(c.Reward)}
	if len(c.Periods) > 0 {
		out.Periods = make(map[time.Time]int64, len(c.Periods))
	}
	for at, n := range c.Periods {
		out.Periods[at] = count(n)
	}
	if len(c.Outcomes) > 0 {
		out.Outcomes = make(map[string]server.Sample, len(c.Outcomes))
	}
	for kind, s := range c.Outcomes {
		out.Outcomes[kind] = sampleOf(s)
	}
	return out
}

func sampleOf(s analytics.Sample) server.Sample {
	return server.Sample{N: count(s.N), Mean: s.Mean, Squares: s.Squares, Min: s.Min, Max: s.Max}
}

func count(n uint64) int64 { return int64(n) } //nolint:gosec // a count of rows
