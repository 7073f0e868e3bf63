package main

import (
	"bufio"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/usherhq/usher/model/evaluate"
)

// estimators in the order of the table.
var estimators = [...]string{evaluate.DM, evaluate.IPS, evaluate.SNIPS, evaluate.DR, evaluate.SNDR, evaluate.SwitchDR, evaluate.DROS}

// direction is one log of the Open Bandit data that another policy is valued from.
type direction struct {
	campaign, log, policy string
	items                 int
	truth                 float64
	obp                   [len(estimators)]string // relative errors that OBP 0.5 got
}

func directions() []direction {
	return []direction{
		{"women", "random", "bts", 46, 0.0046, [...]string{"0.169", "0.579", "0.584", "0.611", "0.613", "0.509", "0.213"}},
		{"women", "bts", "random", 46, 0.0046, [...]string{"0.092", "0.640", "0.585", "3.77", "0.974", "0.138", "0.110"}},
		{"men", "random", "bts", 34, 0.0069, [...]string{"0.384", "0.331", "0.322", "0.333", "0.332", "0.299", "0.355"}},
		{"men", "bts", "random", 34, 0.0046, [...]string{"0.414", "0.439", "0.403", "0.357", "0.408", "0.189", "0.189"}},
	}
}

// directionResult is the whole log's answer and the mean relative error of resampled logs.
type directionResult struct {
	direction
	Whole    evaluate.OPEResult
	Errors   map[string]float64
	Withheld map[string]int
}

const resamples = 20

// runDirection values the other policy from the log and from resampled logs.
func runDirection(root string, d direction) (directionResult, error) {
	out := directionResult{direction: d, Errors: map[string]float64{}, Withheld: map[string]int{}}
	dir, err := os.MkdirTemp("", "learneval")
	if err != nil {
		return out, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	cfg := evaluate.OPEConfig{
		Log:    inRoot(root, filepath.Join(openBanditFolder, d.campaign+"_"+d.log+".csv.gz")),
		Action: "item_id", Reward: "click", Propensity: "propensity", Confidence: 0.95,
		Target: inRoot(root, filepath.Join(openBanditFolder, d.campaign+"_bts_policy.csv")),
	}
	if d.policy == "random" {
		cfg.Target = filepath.Join(dir, "target.csv")
		if err := writeEven(cfg.Target, d.items); err != nil {
			return out, err
		}
	}
	if out.Whole, err = evaluate.RunOPE(cfg); err != nil {
		return out, err
	}
	lines, err := readLines(cfg.Log)
	if err != nil {
		return out, err
	}
	again := cfg
	again.Log = filepath.Join(dir, "log.csv")
	for i := range resamples {
		if err := writeResample(again.Log, lines, uint64(i)); err != nil {
			return out, err
		}
		res, err := evaluate.RunOPE(again)
		if err != nil {
			return out, err
		}
		for name, e := range res.Estimates {
			if e.Withheld {
				out.Withheld[name]++
				continue
			}
			out.Errors[name] += math.Abs(e.Value-d.truth) / d.truth
		}
	}
	for name := range out.Errors {
		out.Errors[name] /= float64(resamples - out.Withheld[name])
	}
	return out, nil
}

func writeEven(path string, items int) error {
	text := "item_id,prob\n"
	var lines strings.Builder
	for i := range items {
		fmt.Fprintf(&lines, "%d,%.17g\n", i, 1/float64(items))
	}
	text += lines.String()
	return os.WriteFile(path, []byte(text), 0o600)
}

func readLines(path string) (lines []string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	zr, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	s := bufio.NewScanner(zr)
	for s.Scan() {
		lines = append(lines, s.Text())
	}
	return lines, s.Err()
}

// writeResample writes as many rows drawn with replacement.
func writeResample(path string, lines []string, seed uint64) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriter(f)
	r := rand.New(rand.NewPCG(seed, 20)) //nolint:gosec // repeatable draws, not secrets
	_, _ = fmt.Fprintln(w, lines[0])     // an error stays with w until Flush
	for range lines[1:] {
		_, _ = fmt.Fprintln(w, lines[1+r.IntN(len(lines)-1)])
	}
	return w.Flush()
}

// conversion is a log whose truth is known exactly.
type conversion struct {
	name, policies string
	logs           int
}

func conversions(logs int) []conversion {
	return []conversion{
		{"digits", filepath.Join(conversionsFolder, "digits_policies.csv.gz"), logs},
		{"satellite", filepath.Join(peersFolder, "satellite_policies.csv.gz"), logs / 3},
		{"letter", filepath.Join(peersFolder, "letter_policies.csv.gz"), logs / 15},
	}
}

type conversionResult struct {
	conversion
	evaluate.ConversionResult
	OBP      map[string]float64 // relative errors on the same logs
	Learners map[string]float64 // values that others' learners got from the same logs
}

func runConversion(root string, c conversion, seeds int) (conversionResult, error) {
	res, err := evaluate.RunConversion(evaluate.ConversionConfig{
		Table: inRoot(root, filepath.Join(tablesFolder, c.name+".csv.gz")), Label: "label",
		Policies: inRoot(root, c.policies), Logs: c.logs, Seeds: seeds,
	})
	if err != nil {
		return conversionResult{}, fmt.Errorf("conversion of %s: %w", c.name, err)
	}
	out := conversionResult{conversion: c, ConversionResult: res, OBP: map[string]float64{}}
	obp, err := means(inRoot(root, filepath.Join(peersFolder, c.name+"_obp.csv")), func(row map[string]float64, name string) float64 {
		return math.Abs(row[name]-row["truth"]) / row["truth"]
	})
	if err != nil {
		return out, err
	}
	out.OBP = obp
	out.Learners, err = means(inRoot(root, filepath.Join(learnersFolder, c.name+"_learners.csv")), func(row map[string]float64, name string) float64 { return row[name] })
	if errors.Is(err, os.ErrNotExist) {
		err = nil // nobody has run them
	}
	return out, err
}

// means reads a table of numbers and returns the mean of each column as seen by of.
func means(path string, of func(row map[string]float64, name string) float64) (map[string]float64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	out := map[string]float64{}
	for _, cells := range rows[1:] {
		row := map[string]float64{}
		for i, name := range rows[0] {
			if row[name], err = strconv.ParseFloat(cells[i], 64); err != nil {
				return nil, fmt.Errorf("read %s: %w", path, err)
			}
		}
		for name := range row {
			out[name] += of(row, name) / float64(len(rows)-1)
		}
	}
	return out, nil
}
