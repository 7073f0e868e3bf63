package clickhouse

import (
	"context"
	"fmt"
	"slices"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/usherhq/usher/analytics"
)

// LearningState says what there is to learn from under an objective, and what is
// still open. It joins decisions and outcomes of the whole time kept, so it is for
// people who ask now and then.
func (db *DB) LearningState(ctx context.Context, account, objective string) (analytics.LearningState, error) {
	fail := func(err error) (analytics.LearningState, error) {
		return analytics.LearningState{}, fmt.Errorf("read the state of learning of account %q: %w", account, err)
	}
	p, err := db.TrainingProgress(ctx, analytics.TrainingQuery{Account: account, Objective: objective})
	if err != nil {
		return fail(err)
	}
	st := analytics.LearningState{Rows: p.Rows, KnownAt: p.KnownAt, Explored: map[string]uint64{}}
	sc := scope{Account: "account = {account:String}", Target: "1", Objective: "objective = {objective:String}", Now: "now64(3, 'UTC')"}
	args := []any{ch.Named("account", account), ch.Named("objective", objective)}
	var delays, ages []int64
	err = db.read(ctx, "learning_delays", sc, args, func(rows driver.Rows) error { return rows.Scan(&delays) })
	if err == nil {
		err = db.read(ctx, "learning_open", sc, args, func(rows driver.Rows) error { return rows.Scan(&st.Open, &ages) })
	}
	if err != nil {
		return fail(err)
	}
	st.Maturity = maturity(delays, ages)
	args = []any{ch.Named("account", account), ch.Named("from", time.Now().Add(-time.Hour).UnixMilli())}
	err = db.read(ctx, "explored", nil, args, func(rows driver.Rows) error {
		var target string
		var n uint64
		err := rows.Scan(&target, &n)
		st.Explored[target] = n
		return err
	})
	if err != nil {
		return fail(err)
	}
	return st, nil
}

// maturity is the mean, over the ages, of the share of the delays that are not
// longer; 1 when nothing is open, 0 when nothing is known of delays.
func maturity(delays, ages []int64) float64 {
	if len(ages) == 0 {
		return 1
	}
	if len(delays) == 0 {
		return 0
	}
	slices.Sort(delays)
	sum := 0.0
	for _, age := range ages {
		n, _ := slices.BinarySearch(delays, age+1)
		sum += float64(n) / float64(len(delays))
	}
	return sum / float64(len(ages))
}

// Arms lists what the decisions since a time could choose among.
func (db *DB) Arms(ctx context.Context, account string, from time.Time) ([]string, error) {
	var arms []string
	args := []any{ch.Named("account", account), ch.Named("from", from.UnixMilli())}
	err := db.read(ctx, "arms", nil, args, func(rows driver.Rows) error {
		var arm string
		if err := rows.Scan(&arm); err != nil {
			return err
		}
		if arm != "" {
			arms = append(arms, arm)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list arms of account %q: %w", account, err)
	}
	return arms, nil
}
