package policystore

import (
	"math"
	"slices"
)

// ranked gives each policy of a list in its wanted order a rank above that of the
// one before it. Those that are live have one, all but the one called moving. As
// few ranks as can be change: those in the longest run that is in order stay, and
// the others go between them. Only when doubles have no room there the whole list
// is numbered anew.
func ranked(target, live []entry, moving string) []float64 {
	was := places(live)
	delete(was, moving)
	order, at := make([]int, 0, len(target)), make([]int, 0, len(target))
	n := len(target)
	if n > 0 && target[n-1].isDefault() {
		n-- // it is last whatever its rank
	}
	for i := range n {
		if place, ok := was[target[i].Name]; ok {
			order, at = append(order, place), append(at, i)
		}
	}
	ranks, keep := make([]float64, len(target)), make([]bool, n)
	for i, stays := range heaviest(order, nil) {
		keep[at[i]] = stays
		ranks[at[i]] = live[order[i]].Rank
	}
	for from := 0; from < n; {
		if keep[from] {
			from++
			continue
		}
		to := from
		for to < n && !keep[to] {
			to++
		}
		fill(ranks, from, to, n)
		from = to
	}
	for i := 1; i < n; i++ {
		// Equal ranks are in order only by their names, which is for those to stay
		// that were so before.
		if !(ranks[i-1] < ranks[i]) && !(keep[i-1] && keep[i]) || math.IsInf(ranks[i], 0) {
			return numbered(len(target), n)
		}
	}
	return ranks
}

// fill spaces out the ranks of [from, to) between their neighbours.
func fill(ranks []float64, from, to, n int) {
	count := float64(to - from)
	var low, step float64
	switch {
	case from == 0 && to == n:
		low, step = 0, 1
	case from == 0:
		low, step = ranks[to]-count-1, 1
	case to == n:
		low, step = ranks[from-1], 1
	default:
		low, step = ranks[from-1], (ranks[to]-ranks[from-1])/(count+1)
	}
	for i := from; i < to; i++ {
		ranks[i] = low + step*float64(i-from+1)
	}
}

func numbered(size, n int) []float64 {
	ranks := make([]float64, size)
	for i := range n {
		ranks[i] = float64(i + 1)
	}
	return ranks
}

// heaviest marks the members of an increasing subsequence of distinct values with
// the greatest sum of weights, nil meaning 1 each. It takes n log n steps.
func heaviest(values []int, weights []int) []bool {
	out := make([]bool, len(values))
	if slices.IsSorted(values) {
		for i := range out {
			out[i] = true
		}
		return out
	}
	ordered := slices.Sorted(slices.Values(values))
	ends := newEnds(len(values))
	before, best := make([]int, len(values)), -1
	for i, v := range values {
		place, _ := slices.BinarySearch(ordered, v)
		before[i] = ends.best(place)
		ends.sum[i] = 1
		if weights != nil {
			ends.sum[i] = weights[i]
		}
		if before[i] >= 0 {
			ends.sum[i] += ends.sum[before[i]]
		}
		ends.add(place, i)
		if best < 0 || ends.sum[i] > ends.sum[best] {
			best = i
		}
	}
	for ; best >= 0; best = before[best] {
		out[best] = true
	}
	return out
}

// ends is a Fenwick tree of subsequences by the place of their last value: each
// node has the heaviest of those that it covers, -1 for none.
type ends struct {
	node []int
	sum  []int // weight of the subsequence that ends with a member
}

func newEnds(n int) *ends {
	e := &ends{node: make([]int, n+1), sum: make([]int, n)}
	for i := range e.node {
		e.node[i] = -1
	}
	return e
}

// best is the heaviest of those whose last value has a lower place.
func (e *ends) best(place int) int {
	best := -1
	for j := place; j > 0; j &= j - 1 {
		if m := e.node[j]; m >= 0 && (best < 0 || e.sum[m] > e.sum[best]) {
			best = m
		}
	}
	return best
}

func (e *ends) add(place, member int) {
	for j := place + 1; j < len(e.node); j += j & -j {
		if m := e.node[j]; m < 0 || e.sum[member] > e.sum[m] {
			e.node[j] = member
		}
	}
}
