package golearn

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/model/trainer"
)

// ChallengerConfig bounds the challenger family.
type ChallengerConfig struct {
	// Rows is how many of the newest rows are read, a fifth of them to judge on.
	Rows int
	// Trees and Bag are the trees of the forest and the rows that each is grown from.
	Trees, Bag int
	// Depth bounds the trees.
	Depth int
}

// DefaultChallengerConfig is ten trees of 4,000 rows out of 20,000.
func DefaultChallengerConfig() ChallengerConfig {
	return ChallengerConfig{Rows: 20_000, Trees: 10, Bag: 4_000, Depth: 6}
}

// Validate reports every field that is out of range.
func (c ChallengerConfig) Validate() error {
	var errs []error
	for _, f := range []struct {
		name     string
		v, limit int
	}{{"rows", c.Rows, 1_000_000}, {"trees", c.Trees, 100}, {"bag", c.Bag, 100_000}, {"depth", c.Depth, 20}} {
		if f.v < 1 || f.v > f.limit {
			errs = append(errs, fmt.Errorf("%s is %d, must be 1 to %d", f.name, f.v, f.limit))
		}
	}
	return errors.Join(errs...)
}

// Challenger fits golearn's trees and our own family to the same sample, and judges
// both on the same rows after it. It implements trainer.Challenger.
type Challenger struct {
	Runner *Runner
	Config ChallengerConfig
	Now    func() time.Time
}

var _ trainer.Challenger = (*Challenger)(nil)

// Bounds of what can be judged.
const (
	heldOutShare = 0.2
	leastJudged  = 100
	z95          = 1.96
)

// Challenge fits and judges. Whatever goes wrong is the result's fault.
func (c *Challenger) Challenge(ctx context.Context, cfg model.Config, rows []*trainer.Row) model.ChallengerFit {
	fit := model.ChallengerFit{Family: fmt.Sprintf("golearn: %d bagged trees of depth %d", c.Config.Trees, c.Config.Depth), Time: c.Now().UTC()}
	rows = rows[max(0, len(rows)-c.Config.Rows):]
	held := int(heldOutShare * float64(len(rows)))
	if held < leastJudged {
		fit.Fault = faultFewRows
		return fit
	}
	train := len(rows) - held
	fit.Rows, fit.HeldOutRows = int64(train), int64(held)
	d := duel{cfg: cfg, rows: rows, train: train}
	d.encode()
	start := c.Now()
	answer, err := c.Runner.run(ctx, d.request(c.Config))
	fit.Seconds = c.Now().Sub(start).Seconds()
	if err == nil {
		err = d.judge(ctx, answer.Forest, &fit)
	}
	if err != nil {
		fit.Fault = faultOf(err)
	}
	return fit
}

// Why there is no result: one of these and nothing else, since a card outlives the
// rows that an error may quote.
const (
	faultFewRows = "too few rows"
	faultTime    = "time limit"
	faultMemory  = "memory limit"
	faultPanic   = "panic"
	faultChild   = "child failed"
	faultOther   = "failed"
)

func faultOf(err error) string {
	for _, f := range []struct {
		is   error
		says string
	}{{ErrTime, faultTime}, {ErrMemory, faultMemory}, {ErrPanic, faultPanic}, {ErrChild, faultChild}} {
		if errors.Is(err, f.is) {
			return f.says
		}
	}
	return faultOther
}

// duel is the rows of one challenge.
type duel struct {
	cfg     model.Config
	rows    []*trainer.Row
	train   int
	table   *Table
	arm     int
	rewards []float64 // scaled to 0..1
}

// armColumn cannot be the name of an attribute.
const armColumn = "\x00arm"

func (d *duel) encode() {
	facts := make([]*model.Facts, len(d.rows))
	d.rewards = make([]float64, len(d.rows))
	arm := &gather{name: armColumn, count: len(d.rows), has: make([]bool, len(d.rows)), text: make([]string, len(d.rows))}
	for i, r := range d.rows {
		facts[i] = &r.Facts
		arm.text[i], arm.has[i] = r.Chosen, true
		d.rewards[i] = min(max((r.Reward-d.cfg.RewardMin)/(d.cfg.RewardMax-d.cfg.RewardMin), 0), 1)
	}
	d.table = tableOf(facts, d.train, nil)
	if c, ok := arm.column(d.train); ok {
		d.arm = len(d.table.Columns)
		d.table.Columns = append(d.table.Columns, c)
	}
}

