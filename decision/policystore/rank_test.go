package policystore

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/usherhq/usher/decision/policy"
)

// heaviestByTrying tries every subsequence.
func heaviestByTrying(values, weights []int) int {
	best := 0
	for mask := range 1 << len(values) {
		sum, last, ok := 0, -1, true
		for i, v := range values {
			if mask>>i&1 == 1 {
				ok = ok && v > last
				last = v
				sum += weights[i]
			}
		}
		if ok {
			best = max(best, sum)
		}
	}
	return best
}

func TestHeaviestIsIncreasingAndHeaviest(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 9).Draw(t, "n")
		values := make([]int, n)
		for i := range values {
			values[i] = i
		}
		values = rapid.Permutation(values).Draw(t, "values")
		weights := rapid.SliceOfN(rapid.IntRange(1, 5), n, n).Draw(t, "weights")
		sum, last := 0, -1
		for i, in := range heaviest(values, weights) {
			if !in {
				continue
			}
			if values[i] <= last {
				t.Fatalf("%v is not increasing at %d", values, i)
			}
			last, sum = values[i], sum+weights[i]
		}
		if want := heaviestByTrying(values, weights); sum != want && !slices.IsSorted(values) {
			t.Fatalf("weighs %d, want %d", sum, want)
		}
	})
}

// TestRanksFollowTheOrder: whatever order is wanted, the ranks give it, the
// untouched ones stay, and only as many change as must, unless there is no room.
func TestRanksFollowTheOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 8).Draw(t, "live")
		rank := rapid.SampledFrom([]float64{-3, 0, 1, 1e17}).Draw(t, "first")
		gap := rapid.SampledFrom([]float64{1, 0.5, 1e-3, 32}).Draw(t, "gap")
		var live []entry
		for i := range n {
			live = append(live, entry{Policy: &policy.Policy{Name: fmt.Sprintf("p%d", i), Rank: rank}})
			rank = max(rank+gap, math.Nextafter(rank, math.Inf(1)))
		}
		target := append([]entry(nil), live...)
		for i := range rapid.IntRange(0, 3).Draw(t, "new") {
			target = append(target, entry{Policy: &policy.Policy{Name: fmt.Sprintf("new%d", i)}})
		}
		target = rapid.Permutation(target).Draw(t, "order")[:rapid.IntRange(1, len(target)).Draw(t, "size")]
		ranks := ranked(target, live, "")
		was := places(live)
		var order []int
		kept, anew := 0, true
		for i := range target {
			if i > 0 && ranks[i] <= ranks[i-1] {
				t.Fatalf("ranks %v of %v are not in order", ranks, policiesIn(target))
			}
			anew = anew && ranks[i] == float64(i+1)
			if at, ok := was[target[i].Name]; ok {
				order = append(order, at)
				if live[at].Rank == ranks[i] {
					kept++
				}
			}
		}
		weights := make([]int, len(order))
		for i := range weights {
			weights[i] = 1
		}
		if want := heaviestByTrying(order, weights); kept < want && !anew {
			t.Fatalf("%d of %d ranks stayed: %v", kept, want, ranks)
		}
	})
}
