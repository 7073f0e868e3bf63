package clickhouse

import (
	"context"
	"fmt"
	"iter"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/usherhq/usher/analytics"
)

// ladderScope is what the queries of the ladder are rendered with.
type ladderScope struct {
	scope
	Kind          bool // the value is that of a kind of outcome
	Rated         bool // and silence has none
	Conversations bool // a row is a conversation
}

// ladderTarget is the predicate of a scope's decisions.
func ladderTarget(q *analytics.LadderQuery) string {
	target := between
	if len(q.Modes) > 0 {
		target += " AND has({modes:Array(String)}, mode)"
	}
	switch {
	case q.Policy != "":
		return target + " AND policy = {policy:String}"
	case q.Skill != "":
		return target + " AND policy_only = {skill:String} AND NOT has({policies:Array(String)}, policy)"
	default:
		return target + " AND NOT has({policies:Array(String)}, policy) AND NOT has({skills:Array(String)}, policy_only)"
	}
}

func ladderArgs(q *analytics.LadderQuery) (ladderScope, []any) {
	sc := ladderScope{Kind: q.Kind != "", Rated: q.Rated, Conversations: q.Conversations, scope: scope{
		Account: ofAccount, Target: ladderTarget(q), Objective: "objective = {objective:String}", Now: "now64(3, 'UTC')",
	}}
	args := []any{
		ch.Named("account", q.Account), ch.Named("objective", q.Objective), ch.Named("kind", q.Kind),
		ch.Named("from", millis(q.From, firstMilli)), ch.Named("to", millis(q.To, lastMilli)),
		ch.Named("modes", some(q.Modes)), ch.Named("policy", q.Policy), ch.Named("skill", q.Skill),
		ch.Named("policies", some(q.OtherPolicies)), ch.Named("skills", some(q.OtherSkills)), ch.Named("limit", limit(q.Limit)),
	}
	if !q.Now.IsZero() {
		sc.Now = "fromUnixTimestamp64Milli({now:Int64}, 'UTC')"
		args = append(args, ch.Named("now", q.Now.UnixMilli()))
	}
	return sc, args
}

// some makes an empty list of none, which the driver can bind.
func some(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// LadderRows streams the decisions of a scope that have a value, or its conversations,
// in the order in which it became known. The iterator runs the query, may be used once, and ends with at
// most one error.
func (db *DB) LadderRows(ctx context.Context, q analytics.LadderQuery) iter.Seq2[analytics.LadderRow, error] {
	sc, args := ladderArgs(&q)
	return stream(ctx, func(ctx context.Context, each func(analytics.LadderRow) error) error {
		return db.read(ctx, "ladder_rows", sc, args, func(rows driver.Rows) error {
			var r analytics.LadderRow
			var onModel, onPolicy uint8
			if err := rows.Scan(&onModel, &onPolicy, &r.Mode, &r.Value, &r.Chosen, &r.ModelOnly, &r.PolicyOnly, &r.Propensity); err != nil {
				return fmt.Errorf("read a row of the ladder: %w", err)
			}
			r.Model, r.Policy = onModel == 1, onPolicy == 1
			return each(r)
		})
	})
}

// LadderMatch counts the newest decisions that a model scored, and those of them in
// which its choice was the baseline's.
func (db *DB) LadderMatch(ctx context.Context, q analytics.LadderQuery) (same, rows int64, err error) {
	sc, args := ladderArgs(&q)
	var matched, all uint64
	err = db.read(ctx, "ladder_match", sc, args, func(rows driver.Rows) error { return rows.Scan(&matched, &all) })
	if err != nil {
		return 0, 0, fmt.Errorf("count matches: %w", err)
	}
	return int64(matched), int64(all), nil //nolint:gosec // counts of rows
}
