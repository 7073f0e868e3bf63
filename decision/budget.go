package decision

import (
	"math"
	"runtime"
	"sync/atomic"

	"github.com/cespare/xxhash/v2"
)

// budgets counts exploratory draws by account, target and clock hour, in this
// process alone. After the first use it takes no memory, and nobody waits but for the
// instant in which a cell changes hands.
type budgets struct {
	cells atomic.Pointer[[budgetCells]budgetCell]
}

// budgetCell counts for one target. state is the hour and the draws in it, or sealed
// while the cell changes hands: the key changes under the seal alone, and the hour is
// claimed with it, so that nobody takes the new cell for one of an hour long past.
type budgetCell struct{ key, state atomic.Uint64 }

const (
	budgetCells  = 1 << 14 // targets that are counted at once: 256 KiB
	budgetProbes = 16
	sealed       = math.MaxUint64
)

// budgetKey is the target's place; 0 stands for an empty cell.
func budgetKey(account, target string) uint64 {
	return max(1, mix(xxhash.Sum64String(account)*saltShare^xxhash.Sum64String(target)))
}

// draw is one that was counted, in a cell and an hour; none without a cell.
type draw struct {
	cell *budgetCell
	key  uint64
	hour uint32
}

// take counts a draw unless the hour has had limit of them; the draw has no cell then.
// Where more targets are explored at once than there are cells it refuses: no draw goes
// uncounted.
func (b *budgets) take(key uint64, hour uint32, limit int64) draw {
	for limit > 0 {
		cell := b.find(key, hour, true)
		if cell == nil {
			break
		}
		state := cell.open()
		at, n := now(state, hour)
		if cell.key.Load() != key {
			continue // it was handed on just now
		}
		if int64(n) >= limit || n == math.MaxUint32 {
			break
		}
		if cell.state.CompareAndSwap(state, uint64(at)<<32|uint64(n+1)) {
			return draw{cell, key, at}
		}
	}
	return draw{}
}

// give takes a draw back that was counted and not made. When the hour of its cell has
// turned there is nothing to take back any more.
func (d draw) give() {
	for d.cell != nil {
		state := d.cell.open()
		if uint32(state) == 0 || uint32(state>>32) != d.hour || d.cell.key.Load() != d.key {
			return
		}
		if d.cell.state.CompareAndSwap(state, state-1) {
			return
		}
	}
}

// open is the state of a cell when it is not sealed.
func (c *budgetCell) open() uint64 {
	for {
		if state := c.state.Load(); state != sealed {
			return state
		}
		runtime.Gosched()
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
	_, n := now(cell.open(), hour)
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
	for {
		var stale *budgetCell
		var was uint64
		for probe := range uint64(budgetProbes) {
			cell := &cells[(key+probe)%budgetCells]
			state := cell.open()
			k := cell.key.Load()
			if k == key {
				return cell
			}
			if stale == nil && uint32(state>>32) < hour {
				stale, was = cell, state
			}
			if k == 0 {
				break // what was never used ends the search
			}
		}
		if !claim || stale == nil {
			return nil
		}
		if stale.state.CompareAndSwap(was, sealed) {
			stale.key.Store(key)
			stale.state.Store(uint64(hour) << 32)
			return stale
		}
	}
}
