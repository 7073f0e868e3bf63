package configlog

import (
	"sync"
	"sync/atomic"
)

// View is a typed reading of the newest snapshot, computed once per snapshot.
// Readers share it through an atomic pointer. Make it with [NewView].
type View[T any] struct {
	store  interface{ State() *State }
	derive func(old *T, st *State) *T
	mu     sync.Mutex
	cached atomic.Pointer[derived[T]]
}

type derived[T any] struct {
	state *State
	value *T
}

// NewView makes a view of a store. derive computes the value for a snapshot; old
// is the value before, nil at first, of which it may keep the parts that did not
// change. It must be pure and must not change old.
func NewView[T any](store interface{ State() *State }, derive func(old *T, st *State) *T) *View[T] {
	return &View[T]{store: store, derive: derive}
}

// Get returns the value for the newest snapshot. It never waits: while another
// goroutine computes it, the one before is returned.
func (v *View[T]) Get() *T {
	c := v.cached.Load()
	if c != nil && c.state == v.store.State() {
		return c.value
	}
	if c == nil {
		return v.Refresh()
	}
	if !v.mu.TryLock() {
		return c.value
	}
	defer v.mu.Unlock()
	return v.update()
}

// Refresh returns the value for the newest snapshot, and waits for it. Writers
// call it after a write, so that whoever learns of the write sees it.
func (v *View[T]) Refresh() *T {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.update()
}

func (v *View[T]) update() *T {
	st, old := v.store.State(), v.cached.Load()
	var before *T
	if old != nil {
		if old.state == st {
			return old.value
		}
		before = old.value
	}
	next := &derived[T]{state: st, value: v.derive(before, st)}
	v.cached.Store(next)
	return next.value
}
