package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/model/evaluate"
)

// newEvalConversionCommand is `usher eval conversion`: how good the estimators are
// where the truth is known.
func newEvalConversionCommand() *cobra.Command {
	cfg := evaluate.ConversionConfig{}
	cmd := &cobra.Command{
		Use:   "conversion --data FILE --label COL --policies FILE",
		Short: "Measure the off-policy estimators where the truth is known",
		Long: "Play a labelled table as a log of decisions whose truth is known, and compare every estimator and interval with\n" +
			"it. The policies file says, per seed, which rows are played, what the behaviour's and the target's classifier\n" +
			"answer there, and which action was drawn.",
		Example: "  usher eval conversion --data digits.csv.gz --label label --policies digits_policies.csv.gz --logs 300",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var check fault.Check
			for _, f := range []struct{ flag, value string }{{"data", cfg.Table}, {"label", cfg.Label}, {"policies", cfg.Policies}} {
				if f.value == "" {
					check.Add(f.flag, "must be given")
				}
			}
			if err := check.Err("cannot evaluate"); err != nil {
				return err
			}
			res, err := evaluate.RunConversion(cfg)
			if err != nil {
				return err
			}
			if err := json.NewEncoder(cmd.OutOrStdout()).Encode(res); err != nil {
				return fmt.Errorf("write result: %w", err)
			}
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&cfg.Table, "data", "", "labelled table")
	flags.StringVar(&cfg.Label, "label", "", "column with the right answer")
	flags.StringVar(&cfg.Policies, "policies", "", "table with seed, row, behaviour, target and action")
	flags.IntVar(&cfg.Logs, "logs", 0, "fresh logs to measure the coverage of intervals on")
	flags.IntVar(&cfg.Seeds, "seeds", 0, "use only so many seeds (default: all)")
	return cmd
}
