package model

import (
	"cmp"
	"math"
	"slices"
)

// Explain is ExplainAmong for an arm by itself, where no baseline is known or
// the arm is the baseline.
func (m *Model) Explain(ctx *Features, arm Arm, top int) []Factor {
	return m.ExplainAmong(ctx, []Arm{arm}, 0, top)
}

// ExplainAmong returns the top largest contributions to the score of
// arms[chosen] by the sparse family, largest magnitude first: one per context
// feature, "arm" for the arm by itself, "name" for words that its name shares with the
// context and, beside a baseline, "fit" for how well it fits the context. It allocates; it is not for the hot path.
func (m *Model) ExplainAmong(ctx *Features, arms []Arm, chosen, top int) []Factor {
	if chosen < 0 || chosen >= len(arms) {
		return nil
	}
	var s Scratch
	c := &m.core
	d := decision{base: baselineOf(arms), chosen: chosen}
	at := c.armColumn(&arms[chosen])
	c.findRows(&s, ctx)
	c.findCols(&s, &arms[chosen], at, &d)
	var factors []Factor
	names := c.rowNames(ctx)
	for i, r := range s.rows {
		v, _ := c.lin.predict(s.rows[i:i+1], s.cols)
		factors = append(factors, Factor{Name: names[r.at], Value: (c.hi - c.lo) * v})
	}
	if d.base >= 0 {
		d.baseFit = c.fit(&s, c.armColumn(&arms[d.base]))
		pair := c.pairOf(&s, at, &d)
		v, _ := c.good.predict(&pair, d.pairState())
		factors = append(factors, Factor{Name: "fit", Value: (c.hi - c.lo) * v})
	} else {
		c.names.find(&s.match, ctx)
		if x, ok := c.names.pair(&s.match, at); ok {
			v, _ := c.names.predict(&x)
			factors = append(factors, Factor{Name: "name", Value: (c.hi - c.lo) * v})
		}
	}
	slices.SortStableFunc(factors, func(a, b Factor) int {
		return cmp.Compare(math.Abs(b.Value), math.Abs(a.Value))
	})
	return factors[:min(max(top, 0), len(factors))]
}

func (c *core) rowNames(ctx *Features) map[int32]string {
	names := map[int32]string{rowConstant: "arm"}
	for i := range ctx.Len() {
		if at := c.lin.rows.find(ctx.entries[i].hash); at >= 0 {
			names[at] = ctx.label(i)
		}
	}
	return names
}
