package congestion

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestCost(t *testing.T) {
	for _, c := range []struct{ price, wait, want float64 }{
		{0.02, 10, 0.2},
		{0, 10, 0},
		{0.02, 0, 0},
		{-1, 10, 0},
		{0.02, -3, 0},
		{math.NaN(), 1, 0},
		{1, math.NaN(), 0},
		{0, math.Inf(1), 0},
		{1, math.Inf(1), maxCost},
	} {
		if got := Cost(c.price, c.wait); got != c.want {
			t.Errorf("Cost(%g, %g) = %g, want %g", c.price, c.wait, got, c.want)
		}
	}
}

// A longer wait or a higher price never helps, and equal waits never change an order.
func TestPriorityIsMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		price := rapid.Float64Range(0, 10).Draw(t, "price")
		wait, more := rapid.Float64Range(0, 600).Draw(t, "wait"), rapid.Float64Range(0, 600).Draw(t, "more")
		a, b := rapid.Float64Range(-1, 1).Draw(t, "a"), rapid.Float64Range(-1, 1).Draw(t, "b")
		if Priority(a, Cost(price, wait+more)) > Priority(a, Cost(price, wait)) {
			t.Fatal("a longer wait ranks higher")
		}
		if x, y := Priority(a, Cost(price, wait)), Priority(b, Cost(price, wait)); a < b && x > y {
			t.Fatal("equal waits change the order")
		}
	})
}
