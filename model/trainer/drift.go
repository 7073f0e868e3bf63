package trainer

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"sort"

	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/model/evaluate"
)

const (
	// Beyond these an operator is warned: a population stability index as credit
	// scoring uses it, and standard errors.
	alarmingIndex, alarmingErrors = 0.25, 4.0

	driftRows   = 100 // the least on each side
	driftListed = 20  // attributes and arms on a card, the farthest first
)

// drift holds the newest rows against those before them: those that the champion
// had not learned from where these are many enough and not too many, else the
// newest fifth.
func drift(j job, p *profile, t *trial) []model.Drift {
	n := len(p.rows)
	split := n - n/5
	if j.rival != nil {
		at := sort.Search(n, func(i int) bool { return p.rows[i].Time.After(j.rival.card.TrainTo) })
		if at >= n/2 && n-at >= driftRows {
			split = at
		}
	}
	if split < driftRows || n-split < driftRows {
		return nil
	}
	out := append([]model.Drift{rewardDrift(p.rows, split)}, t.drift(j)...)
	var shares []model.Drift
	for _, name := range p.names {
		shares = append(shares, p.columns[name].drift(name, split))
	}
	shares = append(shares, armDrift(p.rows, split)...)
	slices.SortStableFunc(shares, func(a, b model.Drift) int { return cmp.Compare(b.Distance, a.Distance) })
	return append(out, shares[:min(len(shares), driftListed)]...)
}

func errorsApart(difference, variance float64) float64 {
	if difference == 0 {
		return 0
	}
	return min(math.Abs(difference)/math.Sqrt(max(variance, 1e-12)), 1e6)
}

func meanDrift(what string, reference, recent, distance float64, detail string) model.Drift {
	return model.Drift{
		What: what, Reference: reference, Recent: recent, Distance: distance,
		Alarming: distance > alarmingErrors, Detail: detail,
	}
}

func rewardDrift(rows []*Row, split int) model.Drift {
	var before, after evaluate.Sample
	for i, r := range rows {
		if i < split {
			before.Add(r.Reward)
		} else {
			after.Add(r.Reward)
		}
	}
	return meanDrift("reward", before.Mean(), after.Mean(),
		errorsApart(after.Mean()-before.Mean(), before.Variance()+after.Variance()),
		fmt.Sprintf("mean reward of the newest %d rows against the %d before", len(rows)-split, split))
}

// stability is the population stability index of two lists of counts, less what
// it would be on the average if both came from one distribution.
func stability(before, after []float64) float64 {
	var n, m float64
	for i := range before {
		n, m = n+before[i], m+after[i]
	}
	if n == 0 || m == 0 {
		return 0
	}
	bins := float64(len(before))
	index := 0.0
	for i := range before {
		a, b := (before[i]+0.5)/(n+bins/2), (after[i]+0.5)/(m+bins/2)
		index += (b - a) * math.Log(b/a)
	}
	return max(0, index-(bins-1)*(1/n+1/m))
}

func shareDrift(what string, reference, recent, index float64, detail string) model.Drift {
	return model.Drift{
		What: what, Reference: reference, Recent: recent, Distance: index,
		Alarming: index > alarmingIndex, Detail: detail,
	}
}

// driftBins is into how many values an attribute is told apart; the rarer ones
// count as one.
const driftBins = 10

// drift compares an attribute's values, absence among them.
func (c *column) drift(name string, split int) model.Drift {
	cells := c.grouped()
	counts := map[uint64]int{}
	for _, cell := range cells[:split] {
		counts[cell]++
	}
	common := make([]uint64, 0, len(counts))
	for cell := range counts {
		if cell != 0 {
			common = append(common, cell)
		}
	}
	slices.SortFunc(common, func(a, b uint64) int { return cmp.Or(counts[b]-counts[a], cmp.Compare(a, b)) })
	common = common[:min(len(common), driftBins)]
	bin := map[uint64]int{0: 0}
	for i, cell := range common {
		bin[cell] = i + 1
	}
	before, after := make([]float64, len(common)+2), make([]float64, len(common)+2)
	for i, cell := range cells {
		at, known := bin[cell]
		if !known {
			at = len(common) + 1
		}
		if i < split {
			before[at]++
		} else {
			after[at]++
		}
	}
	filled := func(counts []float64, n int) float64 { return 1 - counts[0]/float64(n) }
	return shareDrift("coverage:"+name, filled(before, split), filled(after, len(cells)-split), stability(before, after),
		"share of rows that have it; the distance is that of its values")
}

// armDrift compares how often each arm was chosen.
func armDrift(rows []*Row, split int) []model.Drift {
	counts := map[string]*[2]float64{}
	for i, r := range rows {
		c := counts[r.Chosen]
		if c == nil {
			c = &[2]float64{}
			counts[r.Chosen] = c
		}
		if i < split {
			c[0]++
		} else {
			c[1]++
		}
	}
	n, m := float64(split), float64(len(rows)-split)
	var out []model.Drift
	for arm, c := range counts {
		out = append(out, shareDrift("arm:"+arm, c[0]/n, c[1]/m,
			stability([]float64{c[0], n - c[0]}, []float64{c[1], m - c[1]}), "share of rows in which it was chosen"))
	}
	slices.SortFunc(out, func(a, b model.Drift) int { return cmp.Compare(a.What, b.What) })
	return out
}
