package model

import (
	"math"

	"github.com/cespare/xxhash/v2"
)

// Model is a frozen learner: immutable and safe for concurrent use.
type Model struct {
	version string
	core    core
}

// core is what learner and model share: everything that a score needs.
type core struct {
	lo, hi   float64
	schema   uint64
	seen     []int64 // examples learned, by column
	lin      linear
	scale    scales
	good     success
	names    names
	evidence evidence
	dense    dense
	quality  quality
}

// Scratch is the working memory of one scorer. The zero value is ready; give
// each goroutine its own.
type Scratch struct {
	rows, cols   []term
	sums         []float64
	raw, x, work []float64
	match        match
	at           []int32
	mean, vari   []float32
	hope         float64 // standard error of an arm alone per root of its variance
}

// Version returns the name that the model was frozen under.
func (m *Model) Version() string { return m.version }

// Arms returns how many arms and arm features the model knows.
func (m *Model) Arms() int { return m.core.lin.cols.len() - builtInCols }

// Features returns how many distinct context features the model knows.
func (m *Model) Features() int { return m.core.lin.rows.len() - 1 }

// Family names what decides when there is no baseline: "dense" or "sparse".
func (m *Model) Family() string { return m.core.family() }

// SchemaHash identifies the names and kinds of the context features learned
// from. Scoring with others is safe: unknown features count as absent.
func (m *Model) SchemaHash() uint64 { return m.core.schema }

// Score fills out[i] with the score of arms[i]; len(out) must be at least
// len(arms). It allocates nothing once s has warmed up. A model never fails: an
// unknown arm gets the cautious prior and Known false.
func (m *Model) Score(s *Scratch, ctx *Features, arms []Arm, out []Score) {
	m.core.score(s, ctx, arms, out)
}

func (c *core) score(s *Scratch, ctx *Features, arms []Arm, out []Score) {
	base := baselineOf(arms)
	c.findRows(s, ctx)
	useDense := base < 0 && c.useDense()
	if useDense {
		c.findDims(s, ctx)
	}
	d := decision{base: base}
	c.findArms(s, arms)
	room := c.quality.room()
	s.hope = deviationAlone * room * room
	if base < 0 && !useDense {
		c.names.find(&s.match, ctx)
		c.lin.predictEach(s.rows, s.at, s.mean[:len(arms)], s.vari[:len(arms)])
	}
	if base >= 0 {
		d.baseFit = c.fit(s, c.armColumn(&arms[base]))
		d.deviation, _ = c.lin.predict(s.rows, []term{{colDeviation, 1}})
	}
	for i := range arms {
		at := s.at[i]
		var mean, dev float64
		switch {
		case useDense:
			mean, dev = c.denseScore(s, at)
		case base < 0 && at >= 0 && arms[i].Features.Len() == 0:
			mean, dev = c.alone(s, at, float64(s.mean[i]), float64(s.vari[i]))
		default:
			d.chosen = i
			mean, dev = c.sparseScore(s, &arms[i], at, &d)
		}
		out[i] = Score{
			Value:  c.lo + (c.hi-c.lo)*min(max(mean, 0), 1),
			StdErr: (c.hi - c.lo) * dev,
			Known:  at >= 0 && c.seen[at] > 0,
		}
	}
}

// decision is the part of a decision that an arm's score depends on besides
// context and arm.
type decision struct {
	base, chosen int     // indexes of the baseline (-1: none) and of this arm
	baseFit      float64 // how well the baseline fits the context
	deviation    float64 // what any other arm than the baseline may expect
}

// Prior deviations of a score set how far an untried arm may hope to exceed what
// is expected of it: little where a baseline shows what is good, and less the
// better decisions have become. Noise is the variance of a reward in units of the
// prior variance of a score.
const (
	deviationAlone  = 0.6
	deviationBeside = 0.04
	noiseAlone      = 0.25
	noiseBeside     = 1.0
)

func (c *core) sparseScore(s *Scratch, arm *Arm, at int32, d *decision) (mean, dev float64) {
	own := c.findCols(s, arm, at, d)
	mean, variance := c.lin.predict(s.rows, s.cols[:own])
	if own == 0 {
		variance = priorVariance(s.rows)
	}
	if d.base < 0 {
		return c.alone(s, at, mean, variance)
	}
	shared := d.deviation
	if d.chosen == d.base {
		shared, _ = c.lin.predict(s.rows, s.cols[own:])
	}
	pair := c.pairOf(s, at, d)
	add, _ := c.good.predict(&pair, d.pairState())
	return mean + shared + add, deviationBeside * math.Sqrt(variance)
}

// alone turns the sums of the linear family into a score where no baseline is.
func (c *core) alone(s *Scratch, at int32, mean, variance float64) (float64, float64) {
	if len(s.match.hit) > 0 {
		if x, ok := c.names.pair(&s.match, at); ok {
			add, _ := c.names.predict(&x)
			mean += add
		}
	}
	return mean, s.hope * math.Sqrt(variance)
}

