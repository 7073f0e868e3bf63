package model

import (
	"errors"
	"fmt"
	"math"

	"github.com/cespare/xxhash/v2"
)

// Learner learns from examples one by one. The same examples in the same order
// give the same bytes. It is not safe for concurrent use.
type Learner struct {
	cfg     Config
	core    core
	scratch Scratch
	stats   Stats
	fields  index // names and kinds of the context's features
}

// Stats sums up what a learner has seen.
type Stats struct {
	// Rows is the number of examples learned.
	Rows int64
	// ProgressiveLoss is the mean squared error of the reward predicted for each
	// example before learning from it, in units of the squared reward range;
	// BaselineLoss that of the running mean.
	ProgressiveLoss, BaselineLoss float64
	// MeanReward is the mean reward, scaled to 0..1.
	MeanReward float64
}

// New returns an empty learner, or an error that names every bad field.
func New(cfg Config) (*Learner, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("validate learner config: %w", err)
	}
	l := &Learner{cfg: cfg, core: core{lo: cfg.RewardMin, hi: cfg.RewardMax, seen: make([]int64, builtInCols)}}
	l.core.lin.reset()
	l.core.scale.grow(1)
	return l, nil
}

// Stats returns the sums so far.
func (l *Learner) Stats() Stats { return l.stats }

// Score scores as a model frozen now would.
func (l *Learner) Score(ctx *Features, arms []Arm, out []Score) {
	l.core.score(&l.scratch, ctx, arms, out)
}

// Learn takes in one example. One whose Chosen is out of range, or whose reward
// or weight is not finite or negative in weight, is an error and changes nothing.
func (l *Learner) Learn(e Example) error {
	if e.Chosen < 0 || e.Chosen >= len(e.Arms) {
		return fmt.Errorf("learn example: chosen arm %d of %d", e.Chosen, len(e.Arms))
	}
	if math.IsNaN(e.Reward) || math.IsNaN(e.Weight) || math.IsInf(e.Weight, 0) || e.Weight < 0 {
		return errors.New("learn example: reward or weight is not a usable number")
	}
	if e.Weight == 0 {
		e.Weight = 1
	}
	c := &l.core
	e.Reward = (min(max(e.Reward, c.lo), c.hi) - c.lo) / (c.hi - c.lo)
	for i := range e.Arms {
		l.admitArm(&e.Arms[i])
	}
	l.admitContext(e.Context)
	l.resize()

	c.findRows(&l.scratch, e.Context)
	d := decision{base: baselineOf(e.Arms), chosen: e.Chosen}
	predicted := l.learnSparse(&e, d)
	if d.base < 0 && !c.dense.off {
		c.dense.admit(e.Context)
		predicted = l.learnDense(&e, predicted)
	}
	if d.base < 0 {
		c.quality.reached(e.Reward)
	}
	l.account(e.Reward, predicted)
	if at := c.armColumn(&e.Arms[e.Chosen]); at >= 0 {
		c.seen[at]++
		c.evidence.add(at, e.Reward)
	}
	return nil
}

// learnSparse returns the prediction made before learning.
func (l *Learner) learnSparse(e *Example, d decision) float64 {
	c, s := &l.core, &l.scratch
	arm := &e.Arms[e.Chosen]
	if d.base >= 0 {
		d.baseFit = c.fit(s, c.armColumn(&e.Arms[d.base]))
	}
	at := c.armColumn(arm)
	c.findCols(s, arm, at, &d)
	mean, variance := c.lin.predict(s.rows, s.cols)
	var pair [pairSize]float64
	if d.base >= 0 {
		pair = c.pairOf(s, at, &d)
		m, v := c.good.predict(&pair, d.pairState())
		mean, variance = mean+m, variance+v
	}
	var called [matchSize]float64
	if d.base < 0 {
		c.names.find(&s.match, e.Context)
		called, _ = c.names.pair(&s.match, at)
		m, v := c.names.predict(&called)
		mean, variance = mean+m, variance+v
	}
	noise := noiseAlone
	if d.base >= 0 {
		noise = noiseBeside
	}
	information := e.Weight / noise
	gain := information * (e.Reward - mean) / (1 + information*variance)
	c.lin.update(s.rows, s.cols, gain, information)
	if d.base < 0 {
		c.names.learn(&called, gain, information)
		c.names.observe(&s.match)
	} else {
		c.good.update(&pair, d.pairState(), gain, information)
		if at >= 0 && e.Reward > 0 {
			c.good.grow(c.lin.rows.len(), c.lin.stride)
			for len(s.sums) < c.lin.cols.len() {
				s.sums = append(s.sums, 0)
			}
			c.good.learn(s.rows, s.sums, c.lin.stride, at, e.Weight*e.Reward)
		}
	}
	return min(max(mean, 0), 1)
}

