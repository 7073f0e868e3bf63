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
