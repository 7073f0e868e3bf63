package server_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	usherv1 "github.com/usherhq/usher/proto/gen/usher/v1"
)

// Callers must not notice that people write policies, change modes and revoke
// tokens while decisions are made.
func TestNoCallFailsWhileEverythingChanges(t *testing.T) {
	f := start(t)
	client := usherv1.NewDecisionServiceClient(f.conn)
	ctx := as(t, f.admin)
	var stop atomic.Bool
	var callers sync.WaitGroup
	var answered atomic.Int64
	for c := range 4 {
		callers.Go(func() {
			for i := 0; !stop.Load() || i < 20; i++ {
				a, err := client.NextActions(ctx, &usherv1.NextActionsRequest{
					Parent: "accounts/default", ConversationId: fmt.Sprint(c, "/", i),
					Candidates: []*usherv1.ActionCandidate{{Target: "a"}, {Target: "b"}},
				})
				if err != nil || len(a.GetActions()) == 0 {
					t.Errorf("NextActions = %v, %v", a, err)
					return
				}
				answered.Add(1)
			}
		})
	}
	modes := []string{"OFF", "SHADOW", "COMPARE", "HOLDOUT", "ON"}
	for i := range 40 {
		f.rest(t, "POST", "/v1/accounts/default/policies", fmt.Sprintf(`{"name":"p%d","enabled":true,"effect":{"deny":{"targets":["a"]}}}`, i), 200)
		f.rest(t, "PATCH", "/v1/accounts/default/modes/account", `{"mode":"`+modes[i%5]+`","share":0.5}`, 200)
		if i%2 == 1 {
			f.rest(t, "DELETE", fmt.Sprintf("/v1/accounts/default/policies/p%d", i), "", 200)
		}
	}
	stop.Store(true)
	callers.Wait()
	if n := int64(len(f.published(t, "usher.decisions"))); n != answered.Load() {
		t.Errorf("%d decisions were answered and %d are on the log", answered.Load(), n)
	}
}
