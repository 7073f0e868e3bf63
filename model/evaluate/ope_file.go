package evaluate

import (
	"fmt"
	"runtime"
	"strings"
	"sync"

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
	// Features are the columns of Log that the reward model learns from. They must
	// have been known before the action. Empty means every column but the three
	// above and those that name rows or times.
	Features []string
	// ActionFeatures is a file with the action column and what describes actions;
	// it may be empty.
	ActionFeatures string
	// Predictions, when given, is a table of rewards that takes the place of the
	// reward model: columns of Log, the action column and "predicted".
	Predictions string
	// RewardMin and RewardMax are what rewards can be. One that is nil is 0 or 1 where
	// all rewards lie between these; else the lowest or the highest of the log, or 0,
	// and a warning says so.
	RewardMin, RewardMax *float64
	// Confidence of the intervals, such as 0.95.
	Confidence float64
}

// Columns with a fixed name: of a target file, the probability of the row's
// action, and of a table of predictions, its reward.
const (
	probColumn      = "prob"
	predictedColumn = "predicted"
)

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
	if c.RewardMin != nil && c.RewardMax != nil && !(*c.RewardMin < *c.RewardMax) {
		check.Add("reward-min", "is %g, must be below --reward-max, %g", *c.RewardMin, *c.RewardMax)
	}
	if c.Predictions != "" && (c.ActionFeatures != "" || len(c.Features) > 0) {
		check.Add("predictions", "takes the place of the reward model, which features are for; give one or the other")
	}
	return check.Err("cannot evaluate")
}

// RunOPE values the target policy on the log. The log is read twice, as a stream:
// memory grows with the contexts of the target and up to maxFitted rows that the
// reward model learns from, not with the log. Faults of the files are
// fault.Invalid and name file, line, column and remedy, up to maxFaults of them.
func RunOPE(cfg OPEConfig) (OPEResult, error) {
	e, sup, about, err := estimateFile(cfg)
	if err != nil {
		return OPEResult{}, err
	}
	res := e.Result(cfg.Confidence)
	res.Model = about
	if warning := cfg.guessed(e.span()); warning != "" {
		res.Warnings = append(res.Warnings, warning)
	}
	sup.apply(&res, e.span())
	return res, nil
}

// span is what rewards can be, given those seen.
func (c OPEConfig) span(seen reach) reach {
	out := reach{0, 1, true}
	if seen.lo < 0 || seen.hi > 1 {
		out = reach{min(0, seen.lo), max(0, seen.hi), true}
	}
	if c.RewardMin != nil {
		out.lo = *c.RewardMin
	}
	if c.RewardMax != nil {
		out.hi = *c.RewardMax
	}
	return out
}

// guessed warns of a span that the log's own rewards made.
func (c OPEConfig) guessed(span reach) string {
	if c.RewardMin != nil && c.RewardMax != nil || span.lo >= 0 && span.hi <= 1 {
		return ""
	}
	return fmt.Sprintf("rewards are taken to lie between %g and %g, as those of the log do: intervals are too narrow if others can come, "+
		"so say what can with --reward-min and --reward-max", span.lo, span.hi)
}

func estimateFile(cfg OPEConfig) (*OPE, *support, *RewardModel, error) {
	if err := cfg.Validate(); err != nil {
		return nil, nil, nil, err
	}
	columns, err := readHeader(cfg.Log)
	if err != nil {
		return nil, nil, nil, err
	}
	target, err := readTarget(cfg, columns)
	if err != nil {
		return nil, nil, nil, err
	}
	sample, err := readSample(cfg, target, columns)
	if err != nil {
		return nil, nil, nil, err
	}
	p, err := newPredictor(cfg, target, sample)
	if err != nil {
		return nil, nil, nil, err
	}
	e, sup, err := readLog(cfg, target, sample, p)
	if err != nil {
		return nil, nil, nil, err
	}
	return e, sup, p.about(), nil
}

// logRow is a row of the log as read, with what the estimators make of it.
type logRow struct {
	line, number int
	cells        []string
	key          string
	dist         distribution
	action       int32
	o            Observation
}