// learnDense returns the prediction of the family that would have decided.
func (l *Learner) learnDense(e *Example, sparse float64) float64 {
	c, s := &l.core, &l.scratch
	at := c.armColumn(&e.Arms[e.Chosen])
	if at < 0 || c.dense.dims.len() == 0 {
		return sparse
	}
	c.findDims(s, e.Context)
	for len(c.dense.arms) <= int(at) {
		c.dense.arms = append(c.dense.arms, denseArm{})
	}
	a := &c.dense.arms[at]
	if a.d < len(s.x) && !c.dense.fits(len(s.x)) {
		c.dense = dense{off: true}
		return sparse
	}
	useDense := c.useDense()
	mean, _ := a.predict(s.x)
	mean = min(max(mean, 0), 1)
	c.quality.observe((e.Reward-sparse)*(e.Reward-sparse), (e.Reward-mean)*(e.Reward-mean))
	s.work = append(s.work[:0], s.x...)
	a.update(s.x, s.work, e.Reward, e.Weight)
	if useDense {
		return mean
	}
	return sparse
}

func (l *Learner) account(reward, predicted float64) {
	s := &l.stats
	n := float64(s.Rows + 1)
	s.ProgressiveLoss += ((reward-predicted)*(reward-predicted) - s.ProgressiveLoss) / n
	s.BaselineLoss += ((reward-s.MeanReward)*(reward-s.MeanReward) - s.BaselineLoss) / n
	s.MeanReward += (reward - s.MeanReward) / n
	s.Rows++
}

// admitArm gives an arm and its features columns, while there is room.
func (l *Learner) admitArm(arm *Arm) {
	cols, limit := &l.core.lin.cols, l.columnLimit()
	if at := cols.put(xxhash.Sum64String(arm.ID)^armSalt, limit); at >= 0 {
		l.core.names.admit(at, arm.ID)
	}
	for i := range arm.Features.Len() {
		cols.put(arm.Features.entries[i].hash, limit)
	}
}

// columnLimit returns how many columns the rows there are leave memory for.
func (l *Learner) columnLimit() int {
	lin := &l.core.lin
	stride := lin.stride
	for stride*2*lin.rows.len() <= l.cfg.MaxCells && stride < l.cfg.MaxArms+builtInCols {
		stride *= 2
	}
	return min(stride, l.cfg.MaxArms+builtInCols)
}

// admitContext gives new features rows, while there is room, and counts all.
func (l *Learner) admitContext(ctx *Features) {
	c := &l.core
	stride := c.lin.stride
	for stride < c.lin.cols.len() {
		stride *= 2 // as resize will
	}
	limit := max(1, min(l.cfg.MaxFeatures, l.cfg.MaxCells/stride))
	for i := range ctx.Len() {
		e := &ctx.entries[i]
		before := c.lin.rows.len()
		at := c.lin.rows.put(e.hash, limit)
		if at < 0 {
			continue
		}
		c.scale.grow(int(at) + 1)
		if int(at) == before {
			l.noteField(mix(e.field, uint64(e.kind)))
		}
		c.scale.observe(at, e)
	}
}

// noteField folds a new field into the schema hash, whatever the order.
func (l *Learner) noteField(key uint64) {
	before := l.fields.len()
	if l.fields.put(key, l.cfg.MaxFeatures) == int32(before) {
		l.core.schema ^= mix(key, numberSalt)
	}
}

// resize makes every table cover the rows and columns that there are.
func (l *Learner) resize() {
	c := &l.core
	from := c.lin.stride
	if c.lin.widen() && len(c.good.w) > 0 {
		c.good.w = relay(c.good.w, from, c.lin.stride, 0)
	}
	c.lin.grow()
	if len(c.good.w) > 0 {
		c.good.grow(c.lin.rows.len(), c.lin.stride)
	}
	for len(c.seen) < c.lin.cols.len() {
		c.seen = append(c.seen, 0)
	}
	c.evidence.grow(len(c.seen))
}

// Snapshot freezes the learner under a version. The learner goes on unaffected.
func (l *Learner) Snapshot(version string) *Model {
	c := &l.core
	return &Model{version: version, core: core{
		lo: c.lo, hi: c.hi, schema: c.schema, seen: append([]int64(nil), c.seen...),
		lin: c.lin.clone(), scale: c.scale.clone(), good: c.good.clone(), names: c.names.clone(), evidence: c.evidence.clone(), dense: c.dense.clone(), quality: c.quality,
	}}
}