func (d *duel) request(cfg ChallengerConfig) *request {
	labels, classes := bins(d.rewards, d.train)
	return &request{
		Table: d.table, Labels: labels, Classes: classes, Train: d.train, Shape: shape{Depth: cfg.Depth, Leaf: 10},
		Forest: &forestPlan{
			Rewards: d.rewards, Trees: cfg.Trees, Bag: min(cfg.Bag, d.train), Arm: d.arm,
			Seed: uint64(len(d.rows)), //nolint:gosec // a count; any number does
		},
	}
}

// judge compares on the held-out rows, of which neither family learns.
func (d *duel) judge(ctx context.Context, forest []*Node, fit *model.ChallengerFit) error {
	if len(forest) == 0 {
		return errors.New("the child grew no tree")
	}
	for _, root := range forest {
		fit.Nodes += root.size()
	}
	ours, err := d.ours(ctx)
	if err != nil {
		return err
	}
	mean, _ := spread(d.rewards[:d.train])
	var gains []float64
	n := float64(len(d.rows) - d.train)
	for i := d.train; i < len(d.rows); i++ {
		square := func(says float64) float64 { return (says - d.rewards[i]) * (says - d.rewards[i]) }
		theirs, own := square(score(forest, d.table, i)), square(ours[i-d.train])
		fit.Loss += theirs / n
		fit.Ours += own / n
		fit.Constant += square(mean) / n
		gains = append(gains, own-theirs)
	}
	var stdErr float64
	fit.Gain, stdErr = spread(gains)
	fit.GainLower, fit.GainUpper = fit.Gain-z95*stdErr, fit.Gain+z95*stdErr
	fit.Better = fit.GainLower > 0
	if math.IsNaN(fit.Loss) || math.IsInf(fit.Loss, 0) {
		return errors.New("the trees foretell no number")
	}
	return nil
}

// ours fits our own family to the same rows and foretells the held-out ones.
func (d *duel) ours(ctx context.Context) ([]float64, error) {
	learner, err := model.New(d.cfg)
	if err != nil {
		return nil, fmt.Errorf("create a learner: %w", err)
	}
	var e encoder
	out := make([]float64, 0, len(d.rows)-d.train)
	for i, r := range d.rows {
		if i%1024 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		x := e.example(&r.Facts, r.Options, r.Chosen)
		if i < d.train {
			x.Reward, x.Propensity = r.Reward, r.Propensity
			if err := learner.Learn(x); err != nil {
				return nil, fmt.Errorf("learn decision %q: %w", r.ID, err)
			}
			continue
		}
		scores := e.score(learner, &x)
		out = append(out, (scores[x.Chosen].Value-d.cfg.RewardMin)/(d.cfg.RewardMax-d.cfg.RewardMin))
	}
	return out, nil
}

// encoder makes examples of logged decisions and scores them. It keeps its memory.
type encoder struct {
	enc     model.Encoder
	options []model.Option
	scores  []model.Score
}

// example is a decision as learners take it. What was chosen, and other arms that are
// asked for, join the options when they are none of them.
func (e *encoder) example(f *model.Facts, options []model.Option, chosen string, also ...string) model.Example {
	e.options = append(e.options[:0], options...)
	for _, key := range append([]string{chosen}, also...) {
		if e.at(key) < 0 {
			e.options = append(e.options, model.Option{Key: key})
		}
	}
	return model.Example{Context: e.enc.Context(f), Arms: e.enc.Arms(e.options, f.Baseline), Chosen: e.at(chosen)}
}

// at is where an arm stands among the options of the last example.
func (e *encoder) at(key string) int {
	return slices.IndexFunc(e.options, func(o model.Option) bool { return o.Key == key })
}

// scorer foretells rewards; *model.Learner is one.
type scorer interface {
	Score(ctx *model.Features, arms []model.Arm, out []model.Score)
}

func (e *encoder) score(s scorer, x *model.Example) []model.Score {
	e.scores = slices.Grow(e.scores[:0], len(x.Arms))[:len(x.Arms)]
	s.Score(x.Context, x.Arms, e.scores)
	return e.scores
}
