package app

import (
	"context"
	"fmt"
	"time"

	"github.com/usherhq/usher/analytics"
	"github.com/usherhq/usher/analytics/clickhouse"
	"github.com/usherhq/usher/decision/server"
	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/model/evaluate"
)

// streamedRows is up to how many decisions are read one by one where a column names
// what the target does; of more the warehouse adds up the weights by itself, and the
// reward model is done without.
const streamedRows = 100_000

var _ server.ValueSource = (*warehouse)(nil)

// EstimateValue implements server.ValueSource.
func (w *warehouse) EstimateValue(ctx context.Context, q *server.ValueQuery) (*server.Valued, error) {
	db, err := w.get(ctx)
	if err != nil {
		return nil, err
	}
	target, named := map[string]string{
		server.TargetPolicy: analytics.ByPolicy, server.TargetBaseline: analytics.ByBaseline, server.TargetLogged: "",
	}[q.Target]
	v := &valuation{db: db, query: q}
	if named && q.MaxRows > streamedRows {
		all, err := v.sums(ctx, target, "")
		if err != nil {
			return nil, err
		}
		if all[""].N > streamedRows {
			return v.added(ctx, target, all[""])
		}
	}
	if !named {
		artifact, err := w.Artifact(ctx, q.Account, q.Target)
		if err != nil {
			return nil, err
		}
		if v.model, err = model.Decode(artifact); err != nil {
			return nil, fmt.Errorf("read model %q: %w", q.Target, err)
		}
	}
	return v.streamed(ctx)
}

// valuation is one estimate in the making.
type valuation struct {
	db      *clickhouse.DB
	query   *server.ValueQuery
	model   *model.Model
	scratch model.Scratch
	encoder model.Encoder
	seen    int64 // rows from before the model was made
}

// added makes estimates of the warehouse's sums.
func (v *valuation) added(ctx context.Context, column string, all evaluate.OPEResult) (*server.Valued, error) {
	out := &server.Valued{All: all}
	if v.query.SegmentBy == "" {
		return out, nil
	}
	var err error
	out.Segments, err = v.sums(ctx, column, v.query.SegmentBy)
	return out, err
}

func (v *valuation) sums(ctx context.Context, column, segment string) (map[string]evaluate.OPEResult, error) {
	q := v.query
	list, err := v.db.ValueSums(ctx, analytics.ValueQuery{
		Account: q.Account, Objective: q.Objective, From: q.From, To: q.To, Column: column, Segment: segment, Limit: q.MaxRows,
	})
	if err != nil {
		return nil, err
	}
	out := make(map[string]evaluate.OPEResult, len(list))
	for _, s := range list {
		sums := evaluate.Sums{
			N: s.Rows, Informative: s.Informative, Rewarded: s.Rewarded, W: s.Weights, WW: s.WeightSquares,
			R: s.Rewards, RR: s.RewardSquares, WR: s.Weighted, WWR: s.Squared, WWRR: s.BothSquared,
			Largest: s.LargestWeight, MinLogged: s.LeastPropensity, MaxTarget: 1, MinReward: s.LeastReward, MaxReward: s.GreatestReward,
			Lowest: q.Lowest, Highest: q.Highest,
		}
		if column == "" {
			sums.MaxTarget = s.LeastPropensity // every weight is 1
		}
		res := sums.Estimate(q.Confidence)
		if s.Unknown > 0 {
			res.Warnings = append(res.Warnings, fmt.Sprintf("%d decisions have no propensity and were left out", s.Unknown))
		}
		out[s.Segment] = res
	}
	return out, nil
}

// streamed reads the decisions twice: the newest ones to fit the reward model, and
// all of them to estimate.
func (v *valuation) streamed(ctx context.Context) (*server.Valued, error) {
	q := v.query
	valuer := evaluate.NewValuer(q.Lowest, q.Highest)
	if q.Target != server.TargetLogged {
		var rows []*evaluate.Decided
		err := v.each(ctx, min(q.MaxRows, evaluate.FitRows), func(r *evaluate.Decided) { rows = append(rows, r) })
		if err != nil {
			return nil, err
		}
		if err := valuer.Fit(rows); err != nil {
			return nil, err
		}
	}
	if err := v.each(ctx, q.MaxRows, func(r *evaluate.Decided) {
		if v.model != nil {
			r.Target = evaluate.Best(v.model, &v.scratch, &v.encoder, r)
		}
		if r.Time.Before(q.Trained) {
			v.seen++
		}
		valuer.Add(r)
	}); err != nil {
		return nil, err
	}
	out := &server.Valued{}
	out.All, out.Segments = valuer.Result(q.Confidence)
	if v.seen > 0 {
		out.All.Warnings = append(out.All.Warnings, fmt.Sprintf("%d of the decisions were made before the model (%s) and may have taught it: "+
			"it looks better on those than it is", v.seen, q.Trained.UTC().Format(time.RFC3339)))
	}
	return out, nil
}

// each reads those of the newest decisions, limit of them, that have a reward; when none
// of the newest has one yet it reads none, while sums looks for rewarded ones.
func (v *valuation) each(ctx context.Context, limit int, row func(*evaluate.Decided)) error {
	q := v.query
	for r, err := range v.db.Replay(ctx, analytics.ReplayQuery{Account: q.Account, Objective: q.Objective, From: q.From, To: q.To, Limit: limit}) {
		if err != nil {
			return fmt.Errorf("read logged decisions: %w", err)
		}
		if r.Rewarded {
			row(v.decided(&r))
		}
	}
	return nil
}

func (v *valuation) decided(r *analytics.ReplayRow) *evaluate.Decided {
	d := r.Decision
	out := &evaluate.Decided{
		ID: d.ID, Time: d.Time, Chosen: d.Chosen, Propensity: d.Propensity, Reward: r.Reward,
		Facts: model.Facts{Channel: d.Channel, Intent: d.Intent, Attributes: d.Attributes, Baseline: d.Baseline},
	}
	for i := range d.Candidates {
		c := &d.Candidates[i]
		if c.Eligible {
			out.Options = append(out.Options, model.Option{Key: c.Key(), Attributes: c.Attributes})
			out.Probabilities = append(out.Probabilities, c.Probability)
		}
	}
	switch v.query.Target {
	case server.TargetPolicy:
		out.Target = orNothing(d.PolicyOnly)
	case server.TargetBaseline:
		out.Target = orNothing(d.Baseline)
	}
	switch v.query.SegmentBy {
	case "intent":
		out.Segment = orNothing(d.Intent)
	case "channel":
		out.Segment = orNothing(d.Channel)
	case "policy":
		out.Segment = orNothing(d.Policy)
	case "chosen":
		out.Segment = orNothing(d.Chosen)
	}
	return out
}

// orNothing names what has no name, for an empty one means something else.
func orNothing(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}