// predictor foretells rewards. It is safe for concurrent use.
type predictor interface {
	// predict sets the row's Modelled, Predicted and TargetValue, or returns what
	// it lacks.
	predict(r *logRow, s *predictScratch) (lack string)
	about() *RewardModel
}

// batchRows is how many rows are predicted at a time, by all processors at once.
const batchRows = 4096

// readLog feeds every row of the log to an estimator and counts support.
func readLog(cfg OPEConfig, target *targetPolicy, sample *sample, p predictor) (*OPE, *support, error) {
	span := cfg.span(sample.rewards)
	e := NewOPE(span.lo, span.hi)
	sup := newSupport(target)
	faults := faultList{path: cfg.Log}
	batch := make([]logRow, 0, batchRows)
	scratch := make([]predictScratch, max(1, runtime.GOMAXPROCS(0)))
	flush := func() {
		predictAll(batch, p, scratch, cfg.Predictions, &faults)
		for i := range batch {
			e.Add(batch[i].o)
		}
		batch = batch[:0]
	}
	number := 0
	err := scanLog(cfg, target, &faults, func(r *logRow) {
		r.number = number
		number++
		p, listed := r.dist.of(r.action)
		r.o.Target = p
		sup.count(r.key, r.action, listed)
		batch = append(batch, *r)
		last := &batch[len(batch)-1]
		last.cells = cloneCells(r.cells)
		if len(batch) == batchRows {
			flush()
		}
	})
	flush()
	if err != nil {
		return nil, nil, err
	}
	return e, sup, faults.err()
}

// cloneCells copies a row into one piece of memory.
func cloneCells(cells []string) []string {
	n := 0
	for _, c := range cells {
		n += len(c)
	}
	var b strings.Builder
	b.Grow(n)
	for _, c := range cells {
		b.WriteString(c)
	}
	all, out := b.String(), make([]string, len(cells))
	for i, c := range cells {
		out[i], all = all[:len(c)], all[len(c):]
	}
	return out
}

func predictAll(batch []logRow, p predictor, scratch []predictScratch, path string, faults *faultList) {
	lacks := make([]string, len(batch))
	var wg sync.WaitGroup
	for w := range scratch {
		wg.Go(func() {
			for i := w; i < len(batch); i += len(scratch) {
				lacks[i] = p.predict(&batch[i], &scratch[w])
			}
		})
	}
	wg.Wait()
	for i, lack := range lacks {
		if lack != "" {
			faults.add(batch[i].line, predictedColumn, "%q %s", path, lack)
		}
	}
}

// scanLog reads the log's rows; each is reused. Rows with faults are left out.
func scanLog(cfg OPEConfig, target *targetPolicy, faults *faultList, row func(*logRow)) error {
	var at []int // action, reward, propensity, then the context columns
	var r logRow
	return scanData(cfg.Log, func(columns []string) (err error) {
		at, err = locate(cfg.Log, columns, append([]string{cfg.Action, cfg.Reward, cfg.Propensity}, target.context...))
		return err
	}, func(line int, cells []string) {
		before := faults.n
		r = logRow{line: line, cells: cells, key: contextKey(cells, at[3:])}
		r.o.Reward = faults.number(line, cfg.Reward, cells[at[1]])
		if lo, hi := cfg.RewardMin, cfg.RewardMax; lo != nil && r.o.Reward < *lo || hi != nil && r.o.Reward > *hi {
			faults.add(line, cfg.Reward, "%g is beyond --reward-min and --reward-max", r.o.Reward)
		}
		r.o.Logged = faults.propensity(line, cfg.Propensity, cells[at[2]])
		known := false
		if r.dist, known = target.probs[r.key]; !known {
			faults.add(line, strings.Join(target.context, "+"), "the target %q has no rows for %s; add the probabilities of its actions there",
				cfg.Target, target.spellContext(r.key))
		}
		if faults.n == before {
			r.action = target.actions.intern(cells[at[0]])
			row(&r)
		}
	})
}
