package main

import (
	"github.com/spf13/cobra"

	"github.com/usherhq/usher/cmd/usher/app"
	"github.com/usherhq/usher/model/trainer/golearn"
)

// newChallengerCommand is the body of the child process in which golearn grows trees.
// Only usher itself starts it.
func newChallengerCommand() *cobra.Command {
	return &cobra.Command{
		Use:                app.ChallengerCommand,
		Short:              "Grow golearn's trees (started by usher itself)",
		Hidden:             true,
		DisableFlagParsing: true,
		RunE:               func(*cobra.Command, []string) error { return golearn.RunChild() },
	}
}
