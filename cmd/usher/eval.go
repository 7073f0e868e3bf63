package main

import "github.com/spf13/cobra"

// newEvalCommand gathers the evaluations: of users' own files, which need no running
// Usher, and of what a running one logged.
func newEvalCommand(w *world) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "eval",
		Short: "Evaluate learning and policies on your own data",
		Example: "  usher eval bandit --data log.csv.gz --label right_skill --seed 1\n" +
			"  usher eval ope --log decisions.csv.gz --action skill --reward resolved --propensity p --target policy.csv\n" +
			"  usher eval value --target policy --since 30d",
		Long: "Evaluate on files of your own, without a running Usher: every answer is one JSON object on standard output, and\n" +
			"exit code 2 says that the input is wrong, with file, line and column. Only value asks a running one.",
	}
	cmd.AddCommand(newEvalBanditCommand(), newEvalOPECommand(), newEvalConversionCommand(), newEvalValueCommand(w))
	return cmd
}
