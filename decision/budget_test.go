package decision

import (
	"sync"
	"sync/atomic"
	"testing"
)

// A draw that is given back after its hour has turned takes none off the next hour.
func TestABudgetGivesBackInItsHourAlone(t *testing.T) {
	var b budgets
	const key = 7
	early := b.take(key, 1, 2)
	for range 2 {
		if b.take(key, 2, 2).cell == nil {
			t.Fatal("the next hour has a budget of its own")
		}
	}
	early.give()
	if b.left(key, 2, 2) || b.take(key, 2, 2).cell != nil {
		t.Error("a draw of the hour before was taken off this hour's count")
	}
	late := b.take(key, 3, 1)
	late.give()
	if !b.left(key, 3, 1) {
		t.Error("a draw was not given back in its own hour")
	}
	// Another target has the cell now: nothing of it is given back.
	late = b.take(key, 3, 1)
	for i := range uint64(budgetProbes) {
		b.take(key+(i+1)*budgetCells, 4, 1)
	}
	late.give()
	if b.left(key+budgetCells, 4, 1) {
		t.Error("a draw was taken off another target's count")
	}
}

// Targets that share their cells, with many deciders on each, get exactly their
// budgets in every hour, and cells change hands as hours turn.
func TestTargetsThatCollideKeepTheirBudgets(t *testing.T) {
	const deciders, limit, rounds = 8, 3, 400
	for round := range rounds {
		var b budgets
		for hour := range uint32(3) {
			var drawn [budgetProbes]atomic.Int64
			var wait sync.WaitGroup
			start := make(chan struct{})
			for decider := range deciders {
				wait.Go(func() {
					<-start
					for i := range drawn {
						i = (i + decider) % budgetProbes
						// Other targets in every hour, in the same cells.
						key := 1 + uint64(hour)*budgetCells*budgetProbes + uint64(i)*budgetCells
						for range limit {
							if b.take(key, hour+1, limit).cell != nil {
								drawn[i].Add(1)
							}
						}
					}
				})
			}
			close(start)
			wait.Wait()
			for i := range drawn {
				if n := drawn[i].Load(); n != limit {
					t.Fatalf("round %d, hour %d: target %d had %d draws, not %d", round, hour, i, n, limit)
				}
			}
		}
	}
}

// A cell that was claimed and not counted in yet belongs to its target all the same.
func TestAClaimedCellIsNotTakenForAStaleOne(t *testing.T) {
	var b budgets
	for i := range uint64(budgetProbes) {
		key := 1 + i*budgetCells
		if cell := b.find(key, 9, true); cell == nil || b.find(key, 9, false) != cell {
			t.Fatalf("target %d has no cell", i)
		}
	}
	if b.find(1+budgetProbes*budgetCells, 9, true) != nil {
		t.Error("a target took a cell that another one had just claimed")
	}
	if b.find(1+budgetProbes*budgetCells, 10, true) == nil {
		t.Error("no cell was free in the next hour")
	}
}
