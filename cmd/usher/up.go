package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/usherhq/usher/cmd/usher/app"
	"github.com/usherhq/usher/cmd/usher/config"
	"github.com/usherhq/usher/internal/telemetry"
)

// roleCommand is a command that runs a role until it is told to stop.
type roleCommand struct {
	role     app.Role
	short    string
	long     string
	example  string
	sections []string // of the configuration, as flags; none means all
}

func roleCommands() []roleCommand {
	shared := []string{"data_dir", "admin.", "kafka.brokers", "clickhouse.dsn", "log.", "stop_after"}
	return []roleCommand{
		{
			role: app.Up, short: "Run everything in one process tree",
			long: `Starts the log, the warehouse, the trainer and the API, and keeps serving until
Ctrl-C. Nothing else has to be installed. All state is in the data folder; a
second start goes on where the first one stopped. Ctrl-C drains and loses
nothing; a second Ctrl-C ends at once.`,
			example: `  usher up
  usher up --data-dir /var/lib/usher --http-addr 0.0.0.0:8080
  usher up --kafka-brokers kafka:9092 --clickhouse-dsn clickhouse://usher:secret@db:9000/usher
  usher up --http-addr 127.0.0.1:0 --ready-json        for programs that start it`,
		},
		{
			role: app.Ingest, short: "Run the pipeline alone: events from Kafka into ClickHouse",
			long:     "Reads the event topics of a real Kafka and stores them in a real ClickHouse, once\neach, whatever crashes. Start as many as there are partitions.",
			example:  "  usher ingest --kafka-brokers kafka:9092 --clickhouse-dsn clickhouse://usher:secret@db:9000/usher",
			sections: shared,
		},
		{
			role: app.Train, short: "Run the trainer alone: rows from ClickHouse into models",
			long:     "Refits the models of all accounts when new rewards have arrived, stores artifact and\ncard in ClickHouse, and promotes what passes the gate through the config log.",
			example:  "  usher train --kafka-brokers kafka:9092 --clickhouse-dsn clickhouse://usher:secret@db:9000/usher",
			sections: shared,
		},
		{
			role: app.Decide, short: "Run the API alone: decisions over gRPC and REST",
			long:     "Answers bots. It follows the config log, fetches models from ClickHouse into a cache,\nand records decisions in a spool on disk first, so that it keeps answering, and loses\nnothing, while Kafka or ClickHouse is away. Start as many as there is load.",
			example:  "  usher decide --kafka-brokers kafka:9092 --clickhouse-dsn clickhouse://usher:secret@db:9000/usher",
			sections: append([]string{"http.", "grpc."}, shared...),
		},
	}
}

func newRoleCommand(w *world, r roleCommand) *cobra.Command {
	var s settings
	readyJSON := false
	c := &cobra.Command{Use: string(r.role), Short: r.short, Long: r.long, Example: r.example, Args: cobra.NoArgs}
	s.bind(c, r.sections...)
	c.Flags().BoolVar(&readyJSON, "ready-json", false, "print one JSON line with the addresses on standard output when ready")
	c.RunE = s.configured(w, func(c *cobra.Command, _ []string, cfg *config.Config) error {
		return w.serve(c.Context(), r.role, cfg, readyJSON)
	})
	return c
}

// serve runs the role until ctx ends or a part of it fails.
func (w *world) serve(ctx context.Context, role app.Role, cfg *config.Config, readyJSON bool) error {
	log, err := w.logger(cfg)
	if err != nil {
		return err
	}
	instance, err := app.Start(ctx, cfg, role, app.Options{Log: log, Version: w.version})
	if err != nil {
		return unlessStopped(ctx, err)
	}
	report := printReady
	if readyJSON {
		report = printReadyJSON
	}
	if err := report(w.out, role, instance); err != nil {
		return errors.Join(err, instance.Stop())
	}
	return instance.Wait()
}

// unlessStopped forgives a start that was stopped: that is no failure.
func unlessStopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // told to stop
	}
	return err
}

func (w *world) logger(cfg *config.Config) (*slog.Logger, error) {
	return telemetry.Logger(w.err, telemetry.Config{Level: cfg.Log.Level, Format: cfg.Log.Format})
}

// readyLine is what programs read. Absent addresses are not listened on.
type readyLine struct {
	Ready bool `json:"ready"`
	app.Addresses
	AdminToken string `json:"admin_token,omitempty"`
}

func printReadyJSON(out io.Writer, _ app.Role, i *app.Instance) error {
	line, err := json.Marshal(readyLine{Ready: true, Addresses: i.Addresses(), AdminToken: i.AdminToken()})
	if err != nil {
		return fmt.Errorf("write the ready line: %w", err)
	}
	if _, err := out.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("write the ready line: %w", err)
	}
	return nil
}

// printReady tells people where everything is and what to do next.
func printReady(out io.Writer, role app.Role, i *app.Instance) error {
	a := i.Addresses()
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(t, "\nusher %s is ready\n\n", role) // an error stays with t until Flush
	for _, line := range []struct{ name, scheme, addr, rest string }{
		{"Status page", "http://", a.HTTP, "/"},
		{"REST API", "http://", a.HTTP, "/v1"},
		{"OpenAPI", "http://", a.HTTP, "/openapi.json"},
		{"gRPC API", "", a.GRPC, ""},
		{"Kafka", "", a.Kafka, ""},
		{"ClickHouse", "", a.ClickHouse, ""},
		{"ClickHouse SQL", "http://", a.ClickHouseHTTP, "/play"},
		{"Metrics, health", "http://", a.Admin, "/metrics"},
	} {
		if line.addr != "" {
			_, _ = fmt.Fprintf(t, "  %s\t%s%s%s\n", line.name, line.scheme, line.addr, line.rest)
		}
	}
	if token := i.AdminToken(); token != "" {
		_, _ = fmt.Fprintf(t, "\n  Admin token (shown this once, only its hash is kept):\n\n    %s\n", token)
		_, _ = fmt.Fprintf(t, "\nAsk for a first decision:\n\n  export USHER_TOKEN=%s\n%s", token, nextStep(a.HTTP))
	} else if a.HTTP != "" {
		_, _ = fmt.Fprint(t, "\nThe admin token was shown at the first start; \"usher token create\" makes another.\n")
	}
	_, _ = fmt.Fprintln(t, "\nCtrl-C drains and stops.")
	return t.Flush()
}

func nextStep(addr string) string {
	return `  curl -s http://` + addr + `/v1/accounts/default/nextActions -H "Authorization: Bearer $USHER_TOKEN" \
    -d '{"conversation_id": "c-1", "intent": "billing", "candidates": [{"target": "sales"}, {"target": "billing"}]}'
`
}
