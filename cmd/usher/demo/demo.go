// Package demo replays a real routing log through a running Usher: the public
// API, the real log, the real warehouse, the real trainer. It speaks nothing
// but the contract, so it is also the smallest complete client.
//
// The log is eleven weeks of an IT service desk (see incidents/README.md).
// Each incident asks for its next action with what was known when it was
// opened; the first assignment that people made is the baseline action. What
// came of it arrives as outcome events in the order of real time: right group
// or not, and, when Usher's assignment was the one people made, whether the
// SLA was kept, how often it was transferred and reopened. The clock runs from
// event to event and skips idle hours. The right group itself is never told,
// neither before nor after: only whether the assignment was right.
package demo

import (
	"context"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc"

	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// Config says how to replay. The zero value of Limit means the whole log.
type Config struct {
	Account     string        // to create and replay into; a fresh one each time
	Rate        float64       // decisions per second at the most
	Limit       int           // incidents to replay, from the first
	ShadowShare float64       // share of the log during which people's choice stays in force at least
	SettleWait  time.Duration // how long to wait at the end until every row sent is stored
}

// DefaultConfig replays the whole log in well under five minutes.
func DefaultConfig() Config {
	return Config{Rate: 150, ShadowShare: 0.15, SettleWait: time.Minute}
}

// Validate names every fault of the configuration.
func (c Config) Validate() error {
	switch {
	case c.Account == "":
		return fmt.Errorf("demo: account is empty")
	case c.Rate <= 0:
		return fmt.Errorf("demo: rate %v is not above 0", c.Rate)
	case c.Limit < 0:
		return fmt.Errorf("demo: limit %d is below 0", c.Limit)
	case c.ShadowShare < 0 || c.ShadowShare > 1:
		return fmt.Errorf("demo: shadow share %v is not within 0 and 1", c.ShadowShare)
	}
	return nil
}

// Warehouse counts the stored rows of an account. It may be nil: the report then
// has no stored counts.
type Warehouse interface {
	Counts(ctx context.Context, account string) (decisions, outcomes int64, err error)
}

// client bundles the services that the demo calls.
type client struct {
	decisions usherv1.DecisionServiceClient
	outcomes  usherv1.OutcomeServiceClient
	policies  usherv1.PolicyServiceClient
	control   usherv1.ControlServiceClient
}

// Run replays the log against the service behind conn, whose calls must carry an
// admin token, shows progress on out and returns the report. It fails when a
// call fails: Usher promises an answer to every request.
func Run(ctx context.Context, cfg Config, conn grpc.ClientConnInterface, rows Warehouse, out io.Writer) (*Report, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	log, err := load()
	if err != nil {
		return nil, err
	}
	incidents, groups := log.slice(cfg.Limit)
	c := client{
		usherv1.NewDecisionServiceClient(conn), usherv1.NewOutcomeServiceClient(conn),
		usherv1.NewPolicyServiceClient(conn), usherv1.NewControlServiceClient(conn),
	}
	if err := setUp(ctx, c, cfg.Account); err != nil {
		return nil, fmt.Errorf("set up account %q: %w", cfg.Account, err)
	}
	r := newReplay(cfg, c, incidents, groups, out)
	if err := r.run(ctx); err != nil {
		return nil, err
	}
	report := r.report()
	if rows != nil {
		if err := settle(ctx, cfg, rows, report); err != nil {
			return nil, err
		}
	}
	return report, nil
}

// settle waits until every row sent is stored, or the wait is over: then the
// report shows the difference.
func settle(ctx context.Context, cfg Config, rows Warehouse, report *Report) error {
	deadline := time.Now().Add(cfg.SettleWait)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		decisions, outcomes, err := rows.Counts(ctx, cfg.Account)
		if err != nil {
			return fmt.Errorf("count stored rows of account %q: %w", cfg.Account, err)
		}
		report.Rows.Decisions.Stored, report.Rows.Outcomes.Stored = decisions, outcomes
		if report.Rows.complete() || time.Now().After(deadline) {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
