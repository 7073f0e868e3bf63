package clickhouse

import (
	"context"
	"fmt"
	"slices"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/usherhq/usher/analytics"
)

// valueScope is what value_sums is rendered with; Segment and Weight are SQL.
type valueScope struct {
	scope
	Segment, Weight string
}

// ValueSums adds up, by segment, what an estimate by weights needs. Only columns are
// read and no records: a million decisions take seconds.
func (db *DB) ValueSums(ctx context.Context, q analytics.ValueQuery) ([]analytics.ValueSums, error) {
	sc, err := valueScopeOf(q)
	if err != nil {
		return nil, err
	}
	args := []any{
		ch.Named("account", q.Account), ch.Named("objective", q.Objective), ch.Named("limit", limit(q.Limit)),
		ch.Named("from", millis(q.From, firstMilli)), ch.Named("to", millis(q.To, lastMilli)),
	}
	if !q.Now.IsZero() {
		sc.Now = "fromUnixTimestamp64Milli({now:Int64}, 'UTC')"
		args = append(args, ch.Named("now", q.Now.UnixMilli()))
	}
	var sums []analytics.ValueSums
	err = db.read(ctx, "value_sums", sc, args, func(rows driver.Rows) error {
		var s analytics.ValueSums
		var n, informative, rewarded, unknown uint64
		if err := rows.Scan(&s.Segment, &n, &informative, &rewarded, &unknown, &s.Weights, &s.WeightSquares, &s.Rewards, &s.RewardSquares,
			&s.Weighted, &s.Squared, &s.BothSquared, &s.LargestWeight, &s.LeastPropensity, &s.LeastReward, &s.GreatestReward); err != nil {
			return err
		}
		s.Rows, s.Informative, s.Rewarded, s.Unknown = int64(n), int64(informative), int64(rewarded), int64(unknown) //nolint:gosec // counts
		sums = append(sums, s)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("add up rewards of account %q: %w", q.Account, err)
	}
	return sums, nil
}

func valueScopeOf(q analytics.ValueQuery) (valueScope, error) {
	sc := valueScope{
		scope:   scope{Account: ofAccount, Target: between, Objective: "objective = {objective:String}", Now: "now64(3, 'UTC')"},
		Segment: "''", Weight: "1",
	}
	if q.Segment != "" {
		if !slices.Contains([]string{"intent", "channel", "policy", "chosen"}, q.Segment) {
			return sc, fmt.Errorf("add up rewards: segment %q is unknown", q.Segment)
		}
		sc.Segment = q.Segment
	}
	switch q.Column {
	case "": // what was done
	case analytics.ByPolicy, analytics.ByBaseline:
		sc.Weight = "if(" + q.Column + " = chosen, 1 / least(propensity, 1), 0)"
	default:
		return sc, fmt.Errorf("add up rewards: column %q is unknown", q.Column)
	}
	return sc, nil
}
