package evaluate

import (
	"math"
	"slices"
	"strconv"

	"github.com/usherhq/usher/internal/fault"
)

// maxFitted is how many rows the reward model learns from at most: DR is right
// with any model, and one from more rows is hardly better.
const maxFitted = 30_000

// sample is what the first reading of a log keeps.
type sample struct {
	rewards reach
	rows    []logRow
	stride  int // every stride-th row of the log is kept
	uses    []columnUse
	names   []string // of the columns in use
}

// readSample checks the whole log and keeps rows for the reward model, evenly
// spread: when there are too many, every other one is let go.
func readSample(cfg OPEConfig, target *targetPolicy, columns []string) (*sample, error) {
	s := &sample{stride: 1}
	faults := faultList{path: cfg.Log}
	keep := cfg.Predictions == ""
	n := 0
	err := scanLog(cfg, target, &faults, func(r *logRow) {
		s.rewards.add(r.o.Reward)
		if keep && n%s.stride == 0 {
			kept := *r
			kept.cells, kept.number = cloneCells(r.cells), n
			kept.key = ""
			s.rows = append(s.rows, kept)
		}
		n++
		if len(s.rows) > maxFitted {
			s.thin()
		}
	})
	if err != nil {
		return nil, err
	}
	if err := faults.err(); err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, fault.New(fault.Invalid, "NO_ROWS", "%q has no rows; a value needs logged decisions", cfg.Log)
	}
	return s, s.chooseColumns(cfg, columns)
}

func (s *sample) thin() {
	kept := s.rows[:0]
	for i := range s.rows {
		if i%2 == 0 {
			kept = append(kept, s.rows[i])
		}
	}
	clear(s.rows[len(kept):])
	s.rows = kept
	s.stride *= 2
}

// chooseColumns finds what the reward model may learn from.
func (s *sample) chooseColumns(cfg OPEConfig, columns []string) error {
	if _, err := locate(cfg.Log, columns, cfg.Features); err != nil {
		return err
	}
	cells := make([][]string, len(s.rows))
	for i := range s.rows {
		cells[i] = s.rows[i].cells
	}
	for at, name := range columns {
		if name == cfg.Action || name == cfg.Reward || name == cfg.Propensity {
			continue
		}
		u := columnUse{at: at, name: name}
		u.detect(cells)
		if len(cfg.Features) > 0 {
			if !slices.Contains(cfg.Features, name) {
				continue
			}
		} else if u.names(cells) {
			continue
		}
		s.uses = append(s.uses, u)
		s.names = append(s.names, name)
	}
	return nil
}

// fewRows is below what nothing is said of a column.
const fewRows = 50

// names says that a column names rows rather than describes them: times, whole
// numbers that never repeat, and texts that hardly do.
func (u *columnUse) names(rows [][]string) bool {
	if len(rows) < fewRows {
		return false
	}
	if u.number && !u.category {
		return false // a measurement
	}
	distinct := map[string]struct{}{}
	times := true
	for _, r := range rows {
		distinct[r[u.at]] = struct{}{}
		if times {
			_, err := parseTime(r[u.at])
			times = err == nil
		}
	}
	if u.number {
		return len(distinct) == len(rows)
	}
	return times || len(distinct)*10 > len(rows)*9
}

// scaled reads a cell of a column of numbers on the scale of the sample, cut off a
// little beyond it; false when it is none.
func (u *columnUse) scaled(cell string) (float64, bool) {
	v, err := strconv.ParseFloat(cell, 64)
	if err != nil || math.IsNaN(v) {
		return 0, false
	}
	return min(max((v-u.lo)/u.span, -1), 2), true
}
