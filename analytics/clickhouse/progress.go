package clickhouse

import (
	"context"
	"fmt"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/usherhq/usher/analytics"
)

// TrainingProgress tells how many rows q would read, about, and whether outcomes
// have come in since somebody last asked. Of q it takes account, objective, From
// and Now.
//
// It reads ids and times only and joins nothing. Where silence is rewarded, what is
// older than the objective's window costs one count over times, and ids are read of
// one window alone; else they are read of everything. Of a million decisions with as
// many outcomes that takes 0.07 s and 0.23 s on two cores, and grows with them; the
// trainer rests twenty times as long as it looked.
func (db *DB) TrainingProgress(ctx context.Context, q analytics.TrainingQuery) (analytics.TrainingProgress, error) {
	sc := scope{
		Account:   "account = {account:String}",
		Target:    "time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC')",
		Objective: "objective = {objective:String}",
		Now:       "now64(3, 'UTC')",
	}
	args := []any{ch.Named("account", q.Account), ch.Named("objective", q.Objective), ch.Named("from", millis(q.From, firstMilli))}
	if !q.Now.IsZero() {
		sc.Now = "fromUnixTimestamp64Milli({now:Int64}, 'UTC')"
		args = append(args, ch.Named("now", q.Now.UnixMilli()))
	}
	var p analytics.TrainingProgress
	err := db.read(ctx, "training_progress", sc, args, func(rows driver.Rows) error {
		return rows.Scan(&p.Rows, &p.KnownAt)
	})
	if err != nil {
		return analytics.TrainingProgress{}, fmt.Errorf("read training progress of account %q: %w", q.Account, err)
	}
	if p.KnownAt.UnixMilli() == 0 { // the engine's greatest of nothing
		p.KnownAt = time.Time{}
	}
	return p, nil
}
