package main

import (
	"testing"
	"time"
)

// TestEnginesAgree: nothing is timed before all sides decide alike.
func TestEnginesAgree(t *testing.T) {
	for _, size := range []int{1, 7, 60} {
		matched := 0
		for seed := range uint64(3) {
			rules, asks := random(seed, size, 1200)
			names, all, err := engines(rules)
			if err != nil {
				t.Fatal(err)
			}
			m, err := agree(names, all, asks)
			if err != nil {
				t.Fatalf("%d rules, seed %d: %v", size, seed, err)
			}
			matched += m
		}
		if matched == 0 {
			t.Errorf("%d rules: no ask matched, the test shows nothing", size)
		}
	}
}

// TestDuel: a side that does twice the work takes about twice the time.
func TestDuel(t *testing.T) {
	spin := func(k int) func(int) {
		return func(n int) {
			x := uint64(1)
			for range n * k {
				x = x*6364136223846793005 + 1442695040888963407
			}
			sink += x
		}
	}
	res := duel(9, 5*time.Millisecond, []contestant{{"one", spin(1000)}, {"two", spin(2000)}})
	if r := res[1].ratio; r < 0.35 || r > 0.75 {
		t.Errorf("half the work takes %.2f of the time", r)
	}
}

// TestExplanationIsWhole: what is timed as an explained decision has every condition
// of every policy, and the same answer as a plain one.
func TestExplanationIsWhole(t *testing.T) {
	d, err := newDesk(150, true)
	if err != nil {
		t.Fatal(err)
	}
	full, err := d.ask(true)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := d.ask(false)
	if err != nil {
		t.Fatal(err)
	}
	conditions := 0
	for _, p := range full.Policies {
		conditions += len(p.Conditions)
	}
	if len(full.Policies) != 150 || conditions != 150*6 || len(plain.Policies) != 1 || full.Chosen != plain.Chosen || full.Policy != "p00149" {
		t.Errorf("%d policies, %d conditions, chosen %q and %q by %q", len(full.Policies), conditions, full.Chosen, plain.Chosen, full.Policy)
	}
}
