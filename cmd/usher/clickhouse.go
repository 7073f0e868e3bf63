package main

import (
	"github.com/spf13/cobra"

	"github.com/usherhq/usher/analytics/clickhouse/embedded"
)

// newClickHouseCommand is the body of the engine's child process. Only usher
// itself starts it.
func newClickHouseCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "clickhouse",
		Short:              "Run the embedded ClickHouse engine (started by usher itself)",
		Hidden:             true,
		DisableFlagParsing: true,
		RunE:               func(_ *cobra.Command, args []string) error { return embedded.RunChild(args) },
	}
}
