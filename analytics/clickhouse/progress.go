package clickhouse

import (
	"context"
	"fmt"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/usherhq/usher/analytics"
)

// TrainingProgress tells whether outcomes of an account that happened at or after
// from have come in since somebody last asked. It reads two columns and joins
// nothing, so it may be asked every second.
func (db *DB) TrainingProgress(ctx context.Context, account string, from time.Time) (analytics.TrainingProgress, error) {
	var p analytics.TrainingProgress
	args := []any{ch.Named("account", account), ch.Named("from", millis(from, firstMilli))}
	err := db.read(ctx, "training_progress", nil, args, func(rows driver.Rows) error {
		return rows.Scan(&p.Outcomes, &p.KnownAt)
	})
	if err != nil {
		return analytics.TrainingProgress{}, fmt.Errorf("read training progress of account %q: %w", account, err)
	}
	if p.Outcomes == 0 {
		p.KnownAt = time.Time{}
	}
	return p, nil
}
