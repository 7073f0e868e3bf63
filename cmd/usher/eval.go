package main

import "github.com/spf13/cobra"

// newEvalCommand gathers the evaluations of users' own files. None of them needs
// a running Usher.
func newEvalCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "eval",
		Short: "Evaluate learning and policies on your own data",
		Example: "  usher eval bandit --data log.csv.gz --label right_skill --seed 1\n" +
			"  usher eval ope --log decisions.csv.gz --action skill --reward resolved --propensity p --target policy.csv",
		Long: "Evaluate on files of your own, without a running Usher. Every answer is one JSON object on standard output;\n" +
			"exit code 2 says that the input is wrong, with file, line and column.",
	}
	cmd.AddCommand(newEvalBanditCommand(), newEvalOPECommand(), newEvalConversionCommand())
	return cmd
}
