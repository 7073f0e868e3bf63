package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/usherhq/usher/analytics/clickhouse"
	"github.com/usherhq/usher/cmd/usher/app"
	"github.com/usherhq/usher/cmd/usher/config"
	"github.com/usherhq/usher/cmd/usher/demo"
)

// demoSettings are the flags of usher demo beside the configuration's own.
type demoSettings struct {
	settings
	replay        demo.Config
	report        string
	once          bool
	target, token string
}

func newDemoCommand(w *world) *cobra.Command {
	c := &cobra.Command{Use: "demo", Short: "See it learn on real data", Example: "  usher demo incidents --report report.json --once"}
	c.AddCommand(newDemoIncidentsCommand(w))
	return c
}

func newDemoIncidentsCommand(w *world) *cobra.Command {
	s := demoSettings{replay: demo.DefaultConfig()}
	c := &cobra.Command{
		Use:   "incidents",
		Short: "Replay a service desk's log: who assigns better, people, policy, the model or Usher?",
		Long: `Starts everything like "usher up" (or uses a running service, see --target), opens
a fresh account and replays 20,396 real incidents through the public API. The
model watches first and then decides; outcomes arrive in the order of real time.
At the end it prints who was right how often, and keeps serving until Ctrl-C.`,
		Example: `  usher demo incidents
  usher demo incidents --once --report report.json
  usher demo incidents --target 127.0.0.1:9090 --token "$TOKEN" --data-dir data`,
		Args: cobra.NoArgs,
	}
	f := c.Flags()
	f.StringVar(&s.report, "report", "", "write the report as JSON to this file")
	f.BoolVar(&s.once, "once", false, "exit when the report is made")
	f.Float64Var(&s.replay.Rate, "rate", s.replay.Rate, "decisions per second at the most")
	f.IntVar(&s.replay.Limit, "limit", 0, "replay only the first so many incidents; 0 means all")
	f.Float64Var(&s.replay.ShadowShare, "shadow-share", s.replay.ShadowShare, "share of the log during which people's choice stays in force at the least")
	f.StringVar(&s.target, "target", "", "gRPC address of a running service to use instead of starting one")
	f.StringVar(&s.token, "token", "", "its admin token")
	s.bind(c)
	c.RunE = s.configured(w, func(c *cobra.Command, _ []string, cfg *config.Config) error {
		if cfg.Log.Level == config.Default().Log.Level {
			cfg.Log.Level = "warn" // progress is what people came for
		}
		s.replay.Account = "incidents-" + time.Now().UTC().Format("20060102-150405")
		if err := s.replay.Validate(); err != nil {
			return &usageError{err}
		}
		if s.target != "" {
			return w.demoOn(c.Context(), &s, cfg)
		}
		return w.demoHere(c.Context(), &s, cfg)
	})
	return c
}

// demoOn replays against a running service.
func (w *world) demoOn(ctx context.Context, s *demoSettings, cfg *config.Config) error {
	if s.token == "" {
		return &usageError{errors.New("--target needs --token, an admin token of that service")}
	}
	return w.replay(ctx, s, cfg, s.target, s.token)
}

// demoHere starts everything, replays, and keeps serving.
func (w *world) demoHere(ctx context.Context, s *demoSettings, cfg *config.Config) error {
	log, err := w.logger(cfg)
	if err != nil {
		return err
	}
	instance, err := app.Start(ctx, cfg, app.Up, app.Options{Log: log, Version: w.version})
	if err != nil {
		if ctx.Err() != nil {
			return nil //nolint:nilerr // stopped while starting: that is no failure
		}
		return err
	}
	token, err := instance.IssueToken(ctx, "incident demo", time.Hour)
	if err == nil {
		err = w.replay(ctx, s, cfg, instance.Addresses().GRPC, token)
	}
	switch {
	case ctx.Err() != nil:
		return instance.Wait() // told to stop, which it does
	case err != nil:
		return errors.Join(err, instance.Stop())
	case s.once:
		return instance.Stop()
	}
	if err := printReady(w.out, app.Up, instance); err != nil {
		return errors.Join(err, instance.Stop())
	}
	return instance.Wait()
}

// replay plays the log against the service at addr and tells how it went.
func (w *world) replay(ctx context.Context, s *demoSettings, cfg *config.Config, addr, token string) (err error) {
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithPerRPCCredentials(bearer(token)))
	if err != nil {
		return fmt.Errorf("connect to %s: %w", addr, err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	store, err := app.OpenStore(ctx, cfg)
	if err != nil {
		return fmt.Errorf("reach the warehouse to count its rows: %w", err)
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	_, _ = fmt.Fprintf(w.err, "replaying the incident log into account %s\n", s.replay.Account) // decoration
	report, err := demo.Run(ctx, s.replay, conn, rowCounts{store}, w.err)
	if err != nil {
		return err
	}
	if err := report.Print(w.out); err != nil {
		return fmt.Errorf("print the report: %w", err)
	}
	if s.report == "" {
		return nil
	}
	text, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the report: %w", err)
	}
	return os.WriteFile(s.report, append(text, '\n'), 0o600)
}

// rowCounts is the demo's view of the warehouse.
type rowCounts struct{ db *clickhouse.DB }

// Counts returns how many rows are stored for the account.
func (r rowCounts) Counts(ctx context.Context, account string) (decisions, outcomes int64, err error) {
	c, err := r.db.Counts(ctx, account)
	return int64(c.Decisions), int64(c.Outcomes), err
}

// bearer carries a token in every call.
type bearer string

// GetRequestMetadata returns the authorization header.
func (b bearer) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(b)}, nil
}

// RequireTransportSecurity allows plain text: the service listens on loopback.
func (b bearer) RequireTransportSecurity() bool { return false }
