package clickhouse

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/usherhq/usher/analytics"
	"github.com/usherhq/usher/pipeline/event"
)

// Decisions returns the whole records of the decisions that q selects, newest
// first.
func (db *DB) Decisions(ctx context.Context, q analytics.DecisionQuery) ([]*event.Decision, error) {
	args := []any{
		ch.Named("account", q.Account), ch.Named("from", millis(q.From, firstMilli)), ch.Named("to", millis(q.To, lastMilli)),
		ch.Named("before", millis(q.Before, lastMilli)), ch.Named("before_id", q.BeforeID),
		ch.Named("conversation", q.ConversationID), ch.Named("consumer", q.ConsumerID), ch.Named("policy", q.Policy),
		ch.Named("chosen", q.Chosen), ch.Named("decided_by", q.DecidedBy), ch.Named("limit", limit(q.Limit)),
	}
	var found []*event.Decision
	err := db.read(ctx, "list_decisions", q, args, func(rows driver.Rows) error {
		var record string
		if err := rows.Scan(&record); err != nil {
			return err
		}
		d := new(event.Decision)
		found = append(found, d)
		return json.Unmarshal([]byte(record), d)
	})
	if err != nil {
		return nil, fmt.Errorf("search decisions of account %q: %w", q.Account, err)
	}
	return found, nil
}

// replayTimeout bounds a whole replay, whose reader may be slower than the server.
const replayTimeout = 15 * time.Minute

// Replay streams the newest q.Limit decisions of the time with their rewards, in
// no particular order, in memory that does not grow with them but for their ids.
// The iterator runs the query, may be used once, and ends with at most one error.
func (db *DB) Replay(ctx context.Context, q analytics.ReplayQuery) iter.Seq2[analytics.ReplayRow, error] {
	return stream(ctx, func(ctx context.Context, each func(analytics.ReplayRow) error) error {
		sc := scope{Account: ofAccount, Target: between, Objective: "objective = {objective:String}", Now: "now64(3, 'UTC')"}
		args := []any{
			ch.Named("account", q.Account), ch.Named("objective", q.Objective),
			ch.Named("from", millis(q.From, firstMilli)), ch.Named("to", millis(q.To, lastMilli)), ch.Named("limit", limit(q.Limit)),
		}
		err := db.read(ctx, "replay_start", nil, args, func(rows driver.Rows) error {
			var at time.Time
			var id string
			err := rows.Scan(&at, &id)
			// The first one that is too many ends the newest ones.
			sc.Target += " AND (time, decision_id) > (fromUnixTimestamp64Milli({cut:Int64}, 'UTC'), {cut_id:String})" +
				" AND time >= fromUnixTimestamp64Milli({cut:Int64}, 'UTC')"
			args = append(args, ch.Named("cut", at.UnixMilli()), ch.Named("cut_id", id))
			return err
		})
		if err != nil {
			return fmt.Errorf("find the decisions to replay: %w", err)
		}
		return db.readWithin(ctx, replayTimeout, "replay_rows", sc, args, func(rows driver.Rows) error {
			var r analytics.ReplayRow
			var record string
			if err := rows.Scan(&record, &r.Rewarded, &r.Reward); err != nil {
				return fmt.Errorf("read a decision to replay: %w", err)
			}
			d, err := event.DecodeDecision(&event.Message{Value: []byte(record)})
			if err != nil {
				return fmt.Errorf("read a decision to replay: %w", err)
			}
			r.Decision = d
			return each(r)
		})
	})
}

// The predicates that most readers limit their scans by.
const (
	ofAccount = "account = {account:String}"
	between   = "time >= fromUnixTimestamp64Milli({from:Int64}, 'UTC') AND time < fromUnixTimestamp64Milli({to:Int64}, 'UTC')"
)
