package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/usherhq/usher/cmd/usher/demo"
	"github.com/usherhq/usher/internal/fault"
	"github.com/usherhq/usher/model/congestion"
)

// simulateFlags are the flags of usher simulate as typed.
type simulateFlags struct {
	log, svg  string
	json, csv bool
	staffing  string
	signals   []string
	world     congestion.CalibrateConfig
	draw      congestion.FrontierConfig
}

func newSimulateCommand(w *world) *cobra.Command {
	f := simulateFlags{world: congestion.DefaultCalibrateConfig(), draw: congestion.DefaultFrontierConfig()}
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Simulate what a price on waiting buys, before you set one",
		Long: "Runs a simulated contact centre under several routing rules and prints how much waiting and how much\n" +
			"resolution each gives. The centre is calibrated on a log of 20,396 real incidents: skills, agents and the\n" +
			"learner's scores come from its first half, arrivals and what happens from its second, which no rule sees.\n" +
			"Everything it prints is simulated, not observed, and says so.\n\n" +
			"Equal flags print equal numbers. The price found goes into wait_price of an objective.",
		Example: "  usher simulate\n" +
			"  usher simulate --prices 0.01,0.02,0.05 --signals expected --runs 30\n" +
			"  usher simulate --svg frontier.svg --csv > frontier.csv",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return runSimulate(w.out, f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.log, "log", "", "routing log to calibrate on, .csv or .csv.gz (default: the incident log of usher demo)")
	flags.Float64SliceVar(&f.draw.Prices, "prices", f.draw.Prices, "prices to try, in reward per minute; a resolved conversation earns 1")
	flags.StringSliceVar(&f.signals, "signals", []string{"reported", "expected"}, "what the expected wait is read off: reported (the last hour's mean) or expected (the queue)")
	flags.StringVar(&f.staffing, "staffing", string(f.world.Staffing), "whose demand agents are hired for: people (how people routed) or scores (score-only routing)")
	flags.DurationVar(&f.world.Handle, "handle", f.world.Handle, "mean time an agent works on a conversation")
	flags.Float64Var(&f.world.Volume, "volume", f.world.Volume, "arrivals, as a multiple of those of the log")
	flags.Float64Var(&f.world.Occupancy, "occupancy", f.world.Occupancy, "share of their time that agents are hired to work")
	flags.IntVar(&f.draw.Runs, "runs", f.draw.Runs, "runs per rule, each with a seed of its own")
	flags.IntVar(&f.draw.Run.Days, "days", f.draw.Run.Days, "working days per run")
	flags.IntVar(&f.draw.Run.Attempts, "attempts", f.draw.Run.Attempts, "groups a conversation is given to at most")
	flags.Uint64Var(&f.draw.Run.Seed, "seed", f.draw.Run.Seed, "seed of the first run")
	flags.BoolVar(&f.json, "json", false, "print one JSON object")
	flags.BoolVar(&f.csv, "csv", false, "print CSV, one row a rule")
	flags.StringVar(&f.svg, "svg", "", "also draw the frontier into this file")
	cmd.MarkFlagsMutuallyExclusive("json", "csv")
	return cmd
}

func runSimulate(out io.Writer, f simulateFlags) error {
	f.world.Staffing = congestion.Staffing(f.staffing)
	f.draw.Signals = nil
	for _, s := range f.signals {
		f.draw.Signals = append(f.draw.Signals, congestion.Signal(s))
	}
	var check fault.Check
	for _, err := range []error{f.world.Validate(), f.draw.Validate()} {
		if err != nil {
			check.Add("", "%s", strings.ReplaceAll(err.Error(), "\n", "; "))
		}
	}
	if err := check.Err("cannot simulate"); err != nil {
		return err
	}
	log, err := routingLog(f.log)
	if err != nil {
		return err
	}
	made, err := congestion.Calibrate(log, f.world)
	if err != nil {
		return err
	}
	frontier, err := congestion.Draw(made, f.draw)
	if err != nil {
		return err
	}
	frontier.Note = fmt.Sprintf("Staffed for the routing of %s at %.0f %% occupancy; %s handle time.",
		f.world.Staffing, 100*f.world.Occupancy, strings.TrimSuffix(f.world.Handle.Round(time.Second).String(), "0s"))
	if f.svg != "" {
		if err := drawInto(f.svg, frontier); err != nil {
			return err
		}
	}
	switch {
	case f.json:
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		return e.Encode(frontier)
	case f.csv:
		return frontier.CSV(out)
	default:
		return frontier.Text(out)
	}
}

// routingLog reads the log that was named, else the one that the demo replays.
func routingLog(path string) ([]congestion.Incident, error) {
	if path == "" {
		return congestion.ReadLog(demo.IncidentLog())
	}
	in, err := os.Open(path)
	if err != nil {
		return nil, fault.New(fault.Invalid, "FILE_UNREADABLE", "cannot open the routing log: %v", err)
	}
	defer func() { _ = in.Close() }() // read only: nothing can be lost
	return congestion.ReadLog(in)
}

func drawInto(path string, frontier *congestion.Frontier) error {
	var figure bytes.Buffer
	if err := frontier.SVG(&figure); err != nil {
		return err
	}
	if err := os.WriteFile(path, figure.Bytes(), 0o644); err != nil { //nolint:gosec // a figure is for everybody
		return fmt.Errorf("draw the figure: %w", err)
	}
	return nil
}
