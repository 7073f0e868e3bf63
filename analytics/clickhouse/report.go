package clickhouse

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/usherhq/usher/analytics"
)

// Kinds that policy_outcomes.sql makes up beside the hashes of the real ones.
const (
	kindReward  = 0
	kindMatured = 1
)

// How far back a report reads. An outcome may be a day older than the decision that it
// names.
const (
	sinceFrom = "time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC')"
	afterFrom = "time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') - toIntervalDay(1)"
)

// reportScope is what the queries of a policy report are rendered with.
type reportScope struct {
	scope
	Since, After string // how far back decisions go, and outcomes
	DecidedTwice bool   // some decisions are pairs
	SentTwice    bool   // some outcomes are
	Grain        analytics.Grain
	WindowMillis int64
	// The objective, as SQL literals. Without one there are no terms.
	Bias, Lowest, Highest string
	Terms                 []reportTerm
}

// reportTerm is one term; Place is that of its kind among the parameter kinds.
type reportTerm struct {
	Weight, Aggregate string
	Place             int
}

// PolicyReport answers what became of the policies. It reads every decision of the
// time and every outcome of the account, columns only and no records: of a million
// decisions with as many outcomes that takes one to two seconds on two cores.
func (db *DB) PolicyReport(ctx context.Context, q analytics.PolicyReportQuery) (*analytics.PolicyReport, error) {
	if q.Grain != analytics.Hour && q.Grain != analytics.Day {
		return nil, fmt.Errorf("report policies: grain %q is unknown", q.Grain)
	}
	r := &policyReport{
		db: db, query: q, groups: map[uint64]*policyGroup{},
		out: &analytics.PolicyReport{Policies: map[string]*analytics.PolicyCounts{}},
		scope: reportScope{
			scope: scope{Account: ofAccount, Target: between, Objective: "objective = {objective:String}", Now: "now64(3, 'UTC')"},
			Since: sinceFrom, After: afterFrom, Grain: q.Grain,
			Bias: "0", Lowest: "0", Highest: "0",
		},
		args: []any{
			ch.Named("account", q.Account), ch.Named("objective", q.Objective),
			ch.Named("from", millis(q.From, firstMilli)), ch.Named("to", millis(q.To, lastMilli)),
		},
	}
	if !q.Now.IsZero() {
		r.scope.Now = "fromUnixTimestamp64Milli({now:Int64}, 'UTC')"
		r.args = append(r.args, ch.Named("now", q.Now.UnixMilli()))
	}
	for _, step := range []func(context.Context) error{r.readObjective, r.readPairs, r.readGroups, r.readOutcomes, r.readUnknown} {
		if err := step(ctx); err != nil {
			return nil, fmt.Errorf("report policies of account %q: %w", q.Account, err)
		}
	}
	return r.out, nil
}

// policyReport is a report in the making.
type policyReport struct {
	db            *DB
	query         analytics.PolicyReportQuery
	scope         reportScope
	args          []any
	groups        map[uint64]*policyGroup
	defaultReward *float64
	out           *analytics.PolicyReport
}

// policyGroup is a set of decisions that the same policies matched.
type policyGroup struct {
	counts  []*analytics.PolicyCounts // that its decisions are part of
	matured uint64                    // decisions whose silence counts
}

// readObjective renders the objective. One that is not there leaves out rewards.
func (r *policyReport) readObjective(ctx context.Context) error {
	kinds := []string{}
	err := r.db.read(ctx, "objective", r.scope, r.args, func(rows driver.Rows) error {
		var names, aggregates []string
		var weights []float64
		var bias, lowest, highest, silence float64
		var silenceCounts bool
		if err := rows.Scan(&names, &weights, &aggregates, &bias, &lowest, &highest, &r.scope.WindowMillis, &silenceCounts, &silence); err != nil {
			return err
		}
		r.scope.Bias, r.scope.Lowest, r.scope.Highest = literal(bias), literal(lowest), literal(highest)
		if silenceCounts {
			r.defaultReward = &silence
		}
		for i, name := range names {
			at := slices.Index(kinds, name)
			if at < 0 {
				at, kinds = len(kinds), append(kinds, name)
			}
			r.scope.Terms = append(r.scope.Terms, reportTerm{Weight: literal(weights[i]), Aggregate: aggregates[i], Place: at + 1})
		}
		return nil
	})
	r.args = append(r.args, ch.Named("kinds", kinds))
	return err
}

