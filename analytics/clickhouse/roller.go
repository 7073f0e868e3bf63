package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"
)

// RollerConfig says how often the roll-ups follow the raw rows.
type RollerConfig struct {
	// Interval is the pause between two looks; it grows with the work, so that
	// rolling up takes at most a fifth of the time.
	Interval time.Duration
	// Overlap is how far behind the last look each one starts. It must exceed the
	// longest insert and the difference between the clocks of writers and roller:
	// a row is stamped before it can be seen.
	Overlap time.Duration
}

// DefaultRollerConfig follows within seconds.
func DefaultRollerConfig() RollerConfig {
	return RollerConfig{Interval: 5 * time.Second, Overlap: 2 * time.Minute}
}

// Validate reports every fault of the configuration at once.
func (c RollerConfig) Validate() error {
	var errs []error
	if c.Interval <= 0 {
		errs = append(errs, fmt.Errorf("roll-up interval %v: must be positive", c.Interval))
	}
	if c.Overlap <= 0 {
		errs = append(errs, fmt.Errorf("roll-up overlap %v: must be positive", c.Overlap))
	}
	return errors.Join(errs...)
}

// RollerDeps are what a Roller needs from its surroundings; nil fields mean no
// log, no metrics and the system's clock.
type RollerDeps struct {
	Log        *slog.Logger
	Registerer prometheus.Registerer
	Now        func() time.Time
}

// Roller keeps rollup_hour and rollup_day equal to a recount of the raw rows. It
// never adds to a sum: it finds the hours that something stored since its last
// look could have changed, and recomputes each of them whole. A crash anywhere, a
// second roller or a repeated look therefore change nothing; progress is written
// last. An hour that receives new rows after a part of its rows has expired is
// recomputed from what is left.
//
// All methods are safe for concurrent use.
type Roller struct {
	db      *DB
	cfg     RollerConfig
	log     *slog.Logger
	now     clock
	metrics *rollerMetrics

	mu         sync.Mutex
	objectives map[string]int64 // account/name: offset of its last change when last seen
}

// NewRoller makes a roller over a migrated database.
func NewRoller(db *DB, cfg RollerConfig, deps RollerDeps) (*Roller, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure roll-ups: %w", err)
	}
	r := &Roller{db: db, cfg: cfg, log: deps.Log, now: deps.Now}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if r.now == nil {
		r.now = time.Now
	}
	r.metrics = newRollerMetrics(deps.Registerer)
	return r, nil
}

