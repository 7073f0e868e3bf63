package control_test

import (
	"slices"
	"testing"
	"time"

	"github.com/usherhq/usher/decision/control"
)

// Who asks again while a request runs wants all gone up to now; what a failed one left
// to be counted anew is taken over.
func TestAskedToForgetAgain(t *testing.T) {
	c := start(t)
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	ask := func(at time.Time) control.Erasure {
		t.Helper()
		e, err := c.RequestErasure(t.Context(), "default", "h", at, ann)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	save := func(e control.Erasure) {
		t.Helper()
		if _, err := c.SaveErasure(t.Context(), "default", e, ann); err != nil {
			t.Fatal(err)
		}
	}
	first := ask(at)
	first.RowsGone, first.Decisions = true, 3
	save(first)
	again := ask(at.Add(time.Second))
	if again.Name != first.Name || again.RowsGone || !again.Requested.Equal(at.Add(time.Second)) || again.Decisions != 3 {
		t.Errorf("asked again it is %+v", again)
	}
	if same := ask(at); same.Revision != again.Revision {
		t.Errorf("an older request makes it %+v", same)
	}
	again.State, again.Hours = control.ErasureFailed, []int64{5, 7}
	save(again)
	fresh := ask(at.Add(time.Minute))
	if fresh.Name == first.Name || !slices.Equal(fresh.Hours, []int64{5, 7}) {
		t.Errorf("after the failure it is %+v", fresh)
	}
	fresh.State = control.ErasureDone
	save(fresh)
	if next := ask(at.Add(time.Hour)); next.Name == fresh.Name || next.State != control.ErasureRunning {
		t.Errorf("one that ended is not asked for again: %+v", next)
	}
}
