package model

import "github.com/cespare/xxhash/v2"

// evidence sums up, by column, what was learned of arms themselves.
type evidence struct {
	good []int64   // rewards above the middle of their range
	sum  []float64 // of rewards, scaled to 0..1
}

// ArmEvidence is how much a model has seen of an arm.
type ArmEvidence struct {
	// Rows is how many examples chose it, Positives how many of these brought a reward
	// above the middle of the objective's range.
	Rows, Positives int64
	// MeanReward is in the units of the objective, 0 without rows.
	MeanReward float64
}

func (e *evidence) add(at int32, reward float64) {
	if reward > 0.5 {
		e.good[at]++
	}
	e.sum[at] += reward
}

// grow makes room for n columns.
func (e *evidence) grow(n int) {
	for len(e.good) < n {
		e.good, e.sum = append(e.good, 0), append(e.sum, 0)
	}
}

func (e *evidence) clone() evidence {
	return evidence{good: append([]int64(nil), e.good...), sum: append([]float64(nil), e.sum...)}
}

// Positives is how many rewards above the middle of the objective's range the arm has
// brought; 0 for one that the model does not know. It takes no memory.
func (m *Model) Positives(arm string) int64 {
	if at := m.core.lin.cols.find(xxhash.Sum64String(arm) ^ armSalt); at >= 0 {
		return m.core.evidence.good[at]
	}
	return 0
}

// Evidence returns how much the model has seen of an arm.
func (m *Model) Evidence(arm string) ArmEvidence {
	c := &m.core
	at := c.lin.cols.find(xxhash.Sum64String(arm) ^ armSalt)
	if at < 0 || c.seen[at] == 0 {
		return ArmEvidence{}
	}
	mean := c.evidence.sum[at] / float64(c.seen[at])
	return ArmEvidence{Rows: c.seen[at], Positives: c.evidence.good[at], MeanReward: c.lo + mean*(c.hi-c.lo)}
}

// evidence writes the columns that were seen.
func (w *writer) evidence(e *evidence, seen []int64) {
	for i, n := range seen {
		if n > 0 {
			w.count(int(e.good[i]))
			w.f64(e.sum[i])
		}
	}
}

func (r *reader) evidence(e *evidence, seen []int64) {
	for i, n := range seen {
		if n == 0 || r.err != nil {
			continue
		}
		e.good[i], e.sum[i] = int64(r.count(int(n))), r.f64()
		r.check(e.sum[i] >= 0 && e.sum[i] <= float64(n)*(1+1e-9), "evidence")
	}
}