// Run rolls up until ctx ends and then returns nil. A failed look is logged and
// repeated.
func (r *Roller) Run(ctx context.Context) error {
	for {
		begun := time.Now()
		if err := r.RollNow(ctx); err != nil && ctx.Err() == nil {
			r.metrics.failures.Inc()
			r.log.WarnContext(ctx, "roll-ups not brought up to date", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(max(r.cfg.Interval, 4*time.Since(begun))):
		}
	}
}

// RollNow brings the roll-ups up to date with all that was stored before the call
// and returns when they are.
func (r *Roller) RollNow(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	begun := time.Now()
	// Everything read from here on is at least as new as this stamp. Of two
	// rollers the one that began later wins.
	now := r.now().UTC()
	since, err := r.watermark(ctx)
	if err != nil {
		return fmt.Errorf("roll up: %w", err)
	}
	changed, revisions, err := r.changedObjectives(ctx, since)
	if err != nil {
		return fmt.Errorf("roll up: %w", err)
	}
	dirty, err := r.dirtyHours(ctx, since, now, changed)
	if err != nil {
		return fmt.Errorf("roll up: %w", err)
	}
	for _, account := range sortedKeys(dirty) {
		if err := r.rollAccount(ctx, account, dirty[account], now); err != nil {
			return fmt.Errorf("roll up account %q: %w", account, err)
		}
	}
	err = r.db.exec(ctx, "INSERT INTO rollup_progress (name, watermark, at) SELECT 'rollup', fromUnixTimestamp64Milli({mark:Int64}, 'UTC'), now64(6)",
		ch.Named("mark", now.UnixMilli()))
	if err != nil {
		return fmt.Errorf("roll up: write progress: %w", err)
	}
	r.objectives = revisions
	r.metrics.seconds.Observe(time.Since(begun).Seconds())
	return nil
}

// watermark is where this look starts, in milliseconds since 1970.
func (r *Roller) watermark(ctx context.Context) (int64, error) {
	ctx, cancel := r.db.deadline(ctx, r.db.cfg.QueryTimeout, nil)
	defer cancel()
	var mark time.Time
	row := r.db.conn.QueryRow(ctx, "SELECT argMax(watermark, at) FROM rollup_progress WHERE name = 'rollup'")
	if err := row.Scan(&mark); err != nil {
		return 0, fmt.Errorf("read progress: %w", err)
	}
	return max(0, mark.Add(-r.cfg.Overlap).UnixMilli()), nil
}

// changedObjectives lists account/name of the objectives that have other records
// than at the last look, or, at the first look of this process, since the last
// look of any.
func (r *Roller) changedObjectives(ctx context.Context, since int64) (changed []string, revisions map[string]int64, err error) {
	revisions = map[string]int64{}
	err = r.db.read(ctx, "objective_revisions", nil, []any{ch.Named("since", since)}, func(rows driver.Rows) error {
		var name string
		var recent uint8
		var offset int64
		if err := rows.Scan(&name, &recent, &offset); err != nil {
			return err
		}
		revisions[name] = offset
		known, seen := r.objectives[name]
		if r.objectives == nil && recent == 1 || r.objectives != nil && (!seen || known != offset) {
			changed = append(changed, name)
		}
		return nil
	})
	slices.Sort(changed)
	return changed, revisions, err
}

// dirtyHours maps accounts to the hours to recompute, in order.
func (r *Roller) dirtyHours(ctx context.Context, since int64, now time.Time, changed []string) (map[string][]time.Time, error) {
	if changed == nil {
		changed = []string{}
	}
	dirty := map[string][]time.Time{}
	args := []any{ch.Named("since", since), ch.Named("now", now.UnixMilli()), ch.Named("changed", changed)}
	err := r.db.read(ctx, "dirty_hours", everything(), args, func(rows driver.Rows) error {
		var account string
		var hour time.Time
		if err := rows.Scan(&account, &hour); err != nil {
			return err
		}
		dirty[account] = append(dirty[account], hour.UTC())
		return nil
	})
	for _, hours := range dirty {
		slices.SortFunc(hours, time.Time.Compare)
	}
	return dirty, err
}

// hoursAtOnce bounds the memory of one recount.
const hoursAtOnce = 48

func (r *Roller) rollAccount(ctx context.Context, account string, hours []time.Time, now time.Time) error {
	for chunk := range slices.Chunk(hours, hoursAtOnce) {
		if err := r.rollHours(ctx, account, chunk, now); err != nil {
			return err
		}
		r.metrics.hours.Add(float64(len(chunk)))
	}
	return r.rollDays(ctx, account, hours, now)
}

func (r *Roller) rollHours(ctx context.Context, account string, hours []time.Time, now time.Time) error {
	sc := scope{
		Account: "account = {account:String}",
		Target: "time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND time < fromUnixTimestamp64Milli({to:Int64}, 'UTC') " +
			"AND hasAny({hours:Array(Int64)}, [toUnixTimestamp(toStartOfHour(time)), toUnixTimestamp(toStartOfHour(time) + toIntervalHour(1))])",
		Objective: "1",
		Now:       "fromUnixTimestamp64Milli({now:Int64}, 'UTC')",
	}
	query, err := r.db.cfg.query("roll_hours", sc)
	if err != nil {
		return err
	}
	err = r.db.exec(ctx, query, ch.Named("account", account),
		ch.Named("from", hours[0].Add(-time.Hour).UnixMilli()), ch.Named("to", hours[len(hours)-1].Add(time.Hour).UnixMilli()),
		ch.Named("hours", unix(hours)), ch.Named("now", now.UnixMilli()), ch.Named("at", now.UnixMicro()))
	if err != nil {
		return fmt.Errorf("recount %d hours: %w", len(hours), err)
	}
	return nil
}

func (r *Roller) rollDays(ctx context.Context, account string, hours []time.Time, now time.Time) error {
	var days []time.Time
	for _, hour := range hours {
		if day := hour.Truncate(24 * time.Hour); len(days) == 0 || !days[len(days)-1].Equal(day) {
			days = append(days, day)
		}
	}
	query, err := r.db.cfg.query("roll_days", nil)
	if err != nil {
		return err
	}
	err = r.db.exec(ctx, query, ch.Named("account", account),
		ch.Named("from", days[0].Unix()), ch.Named("to", days[len(days)-1].Add(24*time.Hour).Unix()),
		ch.Named("days", unix(days)), ch.Named("at", now.UnixMicro()))
	if err != nil {
		return fmt.Errorf("recount %d days: %w", len(days), err)
	}
	return nil
}

func unix(times []time.Time) []int64 {
	out := make([]int64, len(times))
	for i, t := range times {
		out[i] = t.Unix()
	}
	return out
}
