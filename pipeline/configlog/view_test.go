package configlog_test

import (
	"context"
	"sync"
	"testing"

	"github.com/usherhq/usher/pipeline/configlog"
	"github.com/usherhq/usher/pipeline/event"
)

func TestViewFollowsTheStateAndComputesOnce(t *testing.T) {
	var log configlog.Memory
	store := configlog.New(&log)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = store.Run(ctx) })
	defer running.Wait()
	defer cancel()
	<-store.Ready()
	computed := 0
	view := configlog.NewView(store, func(old *int, st *configlog.State) *int {
		computed++
		n := len(st.List("a", configlog.KindPolicy))
		if old != nil && *old > n {
			t.Errorf("the value before was %d, now %d", *old, n)
		}
		return &n
	})
	for want := range 3 {
		for range 5 {
			if got := *view.Get(); got != want {
				t.Fatalf("view = %d, want %d", got, want)
			}
		}
		name := string(rune('a' + want))
		if _, err := store.Write(ctx, event.ConfigChange{Account: "a", Kind: configlog.KindPolicy, Name: name, Value: []byte(`{}`)}); err != nil {
			t.Fatal(err)
		}
		if got := *view.Refresh(); got != want+1 {
			t.Fatalf("view after the write = %d, want %d", got, want+1)
		}
	}
	if computed != 4 {
		t.Errorf("computed %d times, want once per state", computed)
	}
}
