package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/usherhq/usher/model/evaluate"
)

// newEvalOPECommand is `usher eval ope`: what a policy would have been worth, from
// decisions that another one made and logged with their propensities.
func newEvalOPECommand() *cobra.Command {
	cfg := evaluate.OPEConfig{}
	var lowest, highest float64
	cmd := &cobra.Command{
		Use:   "ope --log FILE.csv[.gz] --action COL --reward COL --propensity COL --target POLICY.csv",
		Short: "Estimate the value of a policy from logged decisions",
		Long: "Estimate what a target policy would have been worth, from a log of decisions that another policy made.\n\n" +
			"The target file lists, for each context, every action with its probability: the context columns (those that\n" +
			"both files have), the action column and a column named prob. A reward model is fitted to the log by cross-fitting,\n" +
			"on every column known before the action (--features names them), or taken from --predictions.\n\n" +
			"The answer is one JSON object: estimates by ips, snips, dm, dr, sndr, switch_dr and dros, of which \"default\" is the\n" +
			"one to trust. Where \"trusted\" is false the log cannot tell: values are null, and warnings say why.",
		Example: "  usher eval ope --log log.csv.gz --action item_id --reward click --propensity propensity --target policy.csv\n" +
			"  usher eval ope --log log.csv.gz --action item_id --reward click --propensity propensity --target policy.csv --action-features items.csv",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("reward-min") {
				cfg.RewardMin = &lowest
			}
			if cmd.Flags().Changed("reward-max") {
				cfg.RewardMax = &highest
			}
			return runEvalOPE(cfg, cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&cfg.Log, "log", "", "logged decisions, .csv or .tsv, gzip or not")
	flags.StringVar(&cfg.Target, "target", "", "policy to value: context columns, the action column and prob")
	flags.StringVar(&cfg.Action, "action", "", "column of the action, in both files")
	flags.StringVar(&cfg.Reward, "reward", "", "column of the reward")
	flags.Float64Var(&lowest, "reward-min", 0, "lowest reward there can be (default: 0, or the log's lowest where it is less)")
	flags.Float64Var(&highest, "reward-max", 1, "highest reward there can be (default: 1 where all rewards lie in 0 to 1, else the log's highest)")
	flags.StringVar(&cfg.Propensity, "propensity", "", "column of the probability with which the logged action was drawn")
	flags.StringSliceVar(&cfg.Features, "features", nil, "log columns that the reward model learns from, all known before the action (default: every other column but times and ids)")
	flags.StringVar(&cfg.ActionFeatures, "action-features", "", "what describes the actions: the action column and columns of features")
	flags.StringVar(&cfg.Predictions, "predictions", "", "rewards to use instead of a fitted model: log columns, the action column and predicted")
	flags.Float64Var(&cfg.Confidence, "confidence", 0.95, "confidence of the intervals")
	return cmd
}

func runEvalOPE(cfg evaluate.OPEConfig, out io.Writer) error {
	res, err := evaluate.RunOPE(cfg)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(out)
	enc.SetEscapeHTML(false) // warnings are for people
	if err := enc.Encode(res); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}
