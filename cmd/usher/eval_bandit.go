package main

import (
	"encoding/json"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/model/evaluate"
)

// banditFlags are the flags of usher eval bandit as typed.
type banditFlags struct {
	data, label, text, time string
	seed                    uint64
	override                float64
	where, cross, features  []string
}

// banditReport is what usher eval bandit prints.
type banditReport struct {
	evaluate.BanditResult
	PeakRSSBytes int64 `json:"peak_rss_bytes"`
}

func newEvalBanditCommand() *cobra.Command {
	var f banditFlags
	cmd := &cobra.Command{
		Use:   "bandit --data FILE --label COLUMN",
		Short: "Play a table with known answers as a bandit and print the error",
		Long: "Each row is decided before it is learned from, and only the reward of the arm that was played\n" +
			"(1 right, 0 wrong) is learned. One configuration serves every table. Prints one JSON object.",
		Example: "  usher eval bandit --data letter.csv.gz --label label --seed 1\n" +
			"  usher eval bandit --data requests.tsv --label intent --text text --features text --where 'intent!=oos'\n" +
			"  usher eval bandit --data incidents.csv.gz --label final_group --time opened_at --cross category:subcategory",
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			report, err := runBandit(f)
			if err != nil {
				return err
			}
			return json.NewEncoder(cmd.OutOrStdout()).Encode(report)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.data, "data", "", "table to play: .csv or .tsv, gzip allowed")
	flags.StringVar(&f.label, "label", "", "column with the right answer")
	flags.Uint64Var(&f.seed, "seed", 1, "seed of the row order and the draws")
	flags.StringVar(&f.text, "text", "", "column to split into words")
	flags.StringArrayVar(&f.where, "where", nil, "keep only rows with column=value or column!=value (repeatable)")
	flags.StringSliceVar(&f.features, "features", nil, "columns to use (default: all but the label and the time)")
	flags.StringArrayVar(&f.cross, "cross", nil, "a:b makes the combinations of two columns features (repeatable)")
	flags.Float64Var(&f.override, "override", 0, "share of decisions that something downstream overrides, logged as such")
	flags.StringVar(&f.time, "time", "", "order rows by this column and make the hour a feature")
	return cmd
}

func runBandit(f banditFlags) (banditReport, error) {
	cfg, err := f.config()
	if err != nil {
		return banditReport{}, err
	}
	table, err := evaluate.ReadTable(f.data)
	if err != nil {
		return banditReport{}, err
	}
	result, err := evaluate.RunBandit(table, cfg, time.Now)
	if err != nil {
		return banditReport{}, err
	}
	return banditReport{BanditResult: result, PeakRSSBytes: peakRSS()}, nil
}

// config checks the flags and reports all their faults at once.
func (f banditFlags) config() (evaluate.BanditConfig, error) {
	var check fault.Check
	if f.data == "" {
		check.Add("data", "name the table to play")
	}
	if f.label == "" {
		check.Add("label", "name the column with the right answer")
	}
	cfg := evaluate.BanditConfig{Label: f.label, Text: f.text, Seed: f.seed, Features: f.features, Time: f.time, Override: f.override}
	if !(f.override >= 0 && f.override < 1) {
		check.Add("override", "%g must be at least 0 and below 1", f.override)
	}
	for _, s := range f.where {
		filter, err := evaluate.ParseFilter(s)
		if err != nil {
			check.Add("where", "%v", err)
		}
		cfg.Where = append(cfg.Where, filter)
	}
	for _, s := range f.cross {
		a, b, ok := strings.Cut(s, ":")
		if !ok || a == "" || b == "" {
			check.Add("cross", "%q must be column:column", s)
		}
		cfg.Cross = append(cfg.Cross, [2]string{a, b})
	}
	return cfg, check.Err("cannot evaluate")
}

// peakRSS returns the most memory the process has held, in bytes; 0 when the
// system does not say.
func peakRSS() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return usage.Maxrss * kibibyte
}

// kibibyte is the unit in which Linux reports the resident set.
const kibibyte = 1024
