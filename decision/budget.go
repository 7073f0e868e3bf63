package decision

import (
	"math"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"
)

// budgets counts exploratory draws by account, target and clock hour, in this
// process alone. It takes no lock and, after the first use, no memory.
type budgets struct {
	cells atomic.Pointer[[budgetCells]budgetCell]
}

// budgetCell counts for one target. state is the hour and the draws in it.
type budgetCell struct{ key, state atomic.Uint64 }

const (
	budgetCells  = 1 << 14 // targets that are counted at once: 256 KiB
	budgetProbes = 16
)

// budgetKey is the target's place; 0 stands for an empty cell.
func budgetKey(account, target string) uint64 {
	return max(1, mix(xxhash.Sum64String(account)*saltShare^xxhash.Sum64String(target)))
}

// take counts a draw unless the hour has had limit of them. Where more targets are
// explored at once than there are cells it refuses: no draw goes uncounted.
func (b *budgets) take(key uint64, hour uint32, limit int64) bool {
	if limit <= 0 {
		return false
	}
	cell := b.find(key, hour, true)
	if cell == nil {
		return false
	}
	for {
		state := cell.state.Load()
		at, n := now(state, hour)
		if int64(n) >= limit || n == math.MaxUint32 {
			return false
		}
		if cell.state.CompareAndSwap(state, uint64(at)<<32|uint64(n+1)) {
			return true
		}
	}
}

// give takes a draw back that was counted and not made.
func (b *budgets) give(key uint64, hour uint32) {
	cell := b.find(key, hour, false)
	if cell == nil {
		return
	}
	for {
		state := cell.state.Load()
		if uint32(state) == 0 || uint32(state>>32) < hour {
			return
		}
		if cell.state.CompareAndSwap(state, state-1) {
			return
		}
	}
}

// left is take that counts nothing.
func (b *budgets) left(key uint64, hour uint32, limit int64) bool {
	if limit <= 0 {
		return false
	}
	cell := b.find(key, hour, false)
	if cell == nil {
		return true
	}
	_, n := now(cell.state.Load(), hour)
	return int64(n) < limit
}

// now is the hour of a cell and its draws. A clock that is behind another counts
// into the later hour, so that no hour has more than its budget.
func now(state uint64, hour uint32) (at, n uint32) {
	if at = uint32(state >> 32); at >= hour {
		return at, uint32(state)
	}
	return hour, 0
}

// find returns the cell of a key; when claim is set one is made for it, in the place
// of a target that was not drawn this hour if need be. It is nil when there is none.
func (b *budgets) find(key uint64, hour uint32, claim bool) *budgetCell {
	cells := b.cells.Load()
	if cells == nil {
		if !claim {
			return nil
		}
		b.cells.CompareAndSwap(nil, new([budgetCells]budgetCell))
		cells = b.cells.Load()
	}
	var stale *budgetCell
	var staleKey uint64
	for probe := range uint64(budgetProbes) {
		cell := &cells[(key+probe)%budgetCells]
		k := cell.key.Load()
		if k == 0 && claim && cell.key.CompareAndSwap(0, key) {
			return cell
		}
		if k = cell.key.Load(); k == key {
			return cell
		}
		if stale == nil && uint32(cell.state.Load()>>32) < hour {
			stale, staleKey = cell, k
		}
	}
	if claim && stale != nil && stale.key.CompareAndSwap(staleKey, key) {
		return stale
	}
	return nil
}
