package clickhouse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/usherhq/usher/analytics"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/pipeline/event"
)

// Reasons of the errors that readers return.
const (
	ReasonDecisionNotFound = "DECISION_NOT_FOUND"
	ReasonModelNotFound    = "MODEL_NOT_FOUND"
)

// read runs a query of sql/queries and calls each for every row of its answer.
func (db *DB) read(ctx context.Context, name string, data any, args []any, each func(driver.Rows) error) error {
	return db.readWithin(ctx, db.cfg.QueryTimeout, name, data, args, each)
}

// readWithin is read with a limit of its own.
func (db *DB) readWithin(ctx context.Context, most time.Duration, name string, data any, args []any, each func(driver.Rows) error) (err error) {
	query, err := db.cfg.query(name, data)
	if err != nil {
		return err
	}
	ctx, cancel := db.deadline(ctx, most, nil)
	defer cancel()
	rows, err := db.conn.Query(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("query %s: %w", name, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := each(rows); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("query %s: %w", name, err)
	}
	return nil
}

// errStopped ends a read because its consumer wants no more; no caller sees it.
var errStopped = errors.New("the reader stopped")

// stream turns a read into an iterator. A consumer that stops early ends the query.
func stream[T any](ctx context.Context, read func(context.Context, func(T) error) error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		err := read(ctx, func(value T) error {
			if !yield(value, nil) {
				cancel()
				return errStopped
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStopped) {
			var none T
			yield(none, err)
		}
	}
}

// millis are t's milliseconds since 1970, or otherwise when t is zero.
func millis(t time.Time, otherwise int64) int64 {
	if t.IsZero() {
		return otherwise
	}
	return t.UnixMilli()
}

// The times that stand for no limit; the server's DateTime64 ends in 2299.
const (
	firstMilli = 0
	lastMilli  = 10_000_000_000_000
)

func limit(n int) uint64 {
	if n <= 0 {
		return math.MaxInt64
	}
	return uint64(n)
}

// Decision returns the whole record of a decision, or a fault of kind NotFound.
func (db *DB) Decision(ctx context.Context, account, id string) (*event.Decision, error) {
	var found *event.Decision
	err := db.read(ctx, "decision", nil, []any{ch.Named("account", account), ch.Named("id", id)}, func(rows driver.Rows) error {
		var record string
		if err := rows.Scan(&record); err != nil {
			return err
		}
		found = new(event.Decision)
		return json.Unmarshal([]byte(record), found)
	})
	if err != nil {
		return nil, fmt.Errorf("read decision %q: %w", id, err)
	}
	if found == nil {
		return nil, fault.New(fault.NotFound, ReasonDecisionNotFound, "decision %q is not stored", id)
	}
	return found, nil
}

// Outcomes returns what happened after a decision, oldest first: the outcomes that
// name it and those of its conversation until the next decision there.
func (db *DB) Outcomes(ctx context.Context, account, decisionID string) ([]event.Outcome, error) {
	sc := scope{Account: "account = {account:String}", Target: "decision_id = {id:String}", Objective: "1", Now: "now64(3, 'UTC')"}
	var found []event.Outcome
	err := db.read(ctx, "outcomes_of_decision", sc, []any{ch.Named("account", account), ch.Named("id", decisionID)}, func(rows driver.Rows) error {
		o := event.Outcome{Account: account, DecisionID: decisionID}
		if err := rows.Scan(&o.Source, &o.ID, &o.Kind, &o.Value, &o.Label, &o.Time); err != nil {
			return err
		}
		found = append(found, o)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read outcomes of decision %q: %w", decisionID, err)
	}
	return found, nil
}

// DeadLetters streams dead letters in log order. The iterator runs the query; it
// may be used once per call and ends with at most one error.
func (db *DB) DeadLetters(ctx context.Context, q analytics.DeadLetterQuery) iter.Seq2[event.DeadLetter, error] {
	args := []any{
		ch.Named("account", q.Account), ch.Named("all", fmt.Sprint(q.AllAccounts)), ch.Named("topic", q.Topic), ch.Named("reason", q.Reason),
		ch.Named("from", millis(q.From, firstMilli)), ch.Named("to", millis(q.To, lastMilli)), ch.Named("limit", limit(q.Limit)),
	}
	return stream(ctx, func(ctx context.Context, each func(event.DeadLetter) error) error {
		return db.read(ctx, "dead_letters", nil, args, func(rows driver.Rows) error {
			var d event.DeadLetter
			var partition int32
			var key, value string
			if err := rows.Scan(&d.Account, &d.Topic, &partition, &d.Offset, &d.Time, &d.Reason, &d.Field, &d.Detail,
				&key, &value, &d.Headers); err != nil {
				return fmt.Errorf("read dead letter: %w", err)
			}
			d.Partition, d.Key, d.Value = int(partition), []byte(key), []byte(value)
			return each(d)
		})
	})
}

// Counts counts the stored rows of an account; an empty account means all of them.
func (db *DB) Counts(ctx context.Context, account string) (analytics.Counts, error) {
	var c analytics.Counts
	args := []any{ch.Named("account", account), ch.Named("all", fmt.Sprint(account == ""))}
	err := db.read(ctx, "counts", nil, args, func(rows driver.Rows) error {
		return rows.Scan(&c.Decisions, &c.Outcomes, &c.SkillStates, &c.ConfigChanges, &c.DeadLetters)
	})
	if err != nil {
		return c, fmt.Errorf("count rows: %w", err)
	}
	return c, nil
}

// Rollups returns roll-up rows in order of time.
func (db *DB) Rollups(ctx context.Context, q analytics.RollupQuery) ([]analytics.Rollup, error) {
	if q.Grain != analytics.Hour && q.Grain != analytics.Day {
		return nil, fmt.Errorf("read roll-ups: grain %q is unknown", q.Grain)
	}
	var found []analytics.Rollup
	args := []any{
		ch.Named("account", q.Account),
		ch.Named("from", millis(q.From, firstMilli)/1000), ch.Named("to", min(millis(q.To, lastMilli)/1000, math.MaxUint32)),
	}
	err := db.read(ctx, "rollups", q, args, func(rows driver.Rows) error {
		var r analytics.Rollup
		var sum, most uint64
		err := rows.Scan(&r.Start, &r.Skill, &r.Policy, &r.ModelVersion, &r.Objective, &r.Mode, &r.DecidedBy, &r.Channel,
			&r.Decisions, &r.Explored, &r.KeptBaseline, &r.Outcomes, &r.Rewarded, &r.RewardSum, &r.RewardSquares,
			&r.WeightSum, &r.WeightedRewardSum, &sum, &most)
		r.LatencySum, r.LatencyMax = time.Duration(sum), time.Duration(most) //nolint:gosec // sums of nanoseconds
		found = append(found, r)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read roll-ups: %w", err)
	}
	return found, nil
}
