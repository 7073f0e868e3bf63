package replay_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/usherhq/usher/decision"
	"github.com/usherhq/usher/decision/control"
	"github.com/usherhq/usher/decision/replay"
	"github.com/usherhq/usher/model"
	"github.com/usherhq/usher/pipeline/event"
)

// What bounded exploration is verified from the record's own reason, where only the
// process that decided knew it, and from settings and model where they tell.
func TestBoundedExplorationIsToldAgain(t *testing.T) {
	h := build(t)
	h.ramped("m1")
	few := int64(2)
	_, err := h.control.UpdateAccount(t.Context(), control.Account{ID: "acme", Exploration: control.Exploration{
		Never: json.RawMessage(`{"attribute":"tier","operator":"equal","value":"vip"}`), PerHour: &few,
	}}, control.Author{Name: "test"})
	must(t, err)
	all, floor := 1.0, 0.3
	seen := map[string]int{}
	for _, share := range []*float64{&all, &floor, nil} {
		h.mode(control.Mode{Kind: decision.ModeOn, Exploration: share})
		for i := range 15 {
			r := decision.Request{
				RequestID: fmt.Sprintf("r%d-%d", seen["all"], i), Intent: "refund", Candidates: candidates("old", "other", "fresh"),
				NoExploration: i%5 == 3, Attributes: map[string]any{"tier": []string{"vip", "basic"}[min(i%4, 1)]},
			}
			d := h.decide(r)
			seen["all"]++
			for _, reason := range d.Reasons {
				seen[reason]++
			}
			if got := h.verify(d); got.Verdict != replay.Same {
				t.Fatalf("%v: %s: %v", d.Reasons, got.Verdict, got.Findings)
			}
		}
	}
	for _, reason := range []string{decision.ReasonArmRamp, decision.ReasonNoExploration, decision.ReasonExplorationBudget, decision.ReasonExplored} {
		if seen[reason] == 0 {
			t.Errorf("no decision had %s: %v", reason, seen)
		}
	}
}

// A record that claims what was not, is found out.
func TestClaimsOfBoundsAreFoundOut(t *testing.T) {
	h := build(t)
	h.ramped("m1")
	all := 1.0
	h.mode(control.Mode{Kind: decision.ModeOn, Exploration: &all})
	var d *event.Decision
	for i := 0; d == nil || d.Chosen != "fresh" && i < 500; i++ {
		d = h.decide(decision.Request{RequestID: fmt.Sprint(i), Intent: "refund", Candidates: candidates("old", "other", "fresh")})
	}
	if d.Chosen != "fresh" || !slices.Contains(d.Reasons, decision.ReasonArmRamp) {
		t.Fatalf("%s with %g, %v", d.Chosen, d.Propensity, d.Reasons)
	}
	if got := h.verify(d); got.Verdict != replay.Same {
		t.Fatalf("%v", got.Findings)
	}
	for i := range d.Candidates {
		if d.Candidates[i].Key() == "fresh" {
			d.Candidates[i].ShareCap = 0.5
		}
	}
	if got := h.verify(d); got.Verdict != replay.Different {
		t.Errorf("another bound: %s", got.Verdict)
	}
}

// ramped makes a model live that knows two arms well and thinks best of a third, of
// which it has seen little.
func (h *house) ramped(version string) {
	l, err := model.New(model.DefaultConfig())
	must(h.t, err)
	var enc model.Encoder
	teach := func(arm string, times int, reward func(i int) float64) {
		for i := range times {
			must(h.t, l.Learn(model.Example{
				Context: enc.Context(&model.Facts{Intent: "refund"}), Arms: enc.Arms([]model.Option{{Key: arm}}, ""),
				Reward: reward(i), Propensity: 1,
			}))
		}
	}
	teach("old", 600, func(i int) float64 { return float64(i % 2) })
	teach("other", 900, func(i int) float64 { return float64(i % 3 / 2) })
	teach("fresh", 40, func(int) float64 { return 1 })
	h.model = l.Snapshot(version)
	h.models[version] = h.model.Encode()
}
