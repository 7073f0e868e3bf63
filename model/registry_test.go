package model_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/usherhq/usher/model"
)

func TestRegistrySwapsAndRollsBack(t *testing.T) {
	var r model.Registry
	l := newLearner(t, model.DefaultConfig())
	one, two := l.Snapshot("1"), l.Snapshot("2")
	if r.Current("acme") != nil {
		t.Fatal("a new registry has a model")
	}
	if _, ok := r.Rollback("acme"); ok {
		t.Error("rolled back from nothing")
	}
	r.Swap("acme", one)
	if _, ok := r.Rollback("acme"); ok {
		t.Error("rolled back to nothing")
	}
	r.Swap("acme", two)
	r.Swap("acme", two) // again: the previous one must stay
	if r.Current("acme") != two || r.Previous("acme") != one || r.Current("other") != nil {
		t.Error("wrong models after a swap")
	}
	if m, ok := r.Rollback("acme"); !ok || m != one || r.Current("acme") != one || r.Previous("acme") != two {
		t.Error("wrong models after a rollback")
	}
	r.Swap("acme", nil)
	if r.Current("acme") != nil || r.Previous("acme") != one {
		t.Error("wrong models after taking the model away")
	}
}

// Readers must always see a whole model while writers swap; run with -race.
func TestRegistryIsSafeForConcurrentUse(t *testing.T) {
	var r model.Registry
	l := newLearner(t, model.DefaultConfig())
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			account := fmt.Sprint("a", w%2)
			for i := range 200 {
				r.Swap(account, l.Snapshot(fmt.Sprint(w, "-", i)))
				if m := r.Current(account); m == nil || m.Version() == "" {
					t.Error("no model after a swap")
				}
				r.Rollback(account)
			}
		})
	}
	wg.Wait()
}
