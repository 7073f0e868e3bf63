package clickhouse

import (
	"context"
	"fmt"
	"iter"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/usherhq/usher/analytics"
	"github.com/usherhq/usher/pipeline/event"
)

// TrainingRows streams the rewarded decisions in order of their time, then id.
// The iterator runs the query, may be used once, and ends with at most one error.
// Each row is the caller's.
func (db *DB) TrainingRows(ctx context.Context, q analytics.TrainingQuery) iter.Seq2[*analytics.TrainingRow, error] {
	sc := scope{
		Account:   "account = {account:String}",
		Target:    "time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND time < fromUnixTimestamp64Milli({to:Int64}, 'UTC')",
		Objective: "objective = {objective:String}",
		Now:       "now64(3, 'UTC')",
	}
	args := []any{
		ch.Named("account", q.Account), ch.Named("objective", q.Objective),
		ch.Named("from", millis(q.From, firstMilli)), ch.Named("to", millis(q.To, lastMilli)),
		ch.Named("since", millis(q.Since, firstMilli)), ch.Named("limit", limit(q.Limit)),
	}
	if !q.Now.IsZero() {
		sc.Now = "fromUnixTimestamp64Milli({now:Int64}, 'UTC')"
		args = append(args, ch.Named("now", q.Now.UnixMilli()))
	}
	return stream(ctx, func(ctx context.Context, each func(*analytics.TrainingRow) error) error {
		return db.read(ctx, "training_rows", sc, args, func(rows driver.Rows) error {
			row, err := scanTrainingRow(rows)
			if err != nil {
				return fmt.Errorf("read training row: %w", err)
			}
			return each(row)
		})
	})
}

// scanTrainingRow reads the columns in the order of sql/queries/training_rows.sql.
func scanTrainingRow(rows driver.Rows) (*analytics.TrainingRow, error) {
	var (
		r               analytics.TrainingRow
		context, chosen attributes
		names           []string
		agents, queues  []int32
		loads, waits    []float64
		decidedBy       string
		outcomes        uint64
	)
	err := rows.Scan(
		&r.DecisionID, &r.ConversationID, &r.Time, &r.Channel, &r.Intent,
		&context.text, &context.number, &context.bool, &context.list,
		&names, &agents, &queues, &loads, &waits,
		&r.ChosenType, &r.Chosen, &chosen.text, &chosen.number, &chosen.bool, &chosen.list,
		&r.Propensity, &r.Explored, &decidedBy, &r.Baseline, &r.PolicyOnly, &r.ModelOnly,
		&r.Policy, &r.ModelVersion, &r.Mode,
		&r.CandidateKeys, &r.CandidateEligible, &r.CandidateProbabilities,
		&r.Reward, &outcomes, &r.Silent, &r.RewardTime, &r.KnownAt,
	)
	if err != nil {
		return nil, err
	}
	r.Attributes, r.ChosenAttributes = context.join(), chosen.join()
	r.DecidedBy, r.Outcomes = event.DecidedBy(decidedBy), int(outcomes) //nolint:gosec // a count of one decision's outcomes
	if len(names) > 0 {
		r.Skills = make(map[string]event.Skill, len(names))
	}
	for i, name := range names {
		r.Skills[name] = event.Skill{
			AgentsOnline: int(agents[i]), QueueSize: int(queues[i]), Load: loads[i], WaitSeconds: waits[i],
		}
	}
	return &r, nil
}

// join is the inverse of split, nil when there is nothing.
func (a attributes) join() map[string]any {
	n := len(a.text) + len(a.number) + len(a.bool) + len(a.list)
	if n == 0 {
		return nil
	}
	all := make(map[string]any, n)
	for name, v := range a.text {
		all[name] = v
	}
	for name, v := range a.number {
		all[name] = v
	}
	for name, v := range a.bool {
		all[name] = v
	}
	for name, v := range a.list {
		all[name] = v
	}
	return all
}
