package trainer

import (
	"math"
	"slices"
	"sort"
	"time"
)

// WeighOpenRows is the Account.OpenRows that lets an outcome stand for those of
// its age that have not come yet. Anything else waits: a row counts once, when its
// outcome has come or its window has passed.
const WeighOpenRows = "WEIGH"

// maturity is how long outcomes take, as far as the rows tell. Decisions made
// yesterday can only have shown delays of a day, so the plain distribution of the
// delays seen is too short. This is the product-limit estimate for such right-
// truncated delays (Lynden-Bell): each delay is held against the rows that were
// old enough to show it.
type maturity struct {
	delays []float64 // seconds, rising
	share  []float64 // of outcomes that come within that time
}

// newMaturity estimates from rows with an outcome, as seen at now.
func newMaturity(rows []*Row, now time.Time) *maturity {
	var delays, ages []float64
	for _, r := range rows {
		if r.Settled.IsZero() {
			continue
		}
		d := max(0, r.Settled.Sub(r.Time).Seconds())
		delays = append(delays, d)
		ages = append(ages, max(d, now.Sub(r.Time).Seconds()))
	}
	slices.Sort(delays)
	slices.Sort(ages)
	m := &maturity{}
	for i := 0; i < len(delays); {
		k := i
		for k < len(delays) && delays[k] == delays[i] {
			k++
		}
		m.delays = append(m.delays, delays[i])
		// Those whose delay is at most this one, of rows at least as old.
		risk := float64(k - sort.SearchFloat64s(ages, delays[i]))
		m.share = append(m.share, 1-float64(k-i)/max(risk, float64(k-i)))
		i = k
	}
	// What is in share now is the chance not to have this delay among shorter or
	// equal ones; the product from above is the distribution.
	within := 1.0
	for i := len(m.share) - 1; i >= 0; i-- {
		within, m.share[i] = within*m.share[i], within
	}
	return m
}

// within returns the share of outcomes that come no later than age, 1 when no
// delay is known.
func (m *maturity) within(age time.Duration) float64 {
	at := sort.SearchFloat64s(m.delays, math.Nextafter(age.Seconds(), math.Inf(1)))
	switch {
	case len(m.delays) == 0:
		return 1
	case at == 0:
		return 0
	default:
		return m.share[at-1]
	}
}

const (
	// leastShare bounds how many rows one may stand for.
	leastShare = 0.1
	// weightStep is the ratio of neighbouring weights: a row that ages does not
	// become another row at every fit.
	weightStep = 1.25
)

// weight is how many decisions of its age a row with an outcome stands for.
func (m *maturity) weight(age time.Duration) float64 {
	w := 1 / max(m.within(age), leastShare)
	return math.Pow(weightStep, math.Floor(math.Log(w)/math.Log(weightStep)+1e-9))
}

// mature gives the batch's rows their weights when open rows are weighed, and
// notes how far they are mature on the average.
func (b *batch) mature(a Account, now time.Time) {
	m := newMaturity(b.rows, now)
	settled := 0
	for i, r := range b.rows {
		if r.Settled.IsZero() {
			continue
		}
		settled++
		b.maturity += m.within(now.Sub(r.Time))
		if a.OpenRows == WeighOpenRows {
			r.Weight = m.weight(now.Sub(r.Time))
			b.marks[i] = markOf(r)
		}
	}
	if b.maturity /= float64(max(1, settled)); settled == 0 {
		b.maturity = 1
	}
}
