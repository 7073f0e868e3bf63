package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/usherhq/usher/analytics/clickhouse"
	"github.com/usherhq/usher/cmd/usher/app"
	"github.com/usherhq/usher/cmd/usher/config"
)

// toolSections are the settings that a tool needs to find the engines.
func toolSections() []string { return []string{"data_dir", "kafka.brokers", "clickhouse.dsn"} }

func newMigrateCommand(w *world) *cobra.Command {
	parent := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the warehouse's schema up or down, or show where it stands",
		Long: `Every role brings the schema up when it starts. This command does it apart, takes
steps back, and shows what is applied. Taking a step back deletes its tables.`,
		Example: `  usher migrate status
  usher migrate up --clickhouse-dsn clickhouse://usher:secret@db:9000/usher
  usher migrate down --to 2`,
	}
	to := 0
	add := func(name, short string, do func(context.Context, *clickhouse.DB) error) *cobra.Command {
		var s settings
		c := &cobra.Command{Use: name, Short: short, Args: cobra.NoArgs, Example: "  usher migrate " + name}
		s.bind(c, toolSections()...)
		c.RunE = s.configured(w, func(c *cobra.Command, _ []string, cfg *config.Config) (err error) {
			db, err := app.OpenStore(c.Context(), cfg)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, db.Close()) }()
			if err := do(c.Context(), db); err != nil {
				return err
			}
			return w.migrationStatus(c.Context(), db)
		})
		parent.AddCommand(c)
		return c
	}
	up := add("up", "Apply the steps that are missing", func(ctx context.Context, db *clickhouse.DB) error { return db.Migrate(ctx, to) })
	up.Flags().IntVar(&to, "to", 0, "last step to apply; 0 means the newest")
	down := add("down", "Take steps back; their tables and rows are deleted", func(ctx context.Context, db *clickhouse.DB) error { return db.MigrateDown(ctx, to) })
	down.Flags().IntVar(&to, "to", 0, "last step to keep; 0 keeps none")
	down.Example += " --to 2"
	_ = down.MarkFlagRequired("to") // the flag is declared one line above
	add("status", "Show the steps and which are applied", func(context.Context, *clickhouse.DB) error { return nil })
	return parent
}

func (w *world) migrationStatus(ctx context.Context, db *clickhouse.DB) error {
	list, err := clickhouse.Migrations()
	if err != nil {
		return err
	}
	newest, err := db.Version(ctx)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(w.out, 0, 0, 2, ' ', 0)
	for _, m := range list {
		state := "applied"
		if m.Version > newest {
			state = "missing"
		}
		_, _ = fmt.Fprintf(t, "%04d\t%s\t%s\n", m.Version, m.Name, state) // an error stays with t until Flush
	}
	return t.Flush()
}