// literal writes a number so that SQL reads it as a Float64.
func literal(x float64) string {
	return "toFloat64(" + strconv.FormatFloat(x, 'g', -1, 64) + ")"
}

// readPairs looks for events that are stored at two times.
func (r *policyReport) readPairs(ctx context.Context) error {
	return r.db.read(ctx, "policy_pairs", r.scope, r.args, func(rows driver.Rows) error {
		var decided, sent uint8
		err := rows.Scan(&decided, &sent)
		r.scope.DecidedTwice, r.scope.SentTwice = decided == 1, sent == 1
		return err
	})
}

func (r *policyReport) readGroups(ctx context.Context) error {
	return r.db.read(ctx, "policy_groups", r.scope, r.args, func(rows driver.Rows) error {
		var key, n, matured uint64
		var period uint32
		var names []string
		var unmatched, kept uint8
		if err := rows.Scan(&key, &period, &names, &unmatched, &kept, &n, &matured); err != nil {
			return err
		}
		g := r.groups[key]
		if g == nil {
			g = r.group(names, kept == 1)
			r.groups[key] = g
		}
		g.matured += matured
		r.out.Decisions += n
		if unmatched == 1 {
			r.out.Unmatched += n
		}
		for _, c := range g.counts {
			c.Matches += n
			if c.Periods == nil {
				c.Periods = map[time.Time]uint64{}
			}
			c.Periods[time.Unix(int64(period), 0).UTC()] += n
		}
		return nil
	})
}

// group finds what the decisions of a group are part of.
func (r *policyReport) group(names []string, kept bool) *policyGroup {
	g := &policyGroup{counts: []*analytics.PolicyCounts{&r.out.All}}
	if kept {
		g.counts = append(g.counts, &r.out.Baseline)
	}
	for _, name := range names {
		c := r.out.Policies[name]
		if c == nil {
			c = &analytics.PolicyCounts{}
			r.out.Policies[name] = c
		}
		g.counts = append(g.counts, c)
	}
	return g
}

// readOutcomes adds the outcomes and the rewards of every group to the policies
// that it is part of.
func (r *policyReport) readOutcomes(ctx context.Context) error {
	kinds := map[uint64]string{}
	err := r.db.read(ctx, "outcome_kinds", r.scope, r.args, func(rows driver.Rows) error {
		var key uint64
		var kind string
		err := rows.Scan(&key, &kind)
		kinds[key] = kind
		return err
	})
	if err != nil {
		return err
	}
	err = r.db.read(ctx, "policy_outcomes", r.scope, r.args, func(rows driver.Rows) error {
		var key, kind uint64
		var s analytics.Sample
		if err := rows.Scan(&key, &kind, &s.N, &s.Mean, &s.Squares, &s.Min, &s.Max); err != nil {
			return err
		}
		g := r.groups[key]
		switch {
		case g == nil: // of a decision that was stored since the groups were read,
		case kind == kindMatured:
			g.matured -= min(s.N, g.matured)
		case kind == kindReward:
			g.reward(s)
		default:
			g.outcome(kinds[kind], s)
		}
		return nil
	})
	if err != nil || r.defaultReward == nil {
		return err
	}
	// What is left are the decisions whose window passed in silence.
	for _, g := range r.groups {
		g.reward(analytics.Sample{N: g.matured, Mean: *r.defaultReward, Min: *r.defaultReward, Max: *r.defaultReward})
	}
	return nil
}

func (g *policyGroup) reward(s analytics.Sample) {
	for _, c := range g.counts {
		c.Reward.Add(s)
	}
}

func (g *policyGroup) outcome(kind string, s analytics.Sample) {
	for _, c := range g.counts {
		if c.Outcomes == nil {
			c.Outcomes = map[string]analytics.Sample{}
		}
		sum := c.Outcomes[kind]
		sum.Add(s)
		c.Outcomes[kind] = sum
	}
}

func (r *policyReport) readUnknown(ctx context.Context) error {
	return r.db.read(ctx, "unknown_conditions", r.scope, r.args, func(rows driver.Rows) error {
		var u analytics.UnknownAttribute
		if err := rows.Scan(&u.Attribute, &u.Decisions, &u.Policies); err != nil {
			return err
		}
		r.out.Unknown = append(r.out.Unknown, u)
		return nil
	})
}
