package model

import (
	"sync"
	"sync/atomic"
)

// pair is what a registry swaps in one step.
type pair struct{ current, previous *Model }

// Registry holds the live model of each account. Readers never lock against
// each other or against a swap; writers are serialised. The zero value is ready.
type Registry struct {
	mu    sync.Mutex
	slots sync.Map // account -> *atomic.Pointer[pair]
}

// Current returns the account's live model, or nil when it has none.
func (r *Registry) Current(account string) *Model {
	if p := r.load(account); p != nil {
		return p.current
	}
	return nil
}

// Previous returns the model that a Rollback would bring back, or nil.
func (r *Registry) Previous(account string) *Model {
	if p := r.load(account); p != nil {
		return p.previous
	}
	return nil
}

func (r *Registry) load(account string) *pair {
	v, ok := r.slots.Load(account)
	if !ok {
		return nil
	}
	slot, _ := v.(*atomic.Pointer[pair])
	return slot.Load()
}

// Swap makes m the account's live model and keeps the one it replaces warm. A
// nil m takes the account back to no model. Swapping in the version that is
// already live changes nothing.
func (r *Registry) Swap(account string, m *Model) {
	r.mu.Lock()
	defer r.mu.Unlock()
	v, _ := r.slots.LoadOrStore(account, &atomic.Pointer[pair]{})
	slot, _ := v.(*atomic.Pointer[pair])
	next := &pair{current: m}
	if old := slot.Load(); old != nil {
		if m != nil && old.current != nil && old.current.Version() == m.Version() {
			return
		}
		next.previous = old.current
	}
	slot.Store(next)
}

// Rollback exchanges the live and the previous model and returns the one that
// is live now. It returns false, and changes nothing, when none is kept.
func (r *Registry) Rollback(account string) (*Model, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	v, ok := r.slots.Load(account)
	if !ok {
		return nil, false
	}
	slot, _ := v.(*atomic.Pointer[pair])
	old := slot.Load()
	if old == nil || old.previous == nil {
		return nil, false
	}
	slot.Store(&pair{current: old.previous, previous: old.current})
	return old.previous, true
}
