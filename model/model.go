package model

import (
	"math"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// Model is a frozen learner: immutable and safe for concurrent use.
type Model struct {
	version string
	core    core
	sha256  string
}

// core is what learner and model share: everything a score needs.
type core struct {
	lo, hi float64
	seen   []int64 // examples learned, by column
	lin    linear
	names  []string // of row i, "" when not kept
	schema uint64
}

// Scratch is the working memory of one scorer. The zero value is ready; give
// each goroutine its own.
type Scratch struct {
	rows, cols []term
}

// Version returns the name that the model was frozen under.
func (m *Model) Version() string { return m.version }

// SHA256 returns the hex digest of the encoded model.
func (m *Model) SHA256() string { return m.sha256 }

// Arms returns how many arms and arm features the model knows.
func (m *Model) Arms() int { return m.core.lin.cols.len() - 2 }

// Features returns how many distinct context features the model knows.
func (m *Model) Features() int { return m.core.lin.rows.len() - 1 }

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
	s.rows = c.findRows(s.rows[:0], ctx)
	for i := range arms {
		s.cols = c.findCols(s.cols[:0], &arms[i])
		mean, variance := c.lin.predict(s.rows, s.cols, priorPrecision)
		out[i] = Score{
			Value:  c.lo + (c.hi-c.lo)*min(max(mean, 0), 1),
			StdErr: (c.hi - c.lo) * math.Sqrt(variance),
			Known:  c.known(&arms[i]),
		}
	}
}

const (
	priorPrecision = 1.0
	noiseVariance  = 0.25
)

func (c *core) known(a *Arm) bool {
	at := c.lin.cols.find(xxhash.Sum64String(a.ID) ^ armSalt)
	return at >= 0 && c.seen[at] > 0
}

func (c *core) findRows(rows []term, ctx *Features) []term {
	rows = append(rows, term{0, 1})
	for i := range ctx.Len() {
		if at := c.lin.rows.find(ctx.entries[i].hash); at >= 0 {
			rows = append(rows, term{at, ctx.entries[i].value})
		}
	}
	return rows
}

func (c *core) findCols(cols []term, a *Arm) []term {
	cols = append(cols, term{0, 1})
	if a.Baseline {
		cols = append(cols, term{1, 1})
	}
	if at := c.lin.cols.find(xxhash.Sum64String(a.ID) ^ armSalt); at >= 0 {
		cols = append(cols, term{at, 1})
	}
	for i := range a.Features.Len() {
		if at := c.lin.cols.find(a.Features.entries[i].hash); at >= 0 {
			cols = append(cols, term{at, a.Features.entries[i].value})
		}
	}
	return cols
}

// Explain returns the top largest contributions of context features to the
// arm's score, largest magnitude first. Features whose names were not kept
// appear as "#" and their hash. It allocates; it is not for the hot path.
func (m *Model) Explain(ctx *Features, arm Arm, top int) []Factor {
	var s Scratch
	c := &m.core
	cols := c.findCols(nil, &arm)
	add := func(name string, r term, into []Factor) []Factor {
		s.rows = append(s.rows[:0], r)
		v, _ := c.lin.predict(s.rows, cols, priorPrecision)
		return append(into, Factor{Name: name, Value: (c.hi - c.lo) * v})
	}
	factors := add("base", term{0, 1}, nil)
	for i := range ctx.Len() {
		if at := c.lin.rows.find(ctx.entries[i].hash); at >= 0 {
			factors = add(ctx.label(i), term{at, ctx.entries[i].value}, factors)
		}
	}
	slices.SortStableFunc(factors, func(a, b Factor) int {
		switch x, y := math.Abs(a.Value), math.Abs(b.Value); {
		case x > y:
			return -1
		case x < y:
			return 1
		default:
			return 0
		}
	})
	return factors[:min(top, len(factors))]
}
