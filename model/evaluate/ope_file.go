package evaluate

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/usherhq/usher/internal/fault"
)

// OPEConfig names the files and columns of an off-policy evaluation.
type OPEConfig struct {
	// Log is a .csv or .tsv file, gzip or not, with a row per logged decision.
	Log string
	// Target holds the policy to be valued: context columns, the action column
	// and "prob". Context columns are those that both files have.
	Target string
	// Action, Reward and Propensity are columns of Log; Action is one of Target.
	Action, Reward, Propensity string
	// Confidence of the intervals, such as 0.95.
	Confidence float64
}

// Column of a target file that holds the probability of the row's action.
const probColumn = "prob"

// Validate reports every missing or bad field.
func (c OPEConfig) Validate() error {
	var check fault.Check
	for _, f := range []struct{ flag, value string }{
		{"log", c.Log}, {"target", c.Target}, {"action", c.Action}, {"reward", c.Reward}, {"propensity", c.Propensity},
	} {
		if f.value == "" {
			check.Add(f.flag, "must be given")
		}
	}
	if !(c.Confidence > 0 && c.Confidence < 1) {
		check.Add("confidence", "is %g, must be between 0 and 1, such as 0.95", c.Confidence)
	}
	return check.Err("cannot evaluate")
}

// RunOPE values the target policy on the log. The log is read once, as a stream:
// memory grows with the contexts of the target, not with the rows. Faults of
// the files are fault.Invalid and name file, line, column and remedy, up to
// maxFaults of them.
func RunOPE(cfg OPEConfig) (OPEResult, error) {
	if err := cfg.Validate(); err != nil {
		return OPEResult{}, err
	}
	logColumns, err := readHeader(cfg.Log)
	if err != nil {
		return OPEResult{}, err
	}
	target, err := readTarget(cfg, logColumns)
	if err != nil {
		return OPEResult{}, err
	}
	e, support, err := readLog(cfg, target)
	if err != nil {
		return OPEResult{}, err
	}
	res := e.Result(cfg.Confidence)
	res.Warnings = append(res.Warnings, support.warnings()...)
	return res, nil
}

// readLog feeds every row of the log to an estimator and counts support.
func readLog(cfg OPEConfig, target *targetPolicy) (*OPE, *support, error) {
	var e OPE
	sup := newSupport(target)
	faults := faultList{path: cfg.Log}
	var at []int // action, reward, propensity, then the context columns
	err := scanData(cfg.Log, func(columns []string) (err error) {
		at, err = locate(cfg.Log, columns, append([]string{cfg.Action, cfg.Reward, cfg.Propensity}, target.context...))
		return err
	}, func(line int, cells []string) {
		o := Observation{
			Reward: faults.number(line, cfg.Reward, cells[at[1]]),
			Logged: faults.propensity(line, cfg.Propensity, cells[at[2]]),
		}
		key := contextKey(cells, at[3:])
		probs, known := target.probs[key]
		if !known {
			faults.add(line, strings.Join(target.context, "+"), "the target %q has no rows for %s; add the probabilities of its actions there",
				cfg.Target, target.spellContext(key))
			return
		}
		o.Target = probs[cells[at[0]]]
		sup.count(key, cells[at[0]])
		e.Add(o)
	})
	if err != nil {
		return nil, nil, err
	}
	if err := faults.err(); err != nil {
		return nil, nil, err
	}
	if e.ips.n == 0 {
		return nil, nil, fault.New(fault.Invalid, "NO_ROWS", "%q has no rows; a value needs logged decisions", cfg.Log)
	}
	return &e, sup, nil
}

// readHeader returns the column names of a data file.
func readHeader(path string) ([]string, error) {
	var columns []string
	stop := errors.New("header read")
	err := scanData(path, func(c []string) error { columns = slices.Clone(c); return stop }, nil)
	if errors.Is(err, stop) {
		return columns, nil
	}
	return nil, err
}

// scanData reads a data file row by row; lines count from 1, the header's. The
// cells are reused: row must copy what it keeps.
func scanData(path string, header func([]string) error, row func(line int, cells []string)) error {
	in, done, err := openData(path)
	if err != nil {
		return err
	}
	defer done()
	r := csv.NewReader(in)
	r.LazyQuotes, r.ReuseRecord = true, true
	if isTabbed(path) {
		r.Comma = '\t'
	}
	for first := true; ; first = false {
		cells, err := r.Read()
		switch {
		case errors.Is(err, io.EOF) && first:
			return fault.New(fault.Invalid, "FILE_MALFORMED", "%q is empty; its first line must name the columns", path)
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fault.New(fault.Invalid, "FILE_MALFORMED", "cannot read %q: %v; every line must have as many cells as the header", path, err)
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if first {
			cells[0] = strings.TrimPrefix(cells[0], "\ufeff")
			if err := header(cells); err != nil {
				return err
			}
			continue
		}
		line, _ := r.FieldPos(0)
		row(line, cells)
	}
}

// locate finds the named columns, or reports all that are missing.
func locate(path string, columns, names []string) ([]int, error) {
	var check fault.Check
	at := make([]int, len(names))
	for i, name := range names {
		if at[i] = slices.Index(columns, name); at[i] < 0 {
			check.Add(name, "%q has no such column; it has: %s", path, strings.Join(columns, ", "))
		}
	}
	return at, check.Err("cannot evaluate")
}

// contextKey joins the context cells of a row into a map key.
func contextKey(cells []string, at []int) string {
	if len(at) == 1 {
		return cells[at[0]]
	}
	parts := make([]string, len(at))
	for i, a := range at {
		parts[i] = cells[a]
	}
	return strings.Join(parts, keySeparator)
}

const keySeparator = "\x1f"

// maxFaults bounds how many faults of one file are listed.
const maxFaults = 20

// faultList gathers the faults of one file.
type faultList struct {
	path  string
	check fault.Check
	n     int
}

func (l *faultList) add(line int, column, format string, args ...any) {
	if l.n++; l.n <= maxFaults {
		l.check.Add(fmt.Sprintf("%s:%d: column %s", l.path, line, column), format, args...)
	}
}

func (l *faultList) err() error {
	if l.n > maxFaults {
		l.check.Add(l.path, "and %d more", l.n-maxFaults)
	}
	return l.check.Err("cannot evaluate")
}

// Bounds of what is believed, so that squares of weights times rewards stay
// finite: nobody draws an action once in a thousand billion decisions.
const (
	maxReward     = 1e12
	minPropensity = 1e-12
)

// number parses a number of a size that can be reckoned with, or records a fault
// and returns 0.
func (l *faultList) number(line int, column, cell string) float64 {
	v, err := strconv.ParseFloat(cell, 64)
	if err != nil || !(math.Abs(v) <= maxReward) {
		l.add(line, column, "%q is not a number of at most %g; write one such as 0 or 0.25", cell, maxReward)
		return 0
	}
	return v
}

// propensity parses a probability that an event which happened can have had.
func (l *faultList) propensity(line int, column, cell string) float64 {
	before := l.n
	v := l.number(line, column, cell)
	if v >= minPropensity && v <= 1 {
		return v
	}
	if l.n == before {
		l.add(line, column, "propensity %s must be above 0 and at most 1 (and at least %g); log the probability that the action had when it was drawn",
			cell, minPropensity)
	}
	return 1
}