// findArms looks up the column of every arm, -1 for those not known.
func (c *core) findArms(s *Scratch, arms []Arm) {
	s.at = s.at[:0]
	for i := range arms {
		s.at = append(s.at, c.armColumn(&arms[i]))
	}
	for len(s.mean) < len(arms) {
		s.mean, s.vari = append(s.mean, 0), append(s.vari, 0)
	}
}

// denseScore returns the standard error of the regression, cut by the root of the
// room that is left: the variance scales with it, since a decision cannot gain
// more than is not yet reached.
func (c *core) denseScore(s *Scratch, at int32) (mean, dev float64) {
	var untried denseArm
	a := &untried
	if at >= 0 && int(at) < len(c.dense.arms) {
		a = &c.dense.arms[at]
	}
	mean, leverage := a.predict(s.x)
	return mean, math.Sqrt(leverage * c.quality.denseLoss() * c.quality.room())
}

// priorVariance is that of an arm of which nothing is known.
func priorVariance(rows []term) float64 {
	var sum float32
	for _, r := range rows {
		sum += r.v * r.v
	}
	return float64(sum)
}

func (c *core) pairOf(s *Scratch, at int32, d *decision) [pairSize]float64 {
	fit := d.baseFit
	if d.chosen != d.base {
		fit = c.fit(s, at)
	}
	return [pairSize]float64{fit, 1, d.baseFit}
}

func (c *core) fit(s *Scratch, at int32) float64 {
	return c.good.score(s.rows, c.lin.stride, at)
}

func (d *decision) pairState() int {
	if d.chosen == d.base {
		return pairBaseline
	}
	return pairDeviation
}

func baselineOf(arms []Arm) int {
	for i := range arms {
		if arms[i].Baseline {
			return i
		}
	}
	return -1
}

func (c *core) armColumn(a *Arm) int32 { return c.lin.cols.find(xxhash.Sum64String(a.ID) ^ armSalt) }

// findRows looks up the context's features and scales them so that their squares
// sum to 1: a prediction's prior variance is then the same for every context.
func (c *core) findRows(s *Scratch, ctx *Features) {
	s.rows = append(s.rows[:0], term{rowConstant, 1})
	var norm float32
	for i := range ctx.Len() {
		e := &ctx.entries[i]
		if e.twin && e.kind == kindNumber {
			continue // its category says more, one weight per value
		}
		at := c.lin.rows.find(e.hash)
		if at < 0 || c.scale.count[at] == 0 {
			continue
		}
		v := e.value
		if e.kind == kindNumber {
			v = c.scale.apply(at, v)
		}
		s.rows = append(s.rows, term{at, v})
		norm += v * v
	}
	if norm > 0 {
		f := float32(1 / math.Sqrt(float64(norm)))
		for i := 1; i < len(s.rows); i++ {
			s.rows[i].v *= f
		}
	}
}

// findDims expands the context for the dense family into s.x. A number that is
// missing is NaN, a category that is absent 0.
func (c *core) findDims(s *Scratch, ctx *Features) {
	s.raw = s.raw[:0]
	for _, category := range c.dense.category {
		if category {
			s.raw = append(s.raw, 0)
		} else {
			s.raw = append(s.raw, math.NaN())
		}
	}
	for i := range ctx.Len() {
		e := &ctx.entries[i]
		if !e.dense() {
			continue
		}
		dim := c.dense.dims.find(e.hash)
		if dim < 0 {
			continue
		}
		if e.kind == kindCategory {
			s.raw[dim] = 1
		} else if at := c.lin.rows.find(e.hash); at >= 0 {
			s.raw[dim] = float64(c.scale.apply(at, e.value))
		}
	}
	s.x = c.dense.expand(s.x[:0], s.raw)
}

// findCols looks up the arm's columns and returns how many of them are its own:
// itself and its features, scaled so that their squares sum to 1. The shared
// column of the baseline or of deviations follows.
func (c *core) findCols(s *Scratch, a *Arm, at int32, d *decision) int {
	s.cols = s.cols[:0]
	if at >= 0 {
		s.cols = append(s.cols, term{at, 1})
	}
	for i := range a.Features.Len() {
		if at := c.lin.cols.find(a.Features.entries[i].hash); at >= 0 {
			s.cols = append(s.cols, term{at, a.Features.entries[i].armValue()})
		}
	}
	own := len(s.cols)
	if own > 1 {
		var norm float32
		for _, t := range s.cols {
			norm += t.v * t.v
		}
		for i := range s.cols {
			s.cols[i].v /= float32(math.Sqrt(float64(norm)))
		}
	}
	switch {
	case d.base < 0:
	case d.base == d.chosen:
		s.cols = append(s.cols, term{colBaseline, 1})
	default:
		s.cols = append(s.cols, term{colDeviation, 1})
	}
	return own
}
