package decision_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/policy"
	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/pipeline/event"
)

// swapping is an installation whose policies and model change all the time.
type swapping struct {
	world
	sets   [2]*policy.Set
	models model.Registry
	at     atomic.Int64
}

func (s *swapping) Policies(string) *policy.Set { return s.sets[s.at.Load()%2] }

// TestSwapsNeverMixSnapshots decides while policies and model are swapped: each
// record must be what one of the two snapshots says, never a mixture, and no
// request may fail.
func TestSwapsNeverMixSnapshots(t *testing.T) {
	s := &swapping{world: *newWorld()}
	for i, target := range []string{"a", "b"} {
		p := &policy.Policy{
			Name: "only-" + target, Enabled: true,
			When:   &policy.Condition{Attribute: "n" + target, Operator: policy.Exists, Value: true},
			Effect: policy.Effect{Rank: &policy.Rank{Targets: []string{target}}},
		}
		s.sets[i] = policy.Compile([]*policy.Policy{p}, int64(i+1))
	}
	s.modes[decision.ScopeAccount] = decision.Mode{Kind: decision.ModeOn}
	models := []*model.Model{
		teach(t, "m0", []lesson{{Arm: "a", Reward: 1, Times: 3}}), teach(t, "m1", []lesson{{Arm: "b", Reward: 1, Times: 3}}),
	}
	s.models.Swap("acme", models[0])
	var ids atomic.Int64
	e, err := decision.New(decision.DefaultConfig(), decision.Deps{
		Policies: s, Models: &s.models, Control: s, Now: time.Now,
		NewID: func() string { return fmt.Sprint("id-", ids.Add(1)) },
	})
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var swaps, deciders sync.WaitGroup
	swaps.Go(func() {
		for i := 1; ; i++ {
			select {
			case <-stop:
				return
			default:
				s.at.Add(1)
				s.models.Swap("acme", models[i%2])
			}
		}
	})
	for range 4 {
		deciders.Go(func() {
			for range 500 {
				checkSnapshot(t, e)
			}
		})
	}
	deciders.Wait()
	close(stop)
	swaps.Wait()
}

func checkSnapshot(t *testing.T, e *decision.Engine) {
	d, err := e.Decide(t.Context(), &decision.Request{
		Account: "acme", Attributes: map[string]any{"na": 1.0, "nb": 1.0},
		Candidates: []event.Candidate{{Action: event.Action{Target: "a"}}, {Action: event.Action{Target: "b"}}},
	})
	if err != nil {
		t.Error(err)
		return
	}
	target := []string{"a", "b"}[d.PolicyRevision-1]
	if d.Policy != "only-"+target || d.Chosen != target || d.Policies[0].Policy != d.Policy || d.ModelVersion == "" {
		t.Errorf("revision %d, policy %q, chosen %q, model %q", d.PolicyRevision, d.Policy, d.Chosen, d.ModelVersion)
	}
	if err := d.Validate(); err != nil {
		t.Error(err)
	}
}
