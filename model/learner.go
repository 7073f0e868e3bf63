package model

import (
	"fmt"

	"github.com/cespare/xxhash/v2"
)

// Learner learns from examples one by one. The same examples in the same order
// give the same bytes. It is not safe for concurrent use.
type Learner struct {
	cfg     Config
	core    core
	scratch Scratch
	stats   Stats
}

// Stats sums up what a learner has seen.
type Stats struct {
	// Rows is the number of examples learned.
	Rows int64
	// ProgressiveLoss is the mean squared error of the reward predicted for each
	// example before learning from it; BaselineLoss that of the running mean.
	ProgressiveLoss, BaselineLoss float64
	// MeanReward is the mean reward.
	MeanReward float64
}

// New returns an empty learner, or an error that names every bad field.
func New(cfg Config) (*Learner, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("validate learner config: %w", err)
	}
	l := &Learner{cfg: cfg, core: core{lo: cfg.RewardMin, hi: cfg.RewardMax, seen: make([]int64, 2)}}
	l.core.lin.reset()
	return l, nil
}

// Stats returns the sums so far.
func (l *Learner) Stats() Stats { return l.stats }

// Score scores as a model frozen now would.
func (l *Learner) Score(ctx *Features, arms []Arm, out []Score) {
	l.core.score(&l.scratch, ctx, arms, out)
}

// Learn takes in one example. An example whose Chosen is out of range is an
// error and changes nothing.
func (l *Learner) Learn(e Example) error {
	if e.Chosen < 0 || e.Chosen >= len(e.Arms) {
		return fmt.Errorf("learn example: chosen arm %d of %d", e.Chosen, len(e.Arms))
	}
	c := &l.core
	arm := &e.Arms[e.Chosen]
	reward := (min(max(e.Reward, c.lo), c.hi) - c.lo) / (c.hi - c.lo)
	l.admit(e.Context, arm)
	s := &l.scratch
	s.rows = c.findRows(s.rows[:0], e.Context)
	s.cols = c.findCols(s.cols[:0], arm)
	mean, _ := c.lin.predict(s.rows, s.cols, priorPrecision)
	l.account(reward, min(max(mean, 0), 1))
	c.lin.update(s.rows, s.cols, reward-mean, noiseVariance, priorPrecision)
	if at := c.lin.cols.find(xxhash.Sum64String(arm.ID) ^ armSalt); at >= 0 {
		c.seen[at]++
	}
	return nil
}

func (l *Learner) account(reward, predicted float64) {
	s := &l.stats
	n := float64(s.Rows + 1)
	s.ProgressiveLoss += ((reward-predicted)*(reward-predicted) - s.ProgressiveLoss) / n
	s.BaselineLoss += ((reward-s.MeanReward)*(reward-s.MeanReward) - s.BaselineLoss) / n
	s.MeanReward += (reward - s.MeanReward) / n
	s.Rows++
}

// admit gives every new feature a row and every new arm a column, while there
// is room.
func (l *Learner) admit(ctx *Features, arm *Arm) {
	lin := &l.core.lin
	lin.cols.put(xxhash.Sum64String(arm.ID)^armSalt, l.cfg.MaxArms)
	for i := range arm.Features.Len() {
		lin.cols.put(arm.Features.entries[i].hash, l.cfg.MaxArms)
	}
	lin.widen(lin.cols.len())
	for len(l.core.seen) < lin.cols.len() {
		l.core.seen = append(l.core.seen, 0)
	}
	limit := min(l.cfg.MaxFeatures, l.cfg.MaxCells/lin.stride)
	for i := range ctx.Len() {
		e := &ctx.entries[i]
		before := lin.rows.len()
		if lin.rows.put(e.hash, limit) == int32(before) {
			l.core.schema ^= mix(e.field, uint64(e.kind))
			if before < l.cfg.MaxNames {
				l.core.names = append(l.core.names, ctx.label(i))
			}
		}
	}
	lin.grow()
}

// Snapshot freezes the learner under a version. The learner goes on unaffected.
func (l *Learner) Snapshot(version string) *Model {
	c := l.core
	c.lin = l.core.lin.clone()
	c.seen = append([]int64(nil), l.core.seen...)
	c.names = l.core.names[:len(l.core.names):len(l.core.names)]
	return &Model{version: version, core: c}
}
